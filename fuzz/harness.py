"""What the targets share: mutation of valid seeds, limits on time and memory, and the loop.

Hypothesis makes the mutations and shrinks what fails. Atheris, which is guided by coverage, was the other choice; on
PyPI it has wheels for x86-64 only, and none of its latest release for Python 3.11 (atheris 3.1.0): elsewhere it wants a
compiler. These parsers are small, and mutated seeds reach all of their lines.
"""

import re
import resource
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st

# For one input, on a machine that does other things as well; each takes some milliseconds.
MOST_SECONDS = 5
MOST_MEMORY_BYTES = 400_000_000
MOST_INPUT_BYTES = 4_000_000
_EXAMPLES_PER_ROUND = 300

# Numbers at the edges of the fields that parsers read.
_TOKEN = re.compile(rb"[\w.+-]+")
_EDGES = [value % (1 << 64) for power in (7, 8, 15, 16, 31, 32, 62, 63, 64) for value in (2**power - 1, 2**power)]
_EDGES += [0, 1, (1 << 64) - 1]


class TooMuchError(AssertionError):
    """An input took more time or memory than any may."""


@dataclass(frozen=True)
class Target:
    """``check`` parses an input and raises whatever must not happen; ``words`` are what its format is made of."""

    name: str
    seeds: Sequence[bytes]
    words: Sequence[bytes]
    check: Callable[[bytes], object]


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """Seeds with some pieces changed, cut, repeated or exchanged; and bytes that have nothing to do with them."""
    change = st.tuples(
        st.sampled_from(["set", "insert", "delete", "repeat", "number", "word", "token", "token", "cut", "join"]),
        st.integers(0, 9_999).map(lambda place: place / 10_000),
        st.integers(0, 64),
        st.binary(min_size=1, max_size=8),
        st.integers(0, 7),
    )
    mutated = st.builds(
        lambda seed, changes: _changed(target, seed, changes),
        st.sampled_from(target.seeds),
        st.one_of(st.lists(change, min_size=1, max_size=2), st.lists(change, max_size=12)),
    )
    return st.one_of(mutated, mutated, mutated, st.binary(max_size=300))


def _changed(target: Target, data: bytes, changes: Sequence[tuple[str, float, int, bytes, int]]) -> bytes:
    for kind, place, length, content, choice in changes:
        at = int(place * (len(data) + 1))
        before, here, after = data[:at], data[at : at + length], data[at + length :]
        if kind == "set":
            data = before + content + data[at + len(content) :]
        elif kind == "insert":
            data = before + content + data[at:]
        elif kind == "delete":
            data = before + after
        elif kind == "repeat":
            data = (
                before
                + here * min(4 ** (choice + 1), MOST_INPUT_BYTES // max(1, len(data) * max(1, len(here))))
                + after
            )
        elif kind == "number":
            width = 2 ** (choice % 4)
            number = _EDGES[(length * 8 + choice) % len(_EDGES)].to_bytes(8, "little")[:width]
            data = before + (number if choice < 4 else number[::-1]) + data[at + width :]
        elif kind == "word":
            word = target.words[(length * 8 + choice) % len(target.words)]
            data = before + word + data[at + (len(word) if choice % 2 else 0) :]
        elif kind == "token":
            word = target.words[(length * 8 + choice) % len(target.words)]
            if token := _TOKEN.search(data, at):
                data = data[: token.start()] + word + data[token.end() :]
        elif kind == "cut":
            data = before
        else:
            other = target.seeds[(length + choice) % len(target.seeds)]
            data = before + other[int(place * len(other)) :]
    return data[:MOST_INPUT_BYTES]


@contextmanager
def limited(most_seconds: float = MOST_SECONDS) -> Iterator[None]:
    """Raise TooMuchError in the block when it takes too long; with `limit_memory`, it cannot have too much memory."""

    def alarm(_signal: int, _frame: FrameType | None) -> None:
        raise TooMuchError(f"more than {most_seconds} s")

    before = signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, most_seconds)
    try:
        yield
    except MemoryError as error:
        raise TooMuchError(f"more than {MOST_MEMORY_BYTES / 1e6:.0f} MB") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def limit_memory() -> None:
    """From here on this process gets at most that much more than it has; for good."""
    status = Path("/proc/self/status").read_text()
    has_bytes = int(status.partition("VmData:")[2].split()[0]) * 1024
    limit = has_bytes + MOST_MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.getrlimit(resource.RLIMIT_DATA)[1]))


@dataclass(frozen=True)
class Finding:
    """``seed`` of the round that brought it to light, None for one of the target's own seeds; ``data`` is the smallest
    input that was found for it.
    """

    data: bytes
    seed: int | None
    error: Exception


def fuzz(target: Target, seconds: float, seed: int) -> int | Finding:
    """Check inputs for that long, in rounds of which each has its own seed; how many were checked, or the finding."""
    ends_at, checked = time.monotonic() + seconds, 0
    broken: bytes | None = None

    def one(data: bytes) -> None:
        nonlocal checked, broken
        # What was found has to be found again while it is made smaller, however late it is.
        if broken is None and time.monotonic() >= ends_at:
            return
        try:
            with limited():
                target.check(data)
        except Exception:
            broken = data
            raise
        checked += 1

    for data in target.seeds:
        try:
            with limited():
                target.check(data)
        except Exception as error:
            return Finding(data, None, error)
    rules = settings(
        max_examples=_EXAMPLES_PER_ROUND,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    while time.monotonic() < ends_at:
        try:
            hypothesis_seed(seed)(rules(given(inputs(target))(one)))()
        except Exception as error:
            if broken is None:
                raise
            return Finding(broken, seed, error)
        seed += 1
    return checked
