"""A file that is written again looks as it did, whoever wrote it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_compressor.archive.documents.form import form_of, serialise
from audio_compressor.archive.documents.reading import Document, parse_document

DOCUMENT = {"title": 'Gr"üße: 😀', "empty": [], "chunks": [{"file": "a.webm", "size": 1, "x": None}, 1.5, {}]}


@pytest.mark.parametrize("indent", [None, 0, 1, 2, 4, "\t"])
@pytest.mark.parametrize("is_ascii", [True, False])
@pytest.mark.parametrize("is_tight", [True, False])
@pytest.mark.parametrize("around", [("", ""), ("", "\n"), ("\ufeff", "\n\n")])
@pytest.mark.parametrize("root", [DOCUMENT, [DOCUMENT]])
def test_what_json_writes_is_written_again(
    root: Any, indent: int | str | None, is_ascii: bool, is_tight: bool, around: tuple[str, str]
) -> None:
    item = "," if is_tight or indent is not None else ", "
    text = json.dumps(root, indent=indent, ensure_ascii=is_ascii, separators=(item, ":" if is_tight else ": "))
    text = around[0] + text + around[1]
    assert serialise(root, form_of(text)) == text


def test_line_ends_of_windows_are_kept() -> None:
    text = json.dumps(DOCUMENT, indent=4).replace("\n", "\r\n") + "\r\n"
    assert serialise(DOCUMENT, form_of(text)) == text


def test_half_a_surrogate_pair_is_kept() -> None:
    """JSON can hold one, escaped; UTF-8 cannot."""
    content = '{"a": "\\ud83d", "b": "ü"}'.encode()
    document = parse_document("talk.json", content)
    assert isinstance(document, Document)
    again = parse_document("talk.json", serialise(document.fields, document.form).encode())
    assert isinstance(again, Document)
    assert again.fields == {"a": "\ud83d", "b": "ü"}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(values.filter(lambda value: isinstance(value, dict | list)), values.map(json.dumps))
@settings(max_examples=60)
def test_no_layout_changes_a_value(root: Any, other: str) -> None:
    assert json.loads(serialise(root, form_of(other)).removeprefix("\ufeff")) == root
