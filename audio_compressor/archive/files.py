"""The few things done with a library's files: recognising them, moving them so that nothing is ever overwritten, and
reading them back from the disk itself.
"""

import hashlib
import os
import stat
from pathlib import Path

from audio_compressor.archive.model import Stamp
from audio_compressor.archive.renaming import CANNOT_LINK, CANNOT_RENAME_SO, rename_without_replacing
from audio_compressor.errors import StorageError
from audio_compressor.local_files import local_errors, sync_directory

_READ_BYTES = 1 << 20


def stamp_of(path: Path) -> Stamp | None:
    """Of a file; None where there is none, and for what is no plain file."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return stamp_from(found) if stat.S_ISREG(found.st_mode) else None


def stamp_from(found: os.stat_result) -> Stamp:
    return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def read_back(path: Path) -> str:
    """SHA-256 in hexadecimal of what the disk holds: flushed first, and what the kernel still has of it let go.

    Raises:
        StorageError and its kin: it cannot be read, or is a link.
    """
    digest = hashlib.sha256()
    with local_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            while data := file.read(_READ_BYTES):
                digest.update(data)
    return digest.hexdigest()


def is_whole(path: Path, size_bytes: int, sha256: str) -> bool:
    """Whether exactly this content lies there."""
    stamp = stamp_of(path)
    return stamp is not None and stamp.size_bytes == size_bytes and read_back(path) == sha256


def move(source: Path, destination: Path) -> None:
    """Rename a file to a name that must be free, and flush both directories.

    Raises:
        StorageError and its kin: nothing was moved; ``destination`` may be taken.
    """
    with local_errors(destination):
        _rename(source, destination)
        sync_directory(destination.parent)
        if source.parent != destination.parent:
            sync_directory(source.parent)


def remove(path: Path) -> None:
    """A file, for good; one that is not there is fine."""
    with local_errors(path):
        path.unlink(missing_ok=True)
        sync_directory(path.parent)


def _rename(source: Path, destination: Path) -> None:
    try:
        rename_without_replacing(source, destination)
    except FileExistsError:
        raise _taken(destination) from None
    except OSError as error:
        if error.errno not in CANNOT_RENAME_SO:
            raise
        _link_and_unlink(source, destination)


def _link_and_unlink(source: Path, destination: Path) -> None:
    """A link is refused where the name is taken, and needs no look that somebody could come after."""
    try:
        os.link(source, destination, follow_symlinks=False)
    except FileExistsError:
        if not os.path.samestat(source.lstat(), destination.lstat()):
            raise _taken(destination) from None
    except OSError as error:
        if error.errno not in CANNOT_LINK:
            raise
        if os.path.lexists(destination):
            raise _taken(destination) from None
        source.rename(destination)  # the last resort: whoever makes this name in between loses it
        return
    source.unlink()  # also where a process was killed that had just linked it


def _taken(path: Path) -> StorageError:
    return StorageError(f"{path} is there already, and nothing is overwritten; move it away")
