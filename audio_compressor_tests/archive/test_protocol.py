"""The procedure by which files are exchanged, interrupted after each of its steps."""

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from audio_compressor.archive.change import Change
from audio_compressor.archive.holds import place_hold
from audio_compressor.archive.matching import Matcher
from audio_compressor.archive.protocol import Step
from audio_compressor.archive.recovering import finish_interrupted
from audio_compressor.errors import LibraryError, RemoteFileMissingError, SourceChangedError, StorageError
from audio_compressor_tests.archive.changes import (
    AT,
    COPY,
    FIRST,
    KEY,
    KINDS,
    ORIGINAL,
    Library,
    Stopped,
    Watching,
    compression,
    new_library,
    prepared,
    to_cold_storage,
)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return new_library(tmp_path / "library")


def _undisturbed(tmp_path: Path, kind: str) -> tuple[dict[str, bytes], list[Step]]:
    """What a change leads to, and its steps."""
    library = new_library(tmp_path / "undisturbed")
    change = prepared(library, kind)
    watching = Watching(library)
    library.changing(watching).carry_out(change)
    return library.state(), watching.steps


def _each_stop(tmp_path: Path, steps: list[Step]) -> Iterator[tuple[int, Library]]:
    for number in range(1, len(steps) + 1):
        yield number, new_library(tmp_path / f"stopped at {number}")


