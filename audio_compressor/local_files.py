"""Errors of local files, as this project's errors, and the few things done with local files in more than one place."""

import errno
import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from audio_compressor.errors import AccessDeniedError, AudioCompressorError, OutOfSpaceError, StorageError
from audio_compressor.recording import part_name

# Of what is published: the SFTP server that serves the results, and analysts, are other users.
READABLE_MODE = 0o644


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


def why_others_may_write(found: os.stat_result, user_id: int, group_ids: Collection[int]) -> str | None:
    """Who else than root and the given user could change a file or directory, or None.

    A group that is one of ours is trusted: Kubernetes makes what is on a volume writable for its ``fsGroup``.
    """
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid not in {0, user_id}:
        return f"it belongs to another user ({found.st_uid})"
    if mode & stat.S_IWOTH and not (stat.S_ISDIR(found.st_mode) and mode & stat.S_ISVTX):
        return f"everybody may write to it (mode {mode:03o})"
    if mode & stat.S_IWGRP and found.st_gid not in {0, *group_ids}:
        return f"the group {found.st_gid} may write to it (mode {mode:03o})"
    return None


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Write UTF-8 text, whole or not at all, and flush it to disk. The file has ``mode``, whatever the umask.

    Raises:
        OutOfSpaceError, AccessDeniedError, StorageError: an earlier file of that name is still there.
    """
    part = path.with_name(part_name(path.name))
    with local_errors(path):
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            part.replace(path)
            sync_directory(path.parent)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise
