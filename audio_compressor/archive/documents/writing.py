"""Puts a changed document into the library, whole or not at all, and never over another program's edit.

Between reading a document and replacing it an application may have written it again. So the new file and the old one
exchange their names in one step (renameat2(2), RENAME_EXCHANGE), and only then is the old one looked at: if it is not
the one that was read, they are exchanged back. Whoever replaces documents holds the library's lock; applications do
not.
"""

import errno
import glob
import hashlib
import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from audio_compressor.archive.documents.names import shown
from audio_compressor.archive.renaming import CANNOT_RENAME_SO, exchange_names
from audio_compressor.errors import DocumentChangedError, LibraryError
from audio_compressor.local_files import local_errors, sha256_of, sync_directory
from audio_compressor.recording import part_name

Exchange = Callable[[Path, Path], None]

_TAG_CHARACTERS = 16
_TAG = re.compile(f"[0-9a-f]{{{_TAG_CHARACTERS}}}")


def replace_document(path: Path, expected_sha256: str, new_text: str, exchange: Exchange = exchange_names) -> None:
    """Replace a document that has not changed since it was read; it keeps its mode, and its owner where we may give it.

    Raises:
        DocumentChangedError: it is another one by now, or gone; nothing was changed.
        LibraryError: it is a symbolic link, or no file at all.
        OutOfSpaceError, AccessDeniedError, StorageError: it could not be written; the earlier one is there.
    """
    with local_errors(path):
        try:
            found = path.lstat()
        except FileNotFoundError:
            raise _changed(path) from None
        if not stat.S_ISREG(found.st_mode):
            raise LibraryError(f"{path} is a symbolic link or no regular file, so it is not changed; replace it by one")
        if _sha256(path) != expected_sha256:
            raise _changed(path)
        content = new_text.encode()
        new_sha256 = hashlib.sha256(content).hexdigest()
        if new_sha256 == expected_sha256:
            return
        part = path.with_name(part_name(f"{path.name}.{new_sha256[:_TAG_CHARACTERS]}"))
        try:
            part.unlink(missing_ok=True)  # by its name ours, and not exchanged
            _write(part, content, found)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        _put_in_place(path, part, expected_sha256, new_sha256, exchange)
        sync_directory(path.parent)


def recover_document(path: Path, exchange: Exchange = exchange_names) -> None:
    """Undo what a killed `replace_document` left halfway: to be called before a document is read again.

    Its part file carries the beginning of the SHA-256 of what it was to write. If that is what the document holds, the
    names were exchanged already, and the part file is the old document or an edit that nobody has looked at: it goes
    back, and the change is to be made again. Otherwise the part file is ours.

    Raises:
        OutOfSpaceError, AccessDeniedError, StorageError: a file could not be read or renamed.
    """
    start, end = part_name(f"{path.name}.\0").split("\0")
    with local_errors(path):
        for part in list(path.parent.glob(f"{glob.escape(start)}*{glob.escape(end)}")):
            tag = part.name.removeprefix(start).removesuffix(end)
            if not _TAG.fullmatch(tag):
                continue
            if (_sha256(path) or "").startswith(tag):
                _exchange_or_rename(part, path, exchange)
                if part.exists() and not (_sha256(part) or "").startswith(tag):
                    _exchange_or_rename(part, path, exchange)  # written anew after that look, and it counts
            part.unlink(missing_ok=True)
            sync_directory(path.parent)


def _write(part: Path, content: bytes, like: os.stat_result) -> None:
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        for owner in ((like.st_uid, -1), (-1, like.st_gid)):
            with suppress(PermissionError):  # only root gives files away; others may give them to their groups
                os.fchown(descriptor, *owner)
        os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
        os.fsync(descriptor)


def _put_in_place(path: Path, part: Path, expected_sha256: str, new_sha256: str, exchange: Exchange) -> None:
    try:
        exchange(part, path)
    except OSError as error:
        if error.errno not in CANNOT_RENAME_SO:
            part.unlink(missing_ok=True)
            raise _changed(path) if error.errno == errno.ENOENT else error from error
        # The moment between the look and the renaming is all that is left to lose an edit in.
        if _sha256(path) != expected_sha256:
            part.unlink()
            raise _changed(path) from None
        part.replace(path)
        return
    with suppress(OSError):  # what cannot be read goes back as well
        if _sha256(part) == expected_sha256:
            part.unlink()
            return
    exchange(part, path)
    if _sha256(part) != new_sha256:
        exchange(part, path)  # it was written yet again: that edit is the last one, and what lay here before is not
    part.unlink()
    raise _changed(path)


def _exchange_or_rename(part: Path, path: Path, exchange: Exchange) -> None:
    try:
        exchange(part, path)
    except OSError as error:
        if error.errno not in CANNOT_RENAME_SO:
            raise
        part.replace(path)


def _sha256(path: Path) -> str | None:
    """None for what is not there, or is a symbolic link or a directory by now."""
    if path.is_symlink() or not path.is_file():
        return None
    return sha256_of(path)


def _changed(path: Path) -> DocumentChangedError:
    return DocumentChangedError(
        f"{shown(path.name)} in {path.parent} was changed by another program while it was edited; "
        "the change is made to the new one at the next attempt"
    )