def test_a_copy_takes_the_place_of_its_original(library: Library) -> None:
    watching = Watching(library)
    library.changing(watching).carry_out(compression(library, FIRST, 96))

    assert (library.read(KEY), library.read(COPY)) == (None, FIRST)
    [in_trash] = library.layout.trash.rglob("talk.webm")
    assert in_trash.read_bytes() == ORIGINAL
    assert library.document()["compressed_size"] == len(FIRST)
    assert json.dumps(library.index()).count(COPY) == 1
    assert KEY not in json.dumps(library.index())
    assert watching.steps == [
        Step.JOURNAL_WRITTEN,
        Step.COPY_PUBLISHED,
        Step.METADATA_UPDATED,
        Step.INDEX_UPDATED,
        Step.RECORD_WRITTEN,
        Step.COPY_CONFIRMED,
        Step.TRASH_PREPARED,
        Step.ORIGINAL_RETIRED,
        Step.JOURNAL_REMOVED,
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_killed_after_any_step_is_finished_by_the_next(tmp_path: Path, kind: str) -> None:
    done, steps = _undisturbed(tmp_path, kind)
    for number, library in _each_stop(tmp_path, steps):
        change = prepared(library, kind)
        with pytest.raises(Stopped):
            library.changing(Watching(library, number)).carry_out(change)
        for unfinished in library.changing().unfinished():
            assert library.changing(Watching(library)).finish(unfinished), steps[number - 1]

        assert library.state() == done, steps[number - 1]


@pytest.mark.parametrize("kind", KINDS)
def test_what_finishes_it_may_be_killed_as_well(tmp_path: Path, kind: str) -> None:
    done, steps = _undisturbed(tmp_path, kind)
    for number, library in _each_stop(tmp_path, steps):
        change = prepared(library, kind)
        with pytest.raises(Stopped):
            library.changing(Watching(library, number)).carry_out(change)
        for again in range(1, len(steps) + 1):
            for unfinished in library.changing().unfinished():
                with suppress(Stopped):
                    library.changing(Watching(library, again)).finish(unfinished)
                library.require_a_whole_copy()

        assert library.state() == done, steps[number - 1]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_after_any_step_leaves_everything_as_it_was(tmp_path: Path, kind: str) -> None:
    done, steps = _undisturbed(tmp_path, kind)
    for number, library in _each_stop(tmp_path, steps):
        before = {path: data for path, data in library.state().items() if not path.endswith(".part")}
        change = prepared(library, kind)
        before = {path: data for path, data in library.state().items() if not path.endswith(".part")}
        with pytest.raises(StorageError):
            library.changing(Watching(library, number, StorageError)).carry_out(change)

        library.require_a_whole_copy()
        assert library.state() == (done if number == len(steps) else before), steps[number - 1]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_made_is_damaged_before_it_can_be_finished(tmp_path: Path, kind: str) -> None:
    """The power went, and with it what the disk had not written: everything is put back."""
    _, steps = _undisturbed(tmp_path, kind)
    for number, library in _each_stop(tmp_path, steps[: steps.index(Step.COPY_CONFIRMED)]):
        change = prepared(library, kind)
        if not change.arrivals or not change.arrivals[0].is_made:
            return
        before = {path: data for path, data in library.state().items() if not path.endswith(".part")}
        with pytest.raises(Stopped):
            library.changing(Watching(library, number)).carry_out(change)
        arrival = change.arrivals[0]
        made = arrival.path if library.read(arrival.source) is None else arrival.source
        library.write(made, b"\0" * arrival.size_bytes)

        [unfinished] = library.changing().unfinished()
        assert not library.changing().finish(unfinished)
        library.require_a_whole_copy()
        after = {path: data for path, data in library.state().items() if not path.endswith(".damaged")}
        assert after == before, steps[number - 1]


def test_an_original_that_is_written_to_meanwhile_stays(library: Library) -> None:
    change = compression(library, FIRST, 96)

    def write_to_it(step: Step) -> None:
        if step is Step.TRASH_PREPARED:
            with (library.root / KEY).open("ab") as file:
                file.write(b"and one thing more")

    with pytest.raises(SourceChangedError, match="talk"):
        library.changing(write_to_it).carry_out(change)
    assert library.read(KEY) == ORIGINAL + b"and one thing more"
    assert library.read(COPY) is None
    assert "compressed" not in library.document()
    assert library.records.read(KEY) is None


def test_who_has_it_open_may_write_to_it_until_it_is_in_the_trash(library: Library) -> None:
    change = compression(library, FIRST, 96)
    with (library.root / KEY).open("ab") as file:

        def write_to_it(step: Step) -> None:
            if step is Step.TRASH_PREPARED:
                file.write(b"and one thing more")

        def flush(step: Step) -> None:
            write_to_it(step)
            file.flush()

        with pytest.raises(SourceChangedError):
            library.changing(flush).carry_out(change)
    assert library.read(KEY) == ORIGINAL + b"and one thing more"


def test_nothing_is_overwritten(library: Library) -> None:
    change = compression(library, FIRST, 96)
    library.write(COPY, b"somebody else's")
    with pytest.raises(StorageError, match="there already"):
        library.changing().carry_out(change)
    assert (library.read(KEY), library.read(COPY)) == (ORIGINAL, b"somebody else's")
    assert not library.changing().unfinished()


def test_what_is_not_in_cold_storage_stays(library: Library) -> None:
    library.changing().carry_out(compression(library, FIRST, 96))
    change = to_cold_storage(library)
    library.cold.checksums.clear()
    before = library.state()
    with pytest.raises(RemoteFileMissingError):
        library.changing().carry_out(change)
    assert library.state() == before


def test_what_is_gone_from_cold_storage_before_it_can_be_finished_is_brought_back(library: Library) -> None:
    library.changing().carry_out(compression(library, FIRST, 96))
    before = library.state()
    change = to_cold_storage(library)

    def stop(step: Step) -> None:
        if step is Step.ORIGINAL_RETIRED:
            raise Stopped(step)

    with pytest.raises(Stopped):
        library.changing(stop).carry_out(change)
    library.cold.checksums.clear()
    [unfinished] = library.changing().unfinished()
    assert not library.changing().finish(unfinished)
    assert library.state() == before


def test_an_application_that_writes_its_document_meanwhile_loses_nothing(library: Library) -> None:
    change = compression(library, FIRST, 96)

    def edit(step: Step) -> None:
        if step is Step.COPY_PUBLISHED:
            path = library.root / "2026/talk.json"
            path.write_text(json.dumps({**json.loads(path.read_text()), "speaker": "Anna"}))

    library.changing(edit).carry_out(change)
    assert library.document()["speaker"] == "Anna"
    assert library.document()["compressed_size"] == len(FIRST)


def test_a_result_that_is_published_anew_meanwhile_stays(tmp_path: Path) -> None:
    """Its name is that of its copy, and who publishes it knows of no lock of ours."""
    library = new_library(tmp_path / "library")
    change = prepared(library, "second copy")

    def publish(step: Step) -> None:
        if step is Step.ROOM_MADE:
            new = library.root / "new"
            new.write_bytes(b"published anew")
            new.replace(library.root / COPY)

    with pytest.raises(SourceChangedError):
        library.changing(publish).carry_out(change)
    assert library.read(COPY) == b"published anew"
    library.require_a_whole_copy()


def test_its_directory_was_removed(tmp_path: Path) -> None:
    """Everything in it is in cold storage, and a person tidies up; what is done next finds no document."""
    library = new_library(tmp_path / "library")
    library.changing().carry_out(compression(library, FIRST, 96))
    library.changing().carry_out(to_cold_storage(library))
    shutil.rmtree(library.root / "2026")
    before = library.records.read(KEY)
    assert before is not None
    change = Change("20270101T000000Z-x", "delete", KEY, AT, (), (), before, replace(before, deleted_at=AT))
    library.changing().carry_out(change)
    assert library.records.read(KEY) == change.after


def test_a_document_that_cannot_be_understood_stops_everything(library: Library) -> None:
    change = compression(library, FIRST, 96)
    library.write("2026/talk.json", b'{"title": ')
    with pytest.raises(LibraryError, match="talk"):
        library.changing().carry_out(change)
    assert (library.read(KEY), library.read(COPY)) == (ORIGINAL, None)


def test_neither_can_be_done_without_losing_something(library: Library) -> None:
    """Both files are gone, and a person has to look: nothing is touched until then."""
    change = compression(library, FIRST, 96)
    with pytest.raises(Stopped):
        library.changing(Watching(library, 1)).carry_out(change)
    (library.root / KEY).unlink()
    (library.root / change.arrivals[0].source).unlink()
    before = library.state()
    [unfinished] = library.changing().unfinished()
    with pytest.raises(LibraryError, match="backup"):
        library.changing().finish(unfinished)
    assert library.state() == before


def test_what_somebody_removed_meanwhile_need_not_go_any_more(library: Library) -> None:
    change = compression(library, FIRST, 96)
    with pytest.raises(Stopped):
        library.changing(Watching(library, 2)).carry_out(change)
    (library.root / KEY).unlink()
    [unfinished] = library.changing().unfinished()
    assert library.changing().finish(unfinished)
    assert library.read(COPY) == FIRST
    assert not library.changing().unfinished()


def test_a_journal_that_cannot_be_read_stops_its_recording(library: Library) -> None:
    (library.layout.journal / "x.json").write_text("{}")
    with pytest.raises(LibraryError, match="a person has to look"):
        library.changing().unfinished()


@pytest.mark.parametrize("kind", ["first copy", "second copy", "deletion"])
def test_what_was_put_on_hold_since_it_was_interrupted_is_put_back(tmp_path: Path, kind: str) -> None:
    _, steps = _undisturbed(tmp_path, kind)
    for number, library in _each_stop(tmp_path, steps[:-1]):
        before = {path: data for path, data in library.state().items() if not path.endswith(".part")}
        change = prepared(library, kind)
        before = {path: data for path, data in library.state().items() if not path.endswith(".part")}
        with pytest.raises(Stopped):
            library.changing(Watching(library, number)).carry_out(change)
        place_hold(library.layout, Matcher(languages=("en",)), "by language, which is not asked here")
        assert finish_interrupted(library.layout, library.changing(Watching(library))) == []

        after = library.state()
        del after[".audio-compressor/holds.json"]
        assert after == before, steps[number - 1]


def test_what_is_being_brought_back_goes_on_in_spite_of_its_hold(tmp_path: Path) -> None:
    library = new_library(tmp_path / "library")
    change = prepared(library, "restored original")
    with pytest.raises(Stopped):
        library.changing(Watching(library, 2)).carry_out(change)
    place_hold(library.layout, Matcher(paths=(f"./{KEY}",)), "brought back")
    assert finish_interrupted(library.layout, library.changing()) == []
    assert library.read(KEY) == ORIGINAL


def test_a_link_is_not_followed_out_of_the_library(library: Library, tmp_path: Path) -> None:
    change = compression(library, FIRST, 96)
    elsewhere = tmp_path / "elsewhere"
    (library.root / "2026").rename(elsewhere)
    (library.root / "2026").symlink_to(elsewhere)
    with suppress(Exception):
        library.changing().carry_out(change)
    assert sorted(path.name for path in elsewhere.iterdir() if not path.name.startswith(".")) == [
        "talk.json",
        "talk.webm",
    ]
    assert replace(change) == change
