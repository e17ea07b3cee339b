"""A document is replaced whole, and an edit that another program makes in the meantime is never lost."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from audio_compressor.archive.documents.writing import recover_document, replace_document
from audio_compressor.archive.renaming import exchange_names
from audio_compressor.errors import (
    AccessDeniedError,
    AudioCompressorError,
    DocumentChangedError,
    LibraryError,
    OutOfSpaceError,
    StorageError,
)
from audio_compressor_tests.fixtures.directories import names_in

OLD, NEW, EDIT = '{"old": 1}\n', '{"new": "ü"}\n', '{"edit": 1}\n'
NAME = "täl k.json"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_text(OLD, encoding="utf-8")
    return path


def refuses(first: Path, second: Path) -> None:
    """What NFS answers."""
    raise OSError(errno.EINVAL, "Invalid argument")


def after(edit: Callable[[], object]) -> Callable[[Path, Path], None]:
    """Another program is faster, once."""
    edits = [edit]

    def exchange(first: Path, second: Path) -> None:
        if edits:
            edits.pop()()
        exchange_names(first, second)

    return exchange


@pytest.mark.parametrize("exchange", [exchange_names, refuses])
def test_a_document_is_replaced(path: Path, exchange: Callable[[Path, Path], None]) -> None:
    replace_document(path, sha256(OLD), NEW, exchange)
    assert path.read_bytes() == NEW.encode()
    assert names_in(path.parent) == [NAME]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_mode_and_owner_are_kept(path: Path, mode: int) -> None:
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, 1234, 2345)
    before = path.stat()
    replace_document(path, sha256(OLD), NEW)
    now = path.stat()
    assert stat.S_IMODE(now.st_mode) == mode
    assert (now.st_uid, now.st_gid) == (before.st_uid, before.st_gid)
    assert now.st_ino != before.st_ino


@pytest.mark.parametrize("exchange", [exchange_names, refuses])
def test_what_changed_since_it_was_read_is_left(path: Path, exchange: Callable[[Path, Path], None]) -> None:
    path.write_text(EDIT)
    with pytest.raises(DocumentChangedError, match=NAME):
        replace_document(path, sha256(OLD), NEW, exchange)
    assert path.read_text() == EDIT
    path.unlink()
    with pytest.raises(DocumentChangedError):
        replace_document(path, sha256(OLD), NEW, exchange)
    assert names_in(path.parent) == []


def rewrite(path: Path) -> None:
    path.write_text(EDIT)


def rename_over(path: Path) -> None:
    """As careful programs write."""
    (path.parent / "new").write_text(EDIT)
    (path.parent / "new").replace(path)


@pytest.mark.parametrize("edit", [rewrite, rename_over])
@pytest.mark.parametrize("can_exchange", [True, False])
def test_an_edit_in_the_last_moment_is_kept(path: Path, edit: Callable[[Path], None], can_exchange: bool) -> None:
    def exchange(first: Path, second: Path) -> None:
        edit(path)
        refuses(first, second)

    with pytest.raises(DocumentChangedError):
        replace_document(path, sha256(OLD), NEW, after(lambda: edit(path)) if can_exchange else exchange)
    assert path.read_text() == EDIT
    assert names_in(path.parent) == [NAME]


@pytest.mark.parametrize("edit", [rewrite, rename_over])
def test_of_two_edits_the_last_is_kept(path: Path, edit: Callable[[Path], None]) -> None:
    """One just before the names are exchanged, and one before they are exchanged back."""
    edits: list[Callable[[], object]] = [lambda: edit(path), lambda: path.write_text("first edit")]

    def exchange(first: Path, second: Path) -> None:
        if edits:
            edits.pop()()
        exchange_names(first, second)

    with pytest.raises(DocumentChangedError):
        replace_document(path, sha256(OLD), NEW, exchange)
    assert path.read_text() == EDIT
    assert names_in(path.parent) == [NAME]


def test_a_document_that_is_removed_in_the_last_moment(path: Path) -> None:
    with pytest.raises(DocumentChangedError):
        replace_document(path, sha256(OLD), NEW, after(path.unlink))
    assert names_in(path.parent) == []


def test_a_symbolic_link_is_refused(path: Path) -> None:
    link = path.with_name("link.json")
    link.symlink_to(path)
    with pytest.raises(LibraryError, match="symbolic link"):
        replace_document(link, sha256(OLD), NEW)
    assert link.is_symlink()
    assert path.read_text() == OLD


def test_a_symbolic_link_that_appears_in_the_last_moment(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text(OLD)

    def link() -> None:
        path.unlink()
        path.symlink_to(target)

    with pytest.raises(DocumentChangedError):
        replace_document(path, sha256(OLD), NEW, after(link))
    assert path.is_symlink()
    assert target.read_text() == OLD


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EIO, StorageError), (errno.EROFS, AccessDeniedError), (errno.ENOSPC, OutOfSpaceError)],
)
def test_another_failure_leaves_the_document(path: Path, number: int, kind: type[AudioCompressorError]) -> None:
    def fails(first: Path, second: Path) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(kind, match=NAME):
        replace_document(path, sha256(OLD), NEW, fails)
    assert path.read_text() == OLD
    assert names_in(path.parent) == [NAME]


class KilledError(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


def killed_before(first: Path, second: Path) -> None:
    raise KilledError


def killed_after(first: Path, second: Path) -> None:
    exchange_names(first, second)
    raise KilledError


@pytest.mark.parametrize(("killed", "found"), [(killed_before, OLD), (killed_after, NEW)])
@pytest.mark.parametrize("edit", [None, EDIT])
def test_what_a_killed_one_left_is_undone(
    path: Path, killed: Callable[[Path, Path], None], found: str, edit: str | None
) -> None:
    """Also when what was exchanged out is an edit that nobody has looked at."""

    def exchange(first: Path, second: Path) -> None:
        if edit:
            path.write_text(edit)
        killed(first, second)

    with pytest.raises(KilledError):
        replace_document(path, sha256(OLD), NEW, exchange)
    assert path.read_text() == (edit if edit and found == OLD else found)
    assert len(names_in(path.parent)) == 2
    recover_document(path)
    assert path.read_text() == (edit or OLD)
    assert names_in(path.parent) == [NAME]


def test_recovery_touches_nothing_else(path: Path) -> None:
    others = [f".{NAME}.part", f".{NAME}.backup.part", f".x{NAME}.0123456789abcdef.part", ".0123456789abcdef.part"]
    for other in others:
        path.with_name(other).touch()
    recover_document(path)
    assert names_in(path.parent) == sorted([NAME, *others])


def test_a_leftover_does_not_stop_the_next_attempt(path: Path) -> None:
    with pytest.raises(KilledError):
        replace_document(path, sha256(OLD), NEW, killed_before)
    replace_document(path, sha256(OLD), NEW)
    assert path.read_text() == NEW
    assert names_in(path.parent) == [NAME]
