"""All processes of a night, found by the token in their environment, and a clock that knows when we slept."""

import contextlib
import os
import re
import signal
import time
from pathlib import Path

TOKEN = "SOAK_NIGHT"
# Orphans of a killed command are given so long: the download process sees that its pipe is closed, FFmpeg may finish.
ORPHANS_SECONDS = 10.0
# A step of a clock that is longer than this was a pause: of us, or of the machine.
_LONGEST_STEP_SECONDS = 0.5


class PatientClock:
    """Counts the seconds in which we were awake: whoever stops us stops the night too, and that is no hang."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._last = time.monotonic()

    def tick(self, *, paused: bool = False) -> float:
        """To be called several times a second; ``paused`` time does not count."""
        now = time.monotonic()
        if not paused:
            self.seconds += min(now - self._last, _LONGEST_STEP_SECONDS)
        self._last = now
        return self.seconds


def processes(night: str, command: str = "") -> list[int]:
    """The living processes of a night, by id; those whose command line holds a text, if one is given."""
    mark = f"{TOKEN}={night}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and mark in _read(entry / "environ").split(b"\0"):
            line = _read(entry / "cmdline").replace(b"\0", b" ").decode(errors="replace")
            if command in line:
                found.append(int(entry.name))
    return found


def command_line(pid: int) -> str:
    return _read(Path(f"/proc/{pid}/cmdline")).replace(b"\0", b" ").decode(errors="replace").strip()


def wait_for_the_end(night: str, seconds: float) -> list[str]:
    """Wait until nothing of a night lives; what does after so long, as command lines, is killed."""
    clock = PatientClock()
    while (alive := processes(night)) and clock.tick() < seconds:
        time.sleep(0.1)
    survivors = [f"{pid} {command_line(pid)[:200]}" for pid in alive]
    kill_all(night)
    return survivors


def kill_all(night: str) -> None:
    for pid in processes(night):
        kill(pid)


def kill(pid: int) -> bool:
    """False when it has ended already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def open_files(pid: int) -> list[str]:
    """What its file descriptors are, such as "socket:[42]"."""
    names = []
    with contextlib.suppress(OSError):  # of a process that has just ended
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                names.append(str(entry.readlink()))
    return names


def status(pid: int) -> dict[str, str]:
    """The lines of /proc/PID/status."""
    text = _read(Path(f"/proc/{pid}/status")).decode(errors="replace")
    return dict(re.findall(r"^(\w+):\s*(.*)$", text, re.MULTILINE))


def _read(path: Path) -> bytes:
    """Empty when the process has just ended, or is somebody else's."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
