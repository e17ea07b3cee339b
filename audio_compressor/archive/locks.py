"""Who works on what in a library: locks that the kernel gives back when their holder dies."""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audio_compressor.errors import CancelledError, TimedOutError
from audio_compressor.local_files import local_errors

_LOOK_SECONDS = 0.05
# Whoever holds a lock that is waited for writes one small file; a disk that hangs is another matter.
_MOST_WAITING_SECONDS = 120.0


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Hold the lock for the block; False when somebody else has it."""
    descriptor = _taken(path)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            # With the lock held, so that who opened the same file meanwhile sees that it is gone.
            path.unlink(missing_ok=True)
            os.close(descriptor)


@contextmanager
def wait_for_lock(path: Path, cancel: threading.Event | None = None) -> Iterator[None]:
    """Hold the lock for the block, after whoever has it.

    Raises:
        CancelledError: ``cancel`` was set meanwhile.
        TimedOutError: somebody holds it for minutes.
    """
    cancel = cancel or threading.Event()
    waited_seconds = 0.0
    while (descriptor := _taken(path)) is None:
        if cancel.wait(_LOOK_SECONDS):
            raise CancelledError(f"stopped while waiting for {path}")
        waited_seconds += _LOOK_SECONDS
        if waited_seconds > _MOST_WAITING_SECONDS:
            raise TimedOutError(f"another process has held {path} for {_MOST_WAITING_SECONDS:.0f} s; is it stopped?")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _taken(path: Path) -> int | None:
    """A descriptor that holds the lock on the file that lies at the path, or None."""
    with local_errors(path):
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            except BaseException:
                os.close(descriptor)
                raise
            if _is_at(descriptor, path):
                return descriptor
            os.close(descriptor)  # its holder has just removed it


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)
