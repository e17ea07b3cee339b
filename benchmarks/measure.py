"""Runs a command and measures it from outside: wall and CPU time, memory, and the space it takes in a directory."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SAMPLING_SECONDS = 0.1
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measurement:
    """``peak_memory_mb`` is of the command and all its children together, a page that several share counted once."""

    wall_seconds: float
    cpu_seconds: float
    peak_memory_mb: float
    peak_disk_mb: float


class CommandFailed(SystemExit):
    """A measured command did not do its work: there is nothing to compare."""


def measure(command: Sequence[str], environment: Mapping[str, str], directory: Path, output: Path) -> Measurement:
    """Run ``command`` to its end; ``directory`` is where it keeps files in work, ``output`` takes what it prints.

    Raises:
        CommandFailed: the command ended with another exit code than 0.
    """
    before = os.times()
    with output.open("wb") as file:
        started_at_seconds = time.perf_counter()
        with subprocess.Popen(command, env=dict(environment), stdout=file, stderr=subprocess.STDOUT) as process:
            with _Sampler(process.pid, directory) as sampler:
                code = process.wait()
            wall_seconds = time.perf_counter() - started_at_seconds
    after = os.times()
    if code != 0:
        raise CommandFailed(f"{' '.join(command)}\nended with exit code {code}:\n{output.read_text()[-2000:]}")
    cpu_seconds = after.children_user + after.children_system - before.children_user - before.children_system
    return Measurement(wall_seconds, cpu_seconds, sampler.peak_memory_bytes / 1e6, sampler.peak_disk_bytes / 1e6)


def children_cpu_seconds(pid: int) -> float:
    """CPU time of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / _TICKS_PER_SECOND


class _Sampler:
    """Looks ten times a second; what comes and goes between two looks is not seen."""

    def __init__(self, pid: int, directory: Path) -> None:
        self.peak_memory_bytes = 0
        self.peak_disk_bytes = 0
        self._pid, self._directory = pid, directory
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "_Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(_SAMPLING_SECONDS):
            memory_bytes = sum(_memory_bytes(pid) for pid in _family(self._pid))
            self.peak_memory_bytes = max(self.peak_memory_bytes, memory_bytes)
            self.peak_disk_bytes = max(self.peak_disk_bytes, _disk_bytes(self._directory))


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = [child for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:  # it has ended meanwhile
        return
    for child in children:
        yield from _family(int(child))


def _memory_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _disk_bytes(directory: Path) -> int:
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - ten times a second
            except OSError:
                continue
    return total
