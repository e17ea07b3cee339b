"""Staging is private to a run, removed in every outcome, and what a killed run left is removed by the next."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import pytest

from audio_compressor.cli.environment import prepare_dagster_home
from audio_compressor.errors import AccessDeniedError, AudioCompressorError, CancelledError, OutOfSpaceError
from audio_compressor.staging import LOCK_NAME, RESERVE_BYTES, Staging, open_staging, remove_abandoned
from audio_compressor_tests.fixtures.directories import names_in

# A run that is killed at the start of the n-th step that changes what a directory holds.
_KILLED_RUN = """
import os
import signal
import sys
from pathlib import Path
from audio_compressor.staging import open_staging

steps = int(sys.argv[2])

def count(event, arguments):
    global steps
    if event in {"os.mkdir", "os.rename", "os.remove", "os.rmdir"} or (event == "open" and arguments[2] & os.O_CREAT):
        steps -= 1
        if steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
with open_staging(Path(sys.argv[1]), "run") as staging, staging.recording("10-17-25") as path:
    (path / "StereoMix.wav").write_bytes(b"a download")
    (staging.path / "left behind").touch()
"""

# A run in a process of its own: it stages a file, says so, and then waits to be ended.
_RUN = """
import sys
import threading
from pathlib import Path
from audio_compressor.staging import open_staging

