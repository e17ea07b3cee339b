"""Whether a kept file is in use is told by the kernel: whoever works with one holds a lock on it, which ends with the
process however that ends. None of the files is ever opened through a symbolic link.
"""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audio_compressor.errors import AccessDeniedError

# A clean-up that looks whether a file is in use holds its lock for less than a millisecond.
WAIT_SECONDS = 1.0
_LOOK_SECONDS = 0.02


def require_plain_file(path: Path, found: os.stat_result) -> None:
    """Raises AccessDeniedError for a link, a directory, or anything else that may lead elsewhere or block."""
    if not stat.S_ISREG(found.st_mode):
        raise AccessDeniedError(f"{path} is no plain file; it is left alone. See who has put it there, and remove it")


@contextmanager
def locked(path: Path, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """The file, which is there under this name as long as the block lasts, for nobody else.

    Raises:
        BlockingIOError: somebody else has it.
        FileNotFoundError: it is not there, or not any more.
        AccessDeniedError: it is no plain file.
    """
    require_plain_file(path, path.lstat())
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        require_plain_file(path, os.fstat(descriptor))
        take(descriptor, wait_seconds)
        if not os.path.samestat(os.fstat(descriptor), path.lstat()):
            raise FileNotFoundError(f"{path} is another file by now")
        yield
    finally:
        os.close(descriptor)


def take(descriptor: int, wait_seconds: float = 0.0) -> None:
    """Lock an open file until it is closed. Raises BlockingIOError."""
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_LOOK_SECONDS)


def is_in_use(path: Path) -> bool:
    """Whether somebody works with it at this moment. A file that is not there is not in use."""
    try:
        with locked(path):
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
