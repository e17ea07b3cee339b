"""The trash: what lies in it stays until what stands for it is looked at, and comes back on request."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from audio_compressor.archive.cold import ColdArchive
from audio_compressor.archive.holds import place_hold, read_holds, release_hold
from audio_compressor.archive.locks import try_lock
from audio_compressor.archive.matching import Matcher
from audio_compressor.archive.paperwork import Paperwork
from audio_compressor.archive.protocol import Changing
from audio_compressor.archive.purging import Purge, purge_older
from audio_compressor.archive.restoring import Restorer
from audio_compressor.archive.trash import ABOUT_NAME, read_trash
from audio_compressor.errors import AccessDeniedError, LibraryError, TimedOutError
from audio_compressor_tests.archive.changes import (
    AT,
    COPY,
    FIRST,
    KEY,
    ORIGINAL,
    Library,
    compression,
    deletion,
    new_library,
    prepared,
    to_cold_storage,
)

_LATER = AT + timedelta(days=100)
_TRASH_DAYS = 7


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Of a recording whose original is in the trash."""
    library = new_library(tmp_path / "library")
    library.changing().carry_out(compression(library, FIRST, 96))
    return library


def _purge(library: Library, now: object = _LATER) -> Purge:
    cold = cast("ColdArchive", library.cold)
    return purge_older(now, _TRASH_DAYS, library.layout, library.records, cold)  # type: ignore[arg-type]


def _restorer(library: Library) -> Restorer:
    return Restorer(library.layout, library.records, library.changing(), cast("ColdArchive", library.cold), 0)


def _in_trash(library: Library) -> list[str]:
    return [entry.path for entry in read_trash(library.layout)[0]]


def test_it_is_emptied_when_its_days_are_over(library: Library) -> None:
    assert _purge(library, AT + timedelta(days=6.9)).removed == ()
    assert _in_trash(library) == [KEY]

    purged = _purge(library, AT + timedelta(days=7))
    assert [entry.path for entry in purged.removed] == [KEY]
    assert purged.freed_bytes == len(ORIGINAL)
    assert list(library.layout.trash.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"", b"\0" * len(FIRST), FIRST + b"more"])
def test_what_stands_for_it_is_looked_at_first(library: Library, content: bytes | None) -> None:
    if content is None:
        (library.root / COPY).unlink()
    else:
        library.write(COPY, content)
    purged = _purge(library)
    assert not purged.removed
    assert "is not what was archived any more" in purged.kept[0]
    assert _in_trash(library) == [KEY]


def test_what_was_written_to_in_the_trash_stays(library: Library) -> None:
    """A recorder that had it open goes on writing."""
    [entry] = read_trash(library.layout)[0]
    with (library.root / entry.trash).open("ab") as file:
        file.write(b"and one thing more")
    assert "written to it since" in _purge(library).kept[0]
    with pytest.raises(LibraryError, match="by hand"):
        _restorer(library).restore(KEY, _LATER)
    assert not read_holds(library.layout)


@pytest.mark.parametrize("matcher", [Matcher(paths=("2026",)), Matcher(languages=("de",))])
def test_what_is_on_hold_stays(library: Library, matcher: Matcher) -> None:
    document = {**library.document(), "language": "DE"}
    library.write("2026/talk.json", json.dumps(document).encode())
    hold = place_hold(library.layout, matcher, "asked for by a court")
    assert _purge(library) == Purge((), ())
    release_hold(library.layout, hold.id)
    assert _purge(library).removed


def test_a_note_names_nothing_but_what_lies_beside_it(library: Library) -> None:
    [about] = library.layout.trash.glob(f"*/*.{ABOUT_NAME}")
    about.write_text(
        about.read_text().replace(about.name.removesuffix(f".{ABOUT_NAME}") + '",', '../../../index.json",')
    )
    before = library.state()
    assert "no note about a removed file" in _purge(library).kept[0]
    assert library.state() == before


def test_its_days_count_from_when_it_was_put_there(tmp_path: Path) -> None:
    """However long before the change was begun that did it."""
    library = new_library(tmp_path / "library")
    change = compression(library, FIRST, 96)
    late = AT + timedelta(days=30)
    Changing(library.layout, library.records, Paperwork(library.layout), now=lambda: late).carry_out(change)
    assert _purge(library, late + timedelta(days=6)).removed == ()
    assert len(_purge(library, late + timedelta(days=7)).removed) == 1


def test_it_stays_while_cold_storage_has_nothing(library: Library) -> None:
    library.changing().carry_out(to_cold_storage(library))
    checksums, library.cold.checksums = library.cold.checksums, set()
    assert len(_purge(library).kept) == 2
    library.cold.checksums = checksums
    assert len(_purge(library).removed) == 2


def test_it_stays_when_nothing_is_known_of_the_recording(library: Library) -> None:
    library.records.remove(KEY)
    assert "nothing is known to stand for it" in _purge(library).kept[0]


def test_it_stays_while_a_change_is_interrupted(library: Library) -> None:
    [entry] = read_trash(library.layout)[0]
    (library.layout.journal / f"{entry.id}.json").write_text("{}")
    assert "interrupted" in _purge(library).kept[0]


def test_it_stays_while_somebody_works_on_the_recording(library: Library) -> None:
    with try_lock(library.layout.lock_path(KEY)):
        assert _purge(library) == Purge((), ())
    assert len(_purge(library).removed) == 1


def test_what_was_to_be_deleted_goes_for_good(library: Library) -> None:
    library.changing().carry_out(deletion(library))
    assert sorted(entry.path for entry in _purge(library).removed) == [COPY, KEY]


def test_a_note_that_cannot_be_read_keeps_its_file(library: Library) -> None:
    [about] = library.layout.trash.glob(f"*/*.{ABOUT_NAME}")
    about.write_text("{")
    [kept] = _purge(library).kept
    assert "no note about a removed file" in kept
    assert about.with_name("talk.webm").exists()


def test_the_original_comes_back_and_stays(library: Library) -> None:
    before = new_library(library.root.parent / "before")
    restored = _restorer(library).restore(COPY, _LATER)

    assert (restored.path, restored.came_from) == (KEY, "the trash")
    assert library.read(KEY) == ORIGINAL
    assert library.document() == before.document()
    assert library.index() == before.index()
    assert library.records.read(KEY) is None
    assert [hold.matcher.matches(KEY, {}) for hold in read_holds(library.layout)] == [True]
    assert _in_trash(library) == [COPY]
    assert _purge(library, _LATER + timedelta(days=8)) == Purge((), ())  # it is on hold
    release_hold(library.layout, restored.hold.id)
    assert [entry.path for entry in _purge(library, _LATER + timedelta(days=8)).removed] == [COPY]
    assert library.read(KEY) == ORIGINAL


def test_what_had_stood_for_it_stays_in_the_trash_when_the_original_is_damaged(library: Library) -> None:
    release_hold(library.layout, _restorer(library).restore(KEY, _LATER).hold.id)
    library.write(KEY, b"damaged")
    assert "brought back" in _purge(library, _LATER + timedelta(days=8)).kept[0]


def test_an_earlier_copy_comes_back(tmp_path: Path) -> None:
    library = new_library(tmp_path / "library")
    library.changing().carry_out(prepared(library, "second copy"))
    for entry in read_trash(library.layout)[0]:
        if entry.is_original:
            (library.root / entry.trash).unlink()
    _restorer(library).restore(KEY, _LATER)
    assert library.read(COPY) == FIRST
    assert library.document()["compressed_size"] == len(FIRST)


def test_what_was_deleted_comes_back(library: Library) -> None:
    library.changing().carry_out(deletion(library))
    _restorer(library).restore(KEY, _LATER)
    assert library.read(KEY) == ORIGINAL
    assert "deleted" not in library.document()


def test_a_damaged_file_is_not_brought_back(library: Library) -> None:
    [entry] = read_trash(library.layout)[0]
    library.write(entry.trash, b"damaged")
    with pytest.raises(LibraryError, match="SHA-256"):
        _restorer(library).restore(KEY, _LATER)
    assert library.read(COPY) == FIRST


def test_what_is_back_is_not_brought_back_again(library: Library) -> None:
    """What had stood for it lies in the trash then, and is no reason to send the original there."""
    _restorer(library).restore(KEY, _LATER)
    before = library.state()
    with pytest.raises(LibraryError, match="nothing to bring back"):
        _restorer(library).restore(COPY, _LATER)
    assert library.state() == before


def test_nothing_is_there_to_be_brought_back(library: Library) -> None:
    with pytest.raises(LibraryError, match="Nothing of"):
        _restorer(library).restore("2026/other.webm", _LATER)
    with pytest.raises(AccessDeniedError):
        _restorer(library).restore("../elsewhere.webm", _LATER)


def test_who_archives_it_is_not_disturbed(library: Library) -> None:
    with try_lock(library.layout.lock_path(KEY)), pytest.raises(TimedOutError, match="at this moment"):
        _restorer(library).restore(KEY, _LATER)


def test_a_deletion_from_cold_storage_waits_as_long(library: Library) -> None:
    library.changing().carry_out(to_cold_storage(library))
    _purge(library)
    record = library.records.read(KEY)
    assert record is not None
    deleted_at = _LATER
    library.records.write(replace(record, deleted_at=deleted_at))
    removed: list[str] = []
    library.cold.remove = lambda copy: removed.append(copy.uri)  # type: ignore[attr-defined]
    _purge(library, deleted_at + timedelta(days=6))
    assert removed == []
    _purge(library, deleted_at + timedelta(days=7))
    assert removed == ["s3://cold/talk.opus"]
