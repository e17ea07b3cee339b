"""Staging space: a private directory for each run below TEMP_DIR, removed in every outcome.

A run holds a lock on its directory for as long as it lives. The kernel releases the lock when the process ends, however
it ends, so what a killed run left behind is told from what a running one uses, and removed by the next run.
"""

import errno
import fcntl
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from audio_compressor.audio.ffmpeg import file_url
from audio_compressor.errors import AccessDeniedError, CancelledError, OutOfSpaceError, PermanentError
from audio_compressor.local_files import local_errors
from audio_compressor.recording import why_unusable

# What the file system, logs and other programs need beside us.
RESERVE_BYTES = 50_000_000
# By this name a directory is known as ours: DAGSTER_HOME, which may lie below TEMP_DIR, has a `.lock` too.
LOCK_NAME = ".audio-compressor-staging"
# A directory that is being made or removed: it may have no lock yet, or no longer, and nobody uses it.
_UNUSED_PREFIX = f"{LOCK_NAME}-"
_LOOK_SECONDS = 0.2
# While another run removes what killed ones left: gigabytes, perhaps on a slow disk.
_MOST_WAITING_SECONDS = 300.0


class Staging:
    """The staging directory of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._in_use = 0
        self._waiting = 0
        self._released = threading.Condition()

    @contextmanager
    def recording(self, directory: str) -> Iterator[Path]:
        """A directory for one recording; gone, with everything in it, at the end of the block.

        Raises:
            PermanentError: the name cannot be a recording's. Anybody may add a partition of any name in Dagster's UI.
        """
        if reason := why_unusable(directory):
            raise PermanentError(f"{directory!r} cannot be worked on: {reason}; delete this partition")
        path = self.path / directory
        with local_errors(path):
            path.mkdir(mode=0o700)
        with self._released:
            self._in_use += 1
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            with self._released:
                self._in_use -= 1
                self._released.notify_all()

    def require_space(self, needed_bytes: int, cancel: threading.Event | None = None) -> None:
        """To be called for one of the recordings: wait for ``needed_bytes`` and a reserve to be free, for as long as
        there are others whose space will be given back.

        Raises:
            OutOfSpaceError: too little is free, and what is taken is not ours.
            CancelledError: soon after ``cancel`` is set.
        """
        with self._released:
            self._waiting += 1
        try:
            self._wait_for_space(needed_bytes, cancel or threading.Event())
        finally:
            with self._released:
                self._waiting -= 1

    def _wait_for_space(self, needed_bytes: int, cancel: threading.Event) -> None:
        while True:
            with self._released:
                nobody_will_release = self._in_use <= self._waiting
            free_bytes = shutil.disk_usage(self.path).free
            if free_bytes >= needed_bytes + RESERVE_BYTES:
                return
            if nobody_will_release:
                raise OutOfSpaceError(
                    f"{self.path} has {free_bytes / 1e6:,.0f} MB free; {needed_bytes / 1e6:,.0f} MB and a reserve of "
                    f"{RESERVE_BYTES / 1e6:,.0f} MB are needed. Free some space or point TEMP_DIR to a larger disk."
                )
            with self._released:
                self._released.wait(_LOOK_SECONDS)  # in steps: originals go before their recordings do
            if cancel.is_set():
                raise CancelledError("stopped while waiting for staging space")


@contextmanager
def open_staging(temp_dir: Path, run_id: str) -> Iterator[Staging]:
    """Make ``temp_dir/run_id``, after removing what killed runs left in ``temp_dir``.

    Raises:
        AccessDeniedError: it belongs to somebody else, who could exchange recordings in it.
        AudioCompressorError: it cannot be written to.
    """
    path = temp_dir / run_id
    with local_errors(temp_dir):
        temp_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_ours(temp_dir)
        # One at a time, or a run that has made its directory but not locked it yet would look abandoned.
        with _lock(temp_dir, wait=True):
            _remove_abandoned(temp_dir)
            lock = _make(path)
    with lock:
        try:
            yield Staging(path)
        finally:
            _remove(path)


def remove_abandoned(temp_dir: Path) -> None:
    """Remove what killed runs left; for when there is no new run that would.

    Raises:
        AudioCompressorError: the directory cannot be written to.
    """
    with local_errors(temp_dir):
        if temp_dir.is_dir():
            with _lock(temp_dir, wait=True):
                _remove_abandoned(temp_dir)


def _remove_abandoned(temp_dir: Path) -> None:
    for path in temp_dir.iterdir():
        with suppress(OSError):  # in use, just removed by the run that used it, or somebody else's
            if path.name.startswith(_UNUSED_PREFIX):
                shutil.rmtree(path, ignore_errors=True)
            elif (path / LOCK_NAME).is_file():
                with _lock(path):
                    _kill_orphans(path)
                    _remove(path)


def _make(path: Path) -> IO[bytes]:
    unused = _unused(path)
    unused.mkdir(mode=0o700)
    lock = _lock(unused)
    unused.rename(path)
    return lock


def _remove(path: Path) -> None:
    unused = _unused(path)
    with suppress(OSError):  # removed by somebody else meanwhile
        path.rename(unused)
    shutil.rmtree(unused, ignore_errors=True)


def _unused(path: Path) -> Path:
    return path.with_name(f"{_UNUSED_PREFIX}{path.name}")


def _require_ours(temp_dir: Path) -> None:
    """The mode is not looked at: Kubernetes lets everybody write to an ``emptyDir``, which belongs to root."""
    owner = temp_dir.stat().st_uid
    if owner not in {0, os.geteuid()}:
        raise AccessDeniedError(
            f"TEMP_DIR {temp_dir} belongs to another user ({owner}), who could exchange recordings in it. "
            "Point TEMP_DIR to a directory of your own, or to one below it that does not exist yet."
        )


def _kill_orphans(path: Path) -> None:
    """FFmpegs of the killed run that still work here, or hang: into files that are about to be removed."""
    mark = os.fsencode(f"{file_url(path)}/")
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile, or somebody else's
            if any(argument.startswith(mark) for argument in (process / "cmdline").read_bytes().split(b"\0")):
                os.kill(int(process.name), signal.SIGKILL)


def _lock(directory: Path, *, wait: bool = False) -> IO[bytes]:
    """Lock a directory until the returned file is closed; BlockingIOError when somebody else has it.

    TEMP_DIR may be a place where others can make links: none is followed, and nothing that is there is emptied.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    lock = os.fdopen(os.open(directory / LOCK_NAME, flags, 0o600), "r+b")
    try:
        if (owner := os.fstat(lock.fileno()).st_uid) != os.geteuid():
            raise AccessDeniedError(
                f"{directory / LOCK_NAME} belongs to another user ({owner}), who could hold it for ever. "
                "Remove it, or point TEMP_DIR to a directory of your own."
            )
        deadline = time.monotonic() + (_MOST_WAITING_SECONDS if wait else 0)
        while not _is_taken(lock):
            if time.monotonic() >= deadline:
                raise BlockingIOError(
                    errno.EAGAIN, f"another run holds {LOCK_NAME} for {_MOST_WAITING_SECONDS:.0f} s; is it stopped?"
                )
            time.sleep(_LOOK_SECONDS)
    except BaseException:
        lock.close()
        raise
    return lock


def _is_taken(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
