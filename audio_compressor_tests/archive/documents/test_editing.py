"""What a document says of an archived file, and that every change can be taken back."""

import copy
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from audio_compressor.archive.documents.changes import CopyChange
from audio_compressor.archive.documents.editing import (
    archived_as,
    with_copy,
    with_deletion,
    without_copy,
    without_deletion,
)
from audio_compressor_tests.archive.documents.strategies import AT, DIRECTORY, cold, copies, documents

property_of = settings(max_examples=60, deadline=None)
LATER = AT + timedelta(days=23)
WEBM, OPUS = f"{DIRECTORY}/talk.webm", f"{DIRECTORY}/talk.opus"
DETAILS = {"tier": "warm", "location": "library", "sha256": "ab", "bitrate_kbps": 96}
CHANGE = CopyChange("talk_000.webm", "talk_000.opus", 1000, 700, AT, DETAILS)
NEXT = CopyChange("talk_001.webm", "talk_001.opus", 500, 300, LATER, DETAILS)
ADDED = ["compressed", "original_size", "compressed_size", "compression_date", "compression_ratio"]


def facts(original_bytes: int, copy_bytes: int, changed_at: str = "2026-03-14T10:20:30Z") -> dict[str, Any]:
    return {
        "compressed": True,
        "original_size": original_bytes,
        "compressed_size": copy_bytes,
        "compression_date": changed_at,
        "compression_ratio": copy_bytes / original_bytes,
    }


def ours(**fields: Any) -> dict[str, Any]:
    return {"by": "audio-compressor", **fields}


def same_text(first: object, second: object) -> bool:
    """Whether they are equal with their fields in the same order."""
    return json.dumps(first) == json.dumps(second)


def test_a_document_without_chunks() -> None:
    document = {"file": "talk_000.webm", "title": "talk_000.webm", "size": 1000, "x": [1]}
    changed = with_copy(document, CHANGE)
    archive = ours(
        **DETAILS, file="talk_000.opus", before={"file": "talk_000.webm", "size": 1000}, added=[*ADDED, "archive"]
    )
    expected = {"file": "talk_000.opus", "title": "talk_000.webm", "size": 700, "x": [1], **facts(1000, 700)}
    assert changed == {**expected, "archive": archive}
    assert list(changed) == [*expected, "archive"]
    assert archived_as(changed, "talk_000.opus") == DETAILS


def test_a_document_with_one_chunk() -> None:
    chunks = [{"file": "recordings/talk_000.webm", "size": 1000}]
    document = {"size": 1000, "chunks": chunks, "filename": "talk_000.webm"}
    changed = with_copy(document, CHANGE)
    chunk = changed["chunks"][0]
    assert (chunk["file"], chunk["size"], changed["size"]) == ("recordings/talk_000.opus", 700, 700)
    assert list(changed) == ["size", "chunks", "filename", *ADDED, "archive"]
    assert changed["filename"] == "talk_000.opus"
    assert facts(1000, 700).items() <= changed.items()
    assert DETAILS.items() <= changed["archive"].items()
    assert archived_as(changed, "talk_000.opus") == DETAILS


def test_a_document_with_several_chunks_holds_sums() -> None:
    chunks = [{"file": "talk_000.webm", "size": 1000}, {"file": "talk_001.webm", "size": 500}, {"file": "c.webm"}]
    document = {"title": "A talk", "file_size": 1500, "size": 9000, "chunks": chunks}
    once = with_copy(document, CHANGE)
    assert once["chunks"][1:] == chunks[1:]
    assert facts(1000, 700).items() <= once.items()
    assert facts(1000, 700).items() <= once["chunks"][0].items()
    twice = with_copy(once, NEXT)
    assert facts(1500, 1000, "2026-04-06T10:20:30Z").items() <= twice.items()
    assert (twice["file_size"], twice["size"]) == (1000, 9000)  # the sum, and something else
    assert twice["archive"] == ours(chunks=2, added=[*ADDED, "archive"])
    assert with_copy(with_copy(document, NEXT), CHANGE) == twice
    assert same_text(without_copy(without_copy(twice, "talk_000.opus"), "talk_001.opus"), document)
    assert same_text(without_copy(without_copy(twice, "talk_001.opus"), "talk_000.opus"), document)
    assert same_text(without_copy(twice, "talk_001.opus"), once)


def test_a_total_of_chunks_without_sizes_changes_by_the_difference() -> None:
    document = {"size": 1500, "chunks": [{"file": "talk_000.webm"}, {"file": "talk_001.webm"}]}
    changed = with_copy(document, CHANGE)
    assert changed["size"] == 1200
    assert with_copy(changed, CopyChange("talk_000.opus", "talk_000.opus", 700, 400, LATER))["size"] == 900
    changed["size"] += 50  # a chunk that the application added
    assert without_copy(changed, "talk_000.opus")["size"] == 1550


@pytest.mark.parametrize(
    "document", [{"size": 1000}, {"chunks": [{"file": "talk_000.webm", "size": 1000}, {"file": "c.webm"}]}]
)
def test_a_copy_of_a_copy_keeps_the_first_original(document: Mapping[str, Any]) -> None:
    second = CopyChange("talk_000.opus", "talk_000.opus", 700, 400, LATER, {"bitrate_kbps": 64})
    changed = with_copy(with_copy(dict(document), CHANGE), second)
    assert facts(1000, 400, "2026-04-06T10:20:30Z").items() <= changed.items()
    assert archived_as(changed, "talk_000.opus") == {"bitrate_kbps": 64}
    assert with_copy(changed, second) == changed
    assert same_text(without_copy(changed, "talk_000.opus"), document)


