"""Locks between processes: one holder at a time, and none after its death."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from audio_compressor.archive.locks import try_lock, wait_for_lock
from audio_compressor.errors import CancelledError, StorageError

_HOLD = """
import sys
from pathlib import Path
from audio_compressor.archive.locks import try_lock
with try_lock(Path(sys.argv[1])) as is_ours:
    print(is_ours, flush=True)
    sys.stdin.read()
print("released", flush=True)
"""

_HOLD_WITH_CHILD = """
import subprocess, sys
from pathlib import Path
from audio_compressor.archive.locks import try_lock
with try_lock(Path(sys.argv[1])):
    child = subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    child.wait()
"""

_COUNT = """
import sys
from pathlib import Path
from audio_compressor.archive.locks import try_lock
lock, counter = Path(sys.argv[1]), Path(sys.argv[2])
still = int(sys.argv[3])
while still:
    with try_lock(lock) as is_ours:
        if is_ours:
            counter.write_text(str(int(counter.read_text()) + 1))
            still -= 1
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@contextmanager
def other_process(lock: Path) -> Iterator["subprocess.Popen[str]"]:
    """One that holds the lock, or has tried to, until its input ends."""
    argv = [sys.executable, "-c", _HOLD, str(lock)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_one_holder_at_a_time(lock: Path) -> None:
    with other_process(lock) as other:
        assert said(other) == "True"
        with try_lock(lock) as is_ours:
            assert not is_ours
        assert lock.exists(), "who did not get it has removed it"
        with try_lock(lock) as is_ours:
            assert not is_ours
        assert other.stdin is not None
        other.stdin.close()
        assert said(other) == "released"
        with try_lock(lock) as is_ours:
            assert is_ours
    assert not lock.exists()


def test_the_other_process_is_kept_out_as_well(lock: Path) -> None:
    with try_lock(lock) as is_ours, other_process(lock) as other:
        assert is_ours
        assert said(other) == "False"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_holder_that_is_killed_holds_nothing_any_more(lock: Path, number: signal.Signals) -> None:
    with other_process(lock) as other:
        assert said(other) == "True"
        other.send_signal(number)
        other.wait()
        assert lock.exists()
        with try_lock(lock) as is_ours:
            assert is_ours
        with wait_for_lock(lock):
            pass
    assert not lock.exists()


def test_a_child_that_outlives_the_holder_does_not_hold_it(lock: Path) -> None:
    """FFmpeg may, for a moment, when a worker is killed."""
    argv = [sys.executable, "-c", _HOLD_WITH_CHILD, str(lock)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as holder:
        child = int(said(holder))
        holder.kill()
        holder.wait()
        try:
            with try_lock(lock) as is_ours:
                assert is_ours
        finally:
            os.kill(child, signal.SIGKILL)


def test_it_is_given_back_when_the_block_fails(lock: Path) -> None:
    for take in (try_lock, wait_for_lock):
        with pytest.raises(ZeroDivisionError), take(lock):
            raise ZeroDivisionError
        assert not lock.exists()


def test_between_threads_and_in_one(lock: Path) -> None:
    with try_lock(lock), try_lock(lock) as is_ours:
        assert not is_ours
        found: list[bool] = []

        def look() -> None:
            with try_lock(lock) as is_theirs:
                found.append(is_theirs)

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert found == [False]


def test_waiting_ends_when_it_is_given_back(lock: Path) -> None:
    got = threading.Event()

    def wait() -> None:
        with wait_for_lock(lock):
            got.set()

    waiting = threading.Thread(target=wait)
    with try_lock(lock):
        waiting.start()
        assert not got.wait(0.2)
    assert got.wait(10)
    waiting.join()


def test_waiting_ends_when_it_is_cancelled(lock: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    with try_lock(lock), pytest.raises(CancelledError, match="stopped while waiting for"), wait_for_lock(lock, cancel):
        pytest.fail("it was not ours")
    with wait_for_lock(lock, cancel):
        pass  # what is free is not waited for


def test_processes_count_together(lock: Path, tmp_path: Path) -> None:
    """The file of the lock is removed and made again all the time, and still there is one holder."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    argv = [sys.executable, "-c", _COUNT, str(lock), str(counter), "200"]
    processes = [subprocess.Popen(argv) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert counter.read_text() == "600"
    assert not lock.exists()


def test_a_lock_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file or directory"), try_lock(tmp_path / "missing" / "lock"):
        pytest.fail("it was not there")
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "link").symlink_to("victim")
    with pytest.raises(StorageError, match="link"), try_lock(tmp_path / "link"):
        pytest.fail("it was a link")
    assert (tmp_path / "victim").read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["link", "victim"]  # noqa: PTH208
