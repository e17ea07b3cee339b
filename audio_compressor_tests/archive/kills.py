"""Kills runs that archive real recordings, after each of their steps and at any moment, and looks at what is left.

``python -m audio_compressor_tests.archive.kills [SCENARIO...] [--moments N]`` prints the tally. After each kill, at
least one whole copy of the recording must exist: the original, byte for byte, or one that is proved to be the same
sound. The next run, undisturbed, must come to the same end as one that was never killed, and leave nothing behind.

Each run is a process of its own, forked from this one so that it need not import everything again.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3

from audio_compressor.archive.cold import ColdArchive
from audio_compressor.archive.layout import STATE_NAME, Layout
from audio_compressor.archive.library import Library, Rules
from audio_compressor.archive.outcome import Outcome
from audio_compressor.archive.policy import KEEP, Action, Policy, Tier
from audio_compressor.audio.ffmpeg import find_ffmpeg
from audio_compressor.audio.proof import prove
from audio_compressor.errors import AudioCompressorError
from audio_compressor.local_files import sha256_of
from audio_compressor.processes import ChildProcesses
from audio_compressor.retries import Retry
from audio_compressor_tests.archive.refusing import as_without_links, as_without_renameat2
from audio_compressor_tests.webm_files import as_a_browser_writes, make_webm, voice

KEY, OTHER = "2026-03-14/talk.webm", "2026-03-14/other.webm"
# The files are made a moment later.
NOW = datetime.now(UTC) + timedelta(hours=1)
_HIGH = Policy((Tier(0, KEEP), Tier(7, Action("opus", 96))))
_LOW = Policy((Tier(0, KEEP), Tier(7, Action("opus", 48))))
_DELETE = Policy((Tier(0, KEEP), Tier(7, Action("delete"))))
_COLD = Policy((Tier(0, KEEP), Tier(7, Action("cold", storage_class="STANDARD_IA"))))
_FOREVER = 365_000.0


@dataclass(frozen=True)
class Scenario:
    """``before`` are policies that the library has gone through undisturbed; ``work`` is what is killed."""

    policy: Policy = _HIGH
    trash_days: float = 7
    before: tuple[Policy, ...] = ()
    work: Callable[[Library], object] | None = None
    file_system: Callable[[], None] | None = None
    needs_cold_storage: bool = False


def _restore(library: Library) -> object:
    if any(change.kind == "restore" for change in library.changing.unfinished()):
        return library.begin()
    if (library.layout.root / KEY).exists():
        return None  # it was brought back already
    return library.restore(KEY)


def _purge(library: Library) -> object:
    return library.empty_trash(NOW + timedelta(days=30))


SCENARIOS = {
    "archive": Scenario(),
    "without trash": Scenario(trash_days=0),
    "originals kept": Scenario(replace(_HIGH, delete_originals=False)),
    "next tier": Scenario(_LOW, before=(_HIGH,)),
    "next tier without trash": Scenario(_LOW, trash_days=0, before=(_HIGH,)),
    "delete": Scenario(_DELETE, before=(_HIGH,)),
    "restore": Scenario(before=(_HIGH,), work=_restore),
    "restore a deleted one": Scenario(before=(_HIGH, _DELETE), work=_restore),
    "empty the trash": Scenario(before=(_HIGH,), work=_purge),
    "no links, no exchange": Scenario(_LOW, before=(_HIGH,), file_system=as_without_links),
    "links, no exchange": Scenario(_LOW, before=(_HIGH,), file_system=as_without_renameat2),
    "cold storage": Scenario(_COLD, before=(_HIGH,), needs_cold_storage=True),
    "cold storage without trash": Scenario(_COLD, trash_days=0, needs_cold_storage=True),
    "back from cold storage": Scenario(_COLD, trash_days=0, before=(_COLD,), work=_restore, needs_cold_storage=True),
}


@dataclass
class Tally:
    kills_after_steps: int = 0
    kills_at_any_moment: int = 0
    steps: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return self.kills_after_steps + self.kills_at_any_moment


class Round:
    """One scenario."""

    def __init__(self, scenario: Scenario, directory: Path, template: Path, endpoint_url: str) -> None:
        self._scenario = scenario
        self._template = template
        self._endpoint_url = endpoint_url
        self._root = directory / "library"
        self._original = directory / "original.webm"
        self._ffmpeg = find_ffmpeg()
        self._children = ChildProcesses()
        self.tally = Tally()

    def run(self, moments: int) -> Tally:
        self._begin_anew()
        started = time.monotonic()
        self._require(self._work(None) == 0, "undisturbed", "it failed")
        seconds = time.monotonic() - started
        expected = self._end()
        self.tally.steps = (self._root.parent / "steps").read_text().splitlines()
        for number, step in enumerate(self.tally.steps, start=1):
            self._kill(f"after step {number}, {step}", lambda number=number: self._work(number), expected)  # type: ignore[misc]
            self.tally.kills_after_steps += 1
        randomness = random.Random(7)  # noqa: S311 - the same moments each time
        for _ in range(moments):
            at_seconds = randomness.uniform(0, seconds)
            self._kill(f"after {at_seconds:.3f} s", lambda at=at_seconds: self._work(None, at), expected)  # type: ignore[misc]
            self.tally.kills_at_any_moment += 1
        return self.tally

    def _kill(self, when: str, work: Callable[[], int], expected: tuple[object, ...]) -> None:
        self._begin_anew()
        work()
        self._require_a_whole_copy(when)
        self._require(self._work(None) == 0, when, "the next run failed")
        self._require_a_whole_copy(f"{when}, and the next run")
        end = self._end()
        self._require(end == expected, when, f"it ended otherwise: {_differences(end, expected)}")

    def _begin_anew(self) -> None:
        shutil.rmtree(self._root, ignore_errors=True)
        shutil.copytree(self._template, self._root)

    def _library(self, policy: Policy, on_step: Callable[[str], None] = lambda _: None) -> Library:
        rules = Rules(policy, self._scenario.trash_days, 0, 0)
        return Library(Layout(self._root, "index.json"), rules, _cold_archive(self._endpoint_url), on_step=on_step)

    def _work(self, dies_after: int | None, dies_at_seconds: float | None = None) -> int:
        """Let a process work, which may be killed; its exit code."""
        pid = os.fork()
        if pid == 0:
            with suppress(BaseException):
                self._as_child(dies_after)
                os._exit(0)
            os._exit(1)
        if dies_at_seconds is not None:
            time.sleep(dies_at_seconds)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def _as_child(self, dies_after: int | None) -> None:
        if self._scenario.file_system:
            self._scenario.file_system()
        steps: list[str] = []

        def on_step(step: str) -> None:
            steps.append(step)
            if len(steps) == dies_after:
                os.kill(os.getpid(), signal.SIGKILL)

        with self._library(self._scenario.policy, on_step) as library:
            library.begin()
            if self._scenario.work:
                self._scenario.work(library)
            else:
                decisions = [each for each in library.look(NOW).plan.decisions if each.file.key == KEY]
                outcomes = list(library.archive(decisions, self._ffmpeg, 1, lambda _, step: on_step(step)))
                _require_good(outcomes)
                if not self._scenario.trash_days:
                    library.empty_trash(NOW)  # what a killed run had no time for
        (self._root.parent / "steps").write_text("\n".join(steps))

    def _end(self) -> tuple[object, ...]:
        """What there is, without times and names that differ each time."""
        files = {
            str(path.relative_to(self._root)): sha256_of(path)
            for path in self._root.rglob("*")
            if path.is_file() and STATE_NAME not in path.parts and path.suffix != ".json"
        }
        state = self._root / STATE_NAME
        trash = sorted((path.name, sha256_of(path)) for path in state.glob("trash/*/*") if path.suffix != ".json")
        notes = sorted(path.name for path in state.glob("trash/*/*.json"))
        left = sorted(str(path.relative_to(state)) for path in (*state.glob("journal/*"), *state.glob("locks/*")))
        with self._library(self._scenario.policy) as library:
            record = library.records.read(KEY)
        copy = record.copy.sha256 if record and record.copy else None
        documents = [json.loads((self._root / name).read_text()) for name in ("2026-03-14/talk.json", "index.json")]
        said = json.dumps([_without_times(each) for each in documents], sort_keys=True)
        return files, trash, notes, left, copy, bool(record and record.deleted_at), said

    def _require_a_whole_copy(self, when: str) -> None:
        original = sha256_of(self._original)
        for path in self._root.rglob("*"):
            if path.is_file() and path.suffix in {".webm", ".opus", ".part"} and "talk" in path.name:
                if sha256_of(path) == original:
                    return
                with suppress(AudioCompressorError):
                    prove(self._original, path, ffmpeg=self._ffmpeg, children=self._children)
                    return
        with self._library(self._scenario.policy) as library:
            record = library.records.read(KEY)
            if library.cold and record and record.copy and record.copy.place == "cold":
                fetched = self._root.parent / "fetched.opus"
                library.cold.fetch(record.copy, fetched)
                if sha256_of(fetched) != original:
                    prove(self._original, fetched, ffmpeg=self._ffmpeg, children=self._children)
                return
        self._require(False, when, "NO WHOLE COPY EXISTS")

    def _require(self, is_true: bool, when: str, what: str) -> None:
        if not is_true:
            self.tally.violations.append(f"{when}: {what}")


def _differences(found: tuple[object, ...], expected: tuple[object, ...]) -> str:
    return "; ".join(f"{a} instead of {b}"[:400] for a, b in zip(found, expected, strict=True) if a != b)


def _require_good(outcomes: Sequence[Outcome]) -> None:
    bad = [outcome for outcome in outcomes if outcome.status != "success"]
    if bad:
        raise AssertionError(bad)


def _without_times(value: object) -> object:
    if isinstance(value, dict):
        return {
            name: _without_times(each)
            for name, each in value.items()
            if name not in {"compression_date", "deleted_at", "made_at"}
        }
    return [_without_times(each) for each in value] if isinstance(value, list) else value


def make_template(root: Path) -> Path:
    """A library of two recordings with documents and an index."""
    (root / KEY).parent.mkdir(parents=True)
    sound = voice("anna-1")[: 48_000 * 3]
    size_bytes = as_a_browser_writes(make_webm(root / KEY, sound)).stat().st_size
    other_bytes = make_webm(root / OTHER, sound[:48_000]).stat().st_size
    (root / KEY).with_suffix(".json").write_text(
        json.dumps({"language": "en", "chunks": [{"file": "talk.webm", "size": size_bytes}]}, indent=2)
    )
    index = {
        "recordings": [{"file": KEY, "size": size_bytes}, {"file": OTHER, "size": other_bytes}],
        "total_size": size_bytes + other_bytes,
    }
    (root / "index.json").write_text(json.dumps(index))
    return root


def _cold_archive(endpoint_url: str) -> ColdArchive | None:
    return ColdArchive("cold", "library/", endpoint_url, retry=Retry(1, 0)) if endpoint_url else None


@contextmanager
def _bucket(directory: Path) -> Iterator[str]:
    """An S3 in a process of its own, as the demo has it; its address."""
    port_file = directory / "port"
    with subprocess.Popen([sys.executable, "-m", "audio_compressor.demo.bucket", str(port_file)]) as server:
        try:
            while not port_file.exists():
                time.sleep(0.05)
            endpoint_url = f"http://127.0.0.1:{port_file.read_text()}"
            os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
            boto3.client("s3", endpoint_url=endpoint_url).create_bucket(Bucket="cold")
            yield endpoint_url
        finally:
            server.kill()


def run(names: Sequence[str], moments: int) -> dict[str, Tally]:
    """The tally of each scenario."""
    tallies = {}
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory)))
        needs_cold_storage = any(SCENARIOS[name].needs_cold_storage for name in names)
        bucket = stack.enter_context(_bucket(directory)) if needs_cold_storage else ""
        template = make_template(directory / "template")
        for number, name in enumerate(names):
            scenario = SCENARIOS[name]
            place = directory / str(number)
            place.mkdir()
            endpoint_url = bucket if scenario.needs_cold_storage else ""
            tallies[name] = _prepared(scenario, place, template, endpoint_url).run(moments)
    return tallies


def _prepared(scenario: Scenario, place: Path, template: Path, endpoint_url: str) -> Round:
    """With what the library has gone through before."""
    shutil.copyfile(template / KEY, place / "original.webm")
    if scenario.before:
        root = shutil.copytree(template, place / "template")
        for policy in scenario.before:
            rules = Rules(policy, scenario.trash_days or _FOREVER, 0, 0)
            with Library(Layout(root, "index.json"), rules, _cold_archive(endpoint_url)) as library:
                library.begin()
                decisions = [each for each in library.look(NOW).plan.decisions if each.file.key == KEY]
                _require_good(list(library.archive(decisions, find_ffmpeg(), 1)))
        template = root
    return Round(scenario, place, template, endpoint_url)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="*", choices=[[], *SCENARIOS], default=[])
    parser.add_argument("--moments", type=int, default=0, help="kills at any moment, for each scenario")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    tallies = run(arguments.scenario or list(SCENARIOS), arguments.moments)
    if arguments.json:
        print(json.dumps({name: asdict(tally) for name, tally in tallies.items()}))
    else:
        for name, tally in tallies.items():
            kills = f"{tally.kills_after_steps} after steps, {tally.kills_at_any_moment} at any moment"
            print(f"{name:24} {kills:36} violations: {len(tally.violations)}")
            for violation in tally.violations:
                print(f"    {violation}")
        print(f"{sum(tally.kills for tally in tallies.values())} kills in all")
    sys.exit(any(tally.violations for tally in tallies.values()))


if __name__ == "__main__":
    main()