@pytest.mark.parametrize("is_compressed", [False, True])
def test_cold_storage_changes_nothing_but_the_place(is_compressed: bool) -> None:
    document: dict[str, Any] = {"chunks": [{"file": "talk_000.webm", "size": 1000}], "size": 1000}
    name, size_bytes = "talk_000.webm", 1000
    if is_compressed:
        document, name, size_bytes = with_copy(document, CHANGE), "talk_000.opus", 700
    details = {"location": "s3", "uri": "s3://cold/talk", "storage_class": "GLACIER"}
    changed = with_copy(document, CopyChange(name, name, size_bytes, size_bytes, LATER, details))
    assert archived_as(changed, name) == details

    def without_archive(fields: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in fields.items() if key not in {"archive", "chunks"}}

    assert without_archive(changed) == without_archive(document)
    assert without_archive(changed["chunks"][0]) == without_archive(document["chunks"][0])
    assert (changed["chunks"][0]["file"], changed["size"]) == (name, size_bytes)


def test_a_file_of_another_directory_is_not_meant() -> None:
    document = {"chunks": [{"file": "other/talk.webm"}, {"file": "../2026/03/talk.webm"}, {"file": f"/{WEBM}"}]}
    change = CopyChange(WEBM, OPUS, 1000, 700, AT)
    assert with_copy(document, change)["chunks"] == document["chunks"]


def test_a_deletion_is_said_of_all_when_all_are_gone() -> None:
    document: dict[str, Any] = {
        "deleted": False,
        "chunks": [{"file": "talk_000.webm"}, {"file": "talk_001.webm", "deleted": None}],
    }
    once = with_deletion(with_copy(document, CHANGE), "talk_000.opus", AT)
    assert (once["chunks"][0]["deleted"], once["chunks"][0]["deleted_at"]) == (True, "2026-03-14T10:20:30Z")
    assert once["deleted"] is False
    both = with_deletion(once, "talk_001.webm", LATER)
    assert (both["deleted"], both["deleted_at"]) == (True, "2026-04-06T10:20:30Z")
    assert same_text(without_deletion(both, "talk_001.webm"), once)
    back = without_deletion(without_deletion(both, "talk_000.opus"), "talk_001.webm")
    assert back == with_copy(document, CHANGE)
    assert same_text(without_copy(both, "talk_000.opus")["chunks"][0], document["chunks"][0])


def test_a_file_of_its_own_holds_the_top_level() -> None:
    """A document may speak of a file and have chunks of other files, whose sums then have no place."""
    document = {"chunks": [{"file": "talk_000.webm"}]}
    own = CopyChange("talk.webm", "talk.opus", 9000, 5000, AT, DETAILS)
    chunk_first = with_copy(with_copy(document, CHANGE), own)
    own_first = with_copy(with_copy(document, own), CHANGE)
    assert chunk_first == own_first
    assert facts(9000, 5000).items() <= own_first.items()
    for name in ("talk_000.webm", "talk_000.opus"):
        assert without_copy(with_copy(document, own), name) == with_copy(document, own)
        assert without_deletion(with_deletion(document, "talk.opus", AT), name) == with_deletion(
            document, "talk.opus", AT
        )
    assert same_text(without_copy(own_first, "talk.opus"), with_copy(document, CHANGE))
    assert same_text(without_copy(own_first, "talk_000.opus"), with_copy(document, own))


@given(documents, copies | cold)
@property_of
def test_a_copy_can_be_taken_back(document: dict[str, Any], change: CopyChange) -> None:
    before = copy.deepcopy(document)
    changed = with_copy(document, change)
    assert changed != document
    assert same_text(document, before)
    assert same_text(without_copy(json.loads(json.dumps(changed)), change.new_name), document)
    assert same_text(without_copy(document, change.new_name), document)


@given(documents, copies | cold)
@property_of
def test_a_copy_is_told_once(document: dict[str, Any], change: CopyChange) -> None:
    changed = with_copy(document, change)
    assert same_text(with_copy(changed, change), changed)


@given(documents, copies)
@property_of
def test_nothing_else_is_touched(document: dict[str, Any], change: CopyChange) -> None:
    changed = with_copy(document, change)
    names = {"size", "size_bytes", "file_size", "path", "filename", "archive", "chunks", *ADDED}
    assert list(changed)[: len(document)] == list(document)
    assert {name: value for name, value in document.items() if name not in names}.items() <= changed.items()
    chunks = document.get("chunks", [])
    touched = [old for old, new in zip(chunks, changed.get("chunks", []), strict=True) if old != new]
    assert [each["file"].rpartition("/")[2] for each in touched] in ([], ["talk.webm"])


@given(documents, copies)
@property_of
def test_a_deletion_can_be_taken_back(document: dict[str, Any], change: CopyChange) -> None:
    for start, name in ((document, WEBM), (with_copy(document, change), OPUS)):
        deleted = with_deletion(start, name, LATER)
        assert deleted != start
        assert same_text(with_deletion(deleted, name, LATER), deleted)
        assert same_text(without_deletion(json.loads(json.dumps(deleted)), name), start)
        assert same_text(without_deletion(start, name), start)
