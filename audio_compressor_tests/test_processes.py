"""Real shell scripts as children: none of them, nor what they started, may outlive `run`."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from audio_compressor.errors import CancelledError, TimedOutError
from audio_compressor.processes import MAX_STDERR_BYTES, MAX_STDOUT_BYTES, ChildProcesses


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        threading.Event().wait(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped by init does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


def pids_in(file: Path) -> list[int]:
    return [int(word) for word in file.read_text().split()] if file.exists() else []


def hanging_family(pids: Path) -> list[str]:
    """A child that starts a child of its own and hangs; both write their process ids to ``pids``."""
    return ["sh", "-c", f'sleep 1000 & echo $! $$ > "{pids}.new"; mv "{pids}.new" "{pids}"; wait']


def test_result_of_a_child() -> None:
    finished = ChildProcesses().run(
        ["sh", "-c", r"printf 'out'; printf 'caf\351 ' >&2; cat; exit 3"], timeout_seconds=10
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (3, b"out", "caf\ufffd ")


def test_a_child_that_cannot_start() -> None:
    children = ChildProcesses()
    with pytest.raises(FileNotFoundError):
        children.run(["/no/such/binary"], timeout_seconds=10)
    assert children.run(["true"], timeout_seconds=10).returncode == 0


def test_time_limit_kills_the_whole_family(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    started = time.monotonic()
    with pytest.raises(TimedOutError, match="time limit of 1 s"):
        ChildProcesses().run(hanging_family(pids), timeout_seconds=1)
    assert time.monotonic() - started < 5
    assert len(pids_in(pids)) == 2
    wait_for(lambda: not any(map(is_alive, pids_in(pids))))


def test_kill_all_ends_current_and_later_runs(tmp_path: Path) -> None:
    children = ChildProcesses()
    raised: list[BaseException] = []

    def run(number: int) -> None:
        try:
            children.run(hanging_family(tmp_path / f"pids{number}"), timeout_seconds=100)
        except CancelledError as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: all(pids_in(tmp_path / f"pids{number}") for number in range(4)))
    started = time.monotonic()
    children.kill_all()
    for thread in threads:
        thread.join(timeout=10)
    assert time.monotonic() - started < 5
    assert len(raised) == 4
    pids = [pid for number in range(4) for pid in pids_in(tmp_path / f"pids{number}")]
    wait_for(lambda: not any(map(is_alive, pids)))
    with pytest.raises(CancelledError):
        children.run(["touch", str(tmp_path / "later")], timeout_seconds=10)
    assert not (tmp_path / "later").exists()


class _Interrupt(BaseException):
    pass


def test_an_exception_out_of_a_signal_kills_the_child(tmp_path: Path) -> None:
    """Dagster raises in the main thread on SIGTERM; it may come before, while and after a child is started."""

    def interrupt(*_: object) -> None:
        raise _Interrupt

    def run_under(timer: threading.Timer) -> None:
        timer.start()
        ChildProcesses().run(["sh", "-c", "sleep 100; :", str(tmp_path)], timeout_seconds=100)

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        for step in range(60):
            timer = threading.Timer(step * 0.0001, os.kill, (os.getpid(), signal.SIGUSR1))
            with pytest.raises(_Interrupt):
                run_under(timer)
            timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    wait_for(lambda: not processes_with(str(tmp_path)))


def processes_with(argument: str) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if argument.encode() in arguments:
            found.append(int(process.name))
    return found


_PARENT = """
import sys
from audio_compressor.processes import ChildProcesses
ChildProcesses().run(["sleep", sys.argv[1]], timeout_seconds=1000)
"""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="util-linux is not installed")
def test_a_child_ends_with_its_killed_parent() -> None:
    seconds = f"1000.{os.getpid()}"
    with subprocess.Popen([sys.executable, "-c", _PARENT, seconds]) as parent:
        wait_for(lambda: any(is_sleeping(pid) for pid in processes_with(seconds)))
        parent.kill()
    wait_for(lambda: not processes_with(seconds))


def is_sleeping(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
    except FileNotFoundError:
        return False


def test_no_zombie_is_left(tmp_path: Path) -> None:
    finished = ChildProcesses().run(["sh", "-c", "echo $$"], timeout_seconds=10)
    assert not Path(f"/proc/{int(finished.stdout)}").exists()


def test_a_flood_of_output_is_bounded_and_keeps_what_counts() -> None:
    script = "import sys\nsys.stdout.write('first' + 'x' * 40_000_000)\nsys.stderr.write('y' * 40_000_000 + 'last')"
    finished = ChildProcesses().run([sys.executable, "-c", script], timeout_seconds=60)
    assert finished.stdout.startswith(b"first")
    assert len(finished.stdout) == MAX_STDOUT_BYTES
    assert finished.stderr.endswith("last")
    assert len(finished.stderr) == MAX_STDERR_BYTES


def test_output_is_given_away_piece_by_piece() -> None:
    pieces: list[bytes] = []
    script = "import sys\nfor _ in range(300): sys.stdout.buffer.write(bytes(range(256)) * 400)"
    finished = ChildProcesses().run([sys.executable, "-c", script], timeout_seconds=60, take_stdout=pieces.append)
    assert b"".join(pieces) == bytes(range(256)) * 400 * 300
    assert len(pieces) > 100
    assert finished.stdout == b""


def test_who_takes_the_output_may_end_it() -> None:
    def refuse(data: bytes) -> None:
        raise ValueError(len(data))

    with pytest.raises(ValueError, match=r"\d+"):
        ChildProcesses().run(["yes", "no-thanks"], timeout_seconds=60, take_stdout=refuse)
    assert not processes_with("no-thanks")


def test_a_flood_without_end_reaches_the_time_limit() -> None:
    with pytest.raises(TimedOutError):
        ChildProcesses().run(["yes"], timeout_seconds=0.5)


@pytest.mark.parametrize("other", ["sleep 1000", "yes"])
def test_a_process_that_left_the_group_cannot_hold_us(tmp_path: Path, other: str) -> None:
    """It keeps our pipes open long after the child has ended."""
    pid_file = tmp_path / "pid"
    script = f'echo done; setsid {other} & echo $! > "{pid_file}"'
    started = time.monotonic()
    # The shell waits until the other has left the group: its own id is then its session's.
    script += "; while [ $(cut -d' ' -f6 /proc/$!/stat) != $! ]; do :; done"
    finished = ChildProcesses().run(["sh", "-c", script], timeout_seconds=60)
    try:
        assert finished.stdout.startswith(b"done\n")
        assert time.monotonic() - started < 20
    finally:
        os.kill(pids_in(pid_file)[0], signal.SIGKILL)
