"""Every recording gets its own document, none, or a reason to be kept."""

import json
from collections.abc import Collection, Mapping
from typing import Any

import pytest

from audio_compressor.archive.documents.finding import Survey, find_document, survey_directory
from audio_compressor.archive.documents.reading import Document, Trouble, parse_document


def survey(documents: Mapping[str, Any], recordings: Collection[str], directory: str = "") -> Survey:
    parsed = {
        name: parse_document(name, content if isinstance(content, bytes) else json.dumps(content).encode())
        for name, content in documents.items()
    }
    return survey_directory(directory, [*documents, *recordings], parsed)


def found(documents: Mapping[str, Any], name: str, recordings: Collection[str] = (), directory: str = "") -> str:
    """The name of the document, or the reason against it; empty for none."""
    document = find_document(survey(documents, {name, *recordings}, directory), name)
    if isinstance(document, Trouble):
        return document.reason
    return document.name if isinstance(document, Document) else ""


def chunks(*files: object) -> dict[str, Any]:
    return {"title": "A talk", "chunks": [{"file": file, "size": 1} for file in files]}


BROKEN = b'{"chunks": ['


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        pytest.param({}, "", id="none"),
        pytest.param({"talk.json": {}}, "talk.json", id="own"),
        pytest.param({"talk.json": chunks("talk.webm")}, "talk.json", id="own, with itself as a chunk"),
        pytest.param({"s.json": chunks("talk.webm", "b.webm")}, "s.json", id="by its chunks"),
        pytest.param({"s.json": chunks("./talk.webm")}, "s.json", id="with a dot"),
        pytest.param({"s.json": chunks("day/talk.webm")}, "s.json", id="from the root"),
        pytest.param({"s.json": chunks("recordings/day/talk.webm")}, "s.json", id="from the application"),
        pytest.param({"s.json": chunks("other/talk.webm")}, "", id="of another directory"),
        pytest.param({"s.json": chunks("../day/talk.webm")}, "", id="out and in again"),
        pytest.param({"s.json": chunks("/library/day/talk.webm")}, "", id="absolute"),
        pytest.param({"talk.webm.json": {}}, "", id="with a longer name"),
        pytest.param({"talk.json": {}, "b.json": BROKEN}, "talk.json", id="own, beside a broken one"),
        pytest.param({"talk.json": chunks("gone.webm")}, "talk.json", id="own, with chunks that are gone"),
    ],
)
def test_which_document(documents: Mapping[str, Any], expected: str) -> None:
    assert found(documents, "talk.webm", directory="day") == expected


def test_a_broken_document_may_speak_of_any_file_without_one_of_its_own() -> None:
    assert "'other.json'" in found({"other.json": BROKEN}, "talk.webm", ["other.webm"])
    assert found({"other.json": BROKEN, "talk.json": {}}, "talk.webm", ["other.webm"]) == "talk.json"


@pytest.mark.parametrize(
    ("documents", "reason"),
    [
        ({"talk.json": BROKEN}, "its document 'talk.json' is not JSON: Expecting value: line 1 column 13 (char 12)"),
        ({"talk.json": [1]}, "its document 'talk.json' holds a list instead of an object"),
        ({"s.json": BROKEN}, "'s.json' beside it, which may be its document, is not JSON"),
        ({"s.json": BROKEN, "t.json": chunks("talk.webm")}, "'s.json' beside it, which may be its document, is not"),
        ({"s.json": chunks("talk.webm"), "t.json": chunks("./talk.webm")}, "both 's.json' and 't.json' name it"),
        ({"talk.json": {}, "t.json": chunks("talk.webm")}, "both 't.json' and 'talk.json' name it"),
        ({"s.json": chunks("talk.webm", "./talk.webm")}, "'s.json' names it 2 times"),
        ({"talk.json": chunks("b.webm")}, "its document 'talk.json' has chunks, which name 'b.webm' and not it"),
    ],
)
def test_what_is_in_doubt(documents: Mapping[str, Any], reason: str) -> None:
    assert found(documents, "talk.webm", ["b.webm"]).startswith(reason)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (chunks("talk.webm", "gone.webm"), "'s.json' names 'gone.webm', which is not there."),
        (chunks("talk.webm", "../x.webm"), "'s.json' names '../x.webm', which leads elsewhere and is not followed."),
        (chunks("talk.webm", "/x.webm"), "'s.json' names '/x.webm', which leads elsewhere and is not followed."),
        (chunks("talk.webm", "a/x.webm"), "'s.json' names 'a/x.webm', which lies in another directory."),
        (chunks("talk.webm", "\x1b[2J.webm"), r"'s.json' names '\x1b[2J.webm', which is not there."),
    ],
)
def test_what_is_reported_stops_no_other(document: Any, problem: str) -> None:
    surveyed = survey({"s.json": document}, ["talk.webm"])
    assert surveyed.problems == (problem,)
    assert isinstance(find_document(surveyed, "talk.webm"), Document)


@pytest.mark.parametrize("odd", [None, 5, "talk.webm", {}, [None, 3, "x", {"text": "no file"}, {"file": None}]])
def test_odd_chunks(odd: object) -> None:
    surveyed = survey({"s.json": {"chunks": odd}}, ["talk.webm"])
    assert len(surveyed.problems) == (odd is not None and not isinstance(odd, list))
    assert find_document(surveyed, "talk.webm") is None


def test_what_a_rule_moved_away_is_not_missing() -> None:
    away = {"by": "audio-compressor", "location": "s3", "uri": "s3://cold/a.webm"}
    gone = {"by": "audio-compressor", "deletion": {"added": ["deleted"]}}
    listed = [{"file": "a.webm", "archive": away}, {"file": "b.webm", "archive": gone}, {"file": "c.webm"}]
    assert survey({"s.json": {"chunks": listed}}, []).problems == ("'s.json' names 'c.webm', which is not there.",)
