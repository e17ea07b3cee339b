"""Errors of local files, as this project's errors, and the few things done with local files in more than one place."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from audio_compressor.errors import AccessDeniedError, AudioCompressorError, OutOfSpaceError, StorageError
from audio_compressor.recording import part_name


@contextmanager
def local_errors(path: Path) -> Iterator[None]:
    """Translate every OSError of the block.

    Raises:
        OutOfSpaceError: the file system or the quota is full.
        AccessDeniedError: no permission, or a read-only file system.
        StorageError: anything else.
    """
    try:
        yield
    except OSError as error:
        raise _translated(error, path) from error


def _translated(error: OSError, path: Path) -> AudioCompressorError:
    reason = error.strerror or str(error)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return OutOfSpaceError(f"No space left for {path} ({reason}); free some or choose another directory")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return AccessDeniedError(f"{path} cannot be written or read: {reason}; check its owner and permissions")
    return StorageError(f"{path}: {reason}")


def sha256_of(path: Path) -> str:
    """SHA-256 in hexadecimal of what is on disk."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_directory(path: Path) -> None:
    """Flush a directory, so that a rename in it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all, and flush it to disk.

    Raises:
        OutOfSpaceError, AccessDeniedError, StorageError: an earlier file of that name is still there.
    """
    part = path.with_name(part_name(path.name))
    with local_errors(path):
        try:
            with part.open("w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            sync_directory(path.parent)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise
