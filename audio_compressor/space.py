"""Is there room for what is about to be written? Asked before the first byte, of every disk that we write to.

`judge_space` is the rule; `look_at_space` asks a disk; `check_space` stops what does not fit.
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from audio_compressor.errors import OutOfSpaceError
from audio_compressor.local_files import local_errors

log = logging.getLogger(__name__)

# With less than this free nothing is begun, however small: databases and logs on the same disk need it.
LEAST_FREE_BYTES = 10_000_000


@dataclass(frozen=True)
class Space:
    """``free_bytes`` is None where a file system does not tell. ``sentence`` is for people."""

    free_bytes: int | None
    is_enough: bool
    is_low: bool
    sentence: str


def judge_space(
    free_bytes: int | None, needed_bytes: int, warning_bytes: int, least_bytes: int = LEAST_FREE_BYTES
) -> Space:
    """Whether ``needed_bytes`` may be written: they fit, and at least ``least_bytes`` are free before.

    It is low when less than ``warning_bytes`` are free before, or would be afterwards.
    """
    if free_bytes is None:
        return Space(None, is_enough=True, is_low=False, sentence="the file system does not tell how much is free")
    free = f"{_mb(free_bytes)} free"
    if free_bytes < needed_bytes:
        return Space(free_bytes, False, True, f"{free}, and {_mb(needed_bytes)} are needed")
    if free_bytes < least_bytes:
        return Space(free_bytes, False, True, f"{free}, and nothing is begun with less than {_mb(least_bytes)}")
    left_bytes = free_bytes - needed_bytes
    if left_bytes >= warning_bytes:
        return Space(free_bytes, True, False, free)
    left = f"{free}, {_mb(left_bytes)} after the next file" if needed_bytes else free
    return Space(free_bytes, True, True, f"{left}; less than {_mb(warning_bytes)} is low (DISK_WARNING_MB)")


def look_at_space(
    path: Path, needed_bytes: int = 0, warning_bytes: int = 0, least_bytes: int = LEAST_FREE_BYTES
) -> Space:
    """What `judge_space` says of the disk that ``path`` is on, or would be: it need not exist yet.

    Raises:
        AccessDeniedError, StorageError: the disk cannot be asked.
    """
    with local_errors(path):
        place = next(place for place in (path, *path.absolute().parents) if place.exists())
        found = os.statvfs(place)
    # Some network and FUSE file systems answer with zeros to what they do not know.
    free_bytes = found.f_bavail * found.f_frsize if found.f_blocks else None
    return judge_space(free_bytes, needed_bytes, warning_bytes, least_bytes)


def check_space(path: Path, needed_bytes: int, warning_bytes: int, least_bytes: int = LEAST_FREE_BYTES) -> Space:
    """To be called before ``needed_bytes`` are written to ``path``. What is low is logged, and returned to be shown.

    Raises:
        OutOfSpaceError: they must not be written.
        AccessDeniedError, StorageError: the disk cannot be asked.
    """
    space = look_at_space(path, needed_bytes, warning_bytes, least_bytes)
    if not space.is_enough:
        raise OutOfSpaceError(f"No space left for {path}: {space.sentence}. Free some or choose another directory")
    if space.is_low:
        log.warning("Space is getting low where %s is: %s", path, space.sentence)
    return space


def _mb(size_bytes: int) -> str:
    """Down to the kilobyte below 10 MB, so that what is too little does not look like enough."""
    return f"{size_bytes / 1e6:,.0f} MB" if size_bytes >= 10_000_000 else f"{size_bytes / 1e6:,.3f} MB"