with open_staging(Path(sys.argv[1]), sys.argv[2]) as staging, staging.recording("10-17-25") as path:
    (path / "StereoMix.wav").write_bytes(b"half a download")
    print("staged", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def temp_dir(tmp_path: Path) -> Path:
    return tmp_path / "not yet" / "there"


@contextmanager
def run_in_a_process(temp_dir: Path, run_id: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", _RUN, str(temp_dir), run_id]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "staged\n"
            yield process
        finally:
            process.kill()


def test_a_private_directory_that_is_gone_afterwards(temp_dir: Path) -> None:
    with open_staging(temp_dir, "run-1") as staging:
        assert staging.path == temp_dir / "run-1"
        assert stat.S_IMODE(staging.path.stat().st_mode) == 0o700
        with staging.recording("10-17-25") as path:
            assert path.parent == staging.path
            (path / "deep" / "er").mkdir(parents=True)
            (path / "deep" / "er" / "StereoMix.wav").write_bytes(b"audio")
        assert not path.exists()
        with staging.recording("10-17-25") as path:
            assert names_in(path) == []
    assert _runs(temp_dir) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_removed_on_exceptions(temp_dir: Path, error: type[BaseException]) -> None:
    def fail_in_the_middle() -> None:
        with open_staging(temp_dir, "run-1") as staging, staging.recording("10-17-25") as path:
            (path / "StereoMix.wav").write_bytes(b"audio")
            raise error

    with pytest.raises(error):
        fail_in_the_middle()
    assert _runs(temp_dir) == []


def test_one_recordings_exception_leaves_the_others(temp_dir: Path) -> None:
    with open_staging(temp_dir, "run-1") as staging, staging.recording("good") as good:
        (good / "StereoMix.wav").write_bytes(b"audio")
        with pytest.raises(ValueError, match="bad"), staging.recording("bad") as bad:
            raise ValueError("bad")
        assert not bad.exists()
        assert names_in(good) == ["StereoMix.wav"]


def test_what_a_killed_run_left_is_removed_by_the_next(temp_dir: Path) -> None:
    with run_in_a_process(temp_dir, "killed") as process:
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert (temp_dir / "killed" / "10-17-25" / "StereoMix.wav").read_bytes() == b"half a download"
    with open_staging(temp_dir, "next"):
        assert _runs(temp_dir) == ["next"]


def test_whatever_step_a_run_is_killed_at(temp_dir: Path) -> None:
    temp_dir.mkdir(parents=True)
    for steps in range(1, 100):
        run = subprocess.run([sys.executable, "-c", _KILLED_RUN, str(temp_dir), str(steps)], check=False)
        remove_abandoned(temp_dir)
        assert _runs(temp_dir) == [], f"killed at step {steps}"
        if run.returncode == 0:
            break
        assert run.returncode == -signal.SIGKILL
    assert steps > 10


def test_a_directory_of_somebody_else_is_refused(temp_dir: Path) -> None:
    """As under a name in /tmp that everybody knows: its owner could exchange what is in it."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    temp_dir.mkdir(parents=True, mode=0o777)
    os.chown(temp_dir, 4321, -1)
    with pytest.raises(AccessDeniedError, match=r"belongs to another user \(4321\)"), open_staging(temp_dir, "run"):
        pass
    with open_staging(temp_dir / "ours", "run"):
        assert _runs(temp_dir / "ours") == ["run"]


def test_a_lock_of_somebody_else_is_refused(temp_dir: Path) -> None:
    """Who may hold it for ever."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    temp_dir.mkdir(parents=True)
    (temp_dir / LOCK_NAME).touch()
    os.chown(temp_dir / LOCK_NAME, 4321, -1)
    with pytest.raises(AccessDeniedError, match=r"belongs to another user \(4321\)"), open_staging(temp_dir, "run"):
        pass


def test_what_a_killed_run_left_is_removed_without_a_next_one(temp_dir: Path) -> None:
    remove_abandoned(temp_dir / "not-made-yet")
    assert not (temp_dir / "not-made-yet").exists()
    with run_in_a_process(temp_dir, "killed") as process:
        remove_abandoned(temp_dir)
        assert _runs(temp_dir) == ["killed"]
        process.send_signal(signal.SIGKILL)
        process.wait()
    remove_abandoned(temp_dir)
    assert _runs(temp_dir) == []


@contextmanager
def ffmpeg_at(path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Something that hangs, with the arguments of an FFmpeg that works in this directory."""
    # Popen returns when the program is loaded, some microseconds before /proc tells its arguments: hence the line.
    command = ["/bin/sh", "-c", "echo started; read line", f"file:{path}/10-17-25/StereoMix.wav"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"started\n"
            yield process
        finally:
            process.kill()


def test_what_a_killed_run_left_running_is_ended(temp_dir: Path) -> None:
    with run_in_a_process(temp_dir, "killed") as process, run_in_a_process(temp_dir, "living") as living:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with ffmpeg_at(temp_dir / "killed") as orphan, ffmpeg_at(temp_dir / "living") as busy:
            remove_abandoned(temp_dir)
            assert orphan.wait(10) == -signal.SIGKILL
            assert busy.poll() is None
        living.communicate("")


def test_what_a_living_run_uses_stays(temp_dir: Path) -> None:
    with run_in_a_process(temp_dir, "living") as process:
        with open_staging(temp_dir, "next"):
            assert _runs(temp_dir) == ["living", "next"]
        assert (temp_dir / "living" / "10-17-25" / "StereoMix.wav").read_bytes() == b"half a download"
        process.communicate("")
        assert process.returncode == 0
    assert _runs(temp_dir) == []


def test_an_interrupted_run_removes_its_own(temp_dir: Path) -> None:
    with run_in_a_process(temp_dir, "interrupted") as process:
        process.send_signal(signal.SIGINT)
        process.communicate()
        assert process.returncode != 0
    assert _runs(temp_dir) == []


def test_what_is_not_ours_is_not_touched(temp_dir: Path) -> None:
    (temp_dir / "somebody's").mkdir(parents=True)
    (temp_dir / "somebody's" / "file").write_text("kept")
    (temp_dir / "a file").write_text("kept")
    with open_staging(temp_dir, "run-1"):
        pass
    assert _runs(temp_dir) == ["a file", "somebody's"]
    assert (temp_dir / "somebody's" / "file").read_text() == "kept"


def test_a_history_below_it_is_not_taken_for_staging(temp_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TEMP_DIR=/data and DAGSTER_HOME=/data/dagster; both have locks that nobody holds most of the time."""
    monkeypatch.setenv("DAGSTER_HOME", str(temp_dir / "dagster"))
    prepare_dagster_home()
    before = sorted((temp_dir / "dagster").rglob("*"))
    (temp_dir / "other").mkdir()
    (temp_dir / "other" / ".lock").touch()
    with open_staging(temp_dir, "run-1"):
        pass
    assert sorted((temp_dir / "dagster").rglob("*")) == before
    assert _runs(temp_dir) == ["dagster", "other"]


def test_a_link_in_place_of_the_lock_is_not_followed(temp_dir: Path, tmp_path: Path) -> None:
    """Where others may write, such as in /tmp."""
    precious = tmp_path / "precious"
    precious.write_text("kept")
    temp_dir.mkdir(parents=True, exist_ok=True)
    (temp_dir / LOCK_NAME).symlink_to(precious)
    with pytest.raises(AudioCompressorError), open_staging(temp_dir, "run-1"):
        pass
    assert precious.read_text() == "kept"


def test_runs_that_begin_and_end_at_the_same_time(temp_dir: Path) -> None:
    """Each looks at the others' directories while they appear and vanish."""

    def run_often(worker: int) -> int:
        for number in range(100):
            with open_staging(temp_dir, f"{worker}-{number}") as staging, staging.recording("a") as path:
                assert path.is_dir()
        return worker

    with ThreadPoolExecutor(6) as workers:
        assert list(workers.map(run_often, range(6))) == list(range(6))
    assert _runs(temp_dir) == []


def test_too_little_space_is_told_before_it_is_needed(temp_dir: Path) -> None:
    with open_staging(temp_dir, "run-1") as staging:
        staging.require_space(0)
        free_bytes = shutil.disk_usage(staging.path).free
        with pytest.raises(OutOfSpaceError, match="TEMP_DIR") as caught:
            staging.require_space(free_bytes + 1_000_000_000)
        assert f"{(free_bytes + 1_000_000_000) / 1e6:,.0f} MB" in str(caught.value)
        assert str(staging.path) in str(caught.value)


def test_the_reserve_is_left_for_others(tmp_path: Path) -> None:
    """Free space moves while other programs write, so the limits are well to either side of the reserve."""
    free_bytes = shutil.disk_usage(tmp_path).free
    staging = Staging(tmp_path)
    with pytest.raises(OutOfSpaceError):
        staging.require_space(free_bytes - RESERVE_BYTES // 2)
    staging.require_space(max(free_bytes - 40 * RESERVE_BYTES, 0))


def test_space_that_the_run_itself_takes_is_waited_for(temp_dir: Path) -> None:
    with (
        open_staging(temp_dir, "run-1") as staging,
        ThreadPoolExecutor(1) as thread,
        staging.recording("first") as first,
        staging.recording("second"),
    ):
        with (first / "StereoMix.wav").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 400_000_000)
        # Other programs write meanwhile, so there are 200 MB to either side.
        needed_bytes = shutil.disk_usage(staging.path).free + 200_000_000 - RESERVE_BYTES
        waiting = thread.submit(staging.require_space, needed_bytes, threading.Event())
        assert not wait([waiting], timeout=1.0).done
        (first / "StereoMix.wav").unlink()
        waiting.result(timeout=10)


def test_those_who_wait_for_each_other_are_told(temp_dir: Path) -> None:
    with open_staging(temp_dir, "run-1") as staging, ThreadPoolExecutor(2) as threads:

        def want(name: str) -> None:
            with staging.recording(name):
                both.wait()
                staging.require_space(10**18)

        both = threading.Barrier(2)
        for wanting in [threads.submit(want, name) for name in ("first", "second")]:
            with pytest.raises(OutOfSpaceError):
                wanting.result(timeout=10)


def test_who_waits_for_space_can_be_stopped(temp_dir: Path) -> None:
    cancel = threading.Event()
    with open_staging(temp_dir, "run-1") as staging, ThreadPoolExecutor(1) as thread:
        with staging.recording("first"), staging.recording("second"):
            waiting = thread.submit(staging.require_space, 10**18, cancel)
            assert not wait([waiting], timeout=0.5).done
            cancel.set()
            with pytest.raises(CancelledError):
                waiting.result(timeout=10)
        with staging.recording("alone"), pytest.raises(OutOfSpaceError):
            staging.require_space(10**18)


def test_a_small_disk_has_no_room_for_the_reserve(small_disk: Path) -> None:
    with open_staging(small_disk / "staging", "run-1") as staging, pytest.raises(OutOfSpaceError, match="1 MB free"):
        staging.require_space(0)


def _runs(temp_dir: Path) -> list[str]:
    """What is in the directory besides the lock of the directory itself."""
    return [name for name in names_in(temp_dir) if name != LOCK_NAME]
