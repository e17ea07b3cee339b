"""Documents are read whole or not at all, and whatever is wrong is said and raises nothing."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audio_compressor.archive.documents.form import serialise
from audio_compressor.archive.documents.reading import (
    MAX_DEPTH,
    MAX_DOCUMENT_BYTES,
    Document,
    Index,
    Trouble,
    parse_document,
    parse_index,
    read_document,
    read_index,
)


def test_a_document_is_read(tmp_path: Path) -> None:
    content = b'{"title": "Gr\xc3\xbc\xc3\x9fe", "chunks": [{"file": "a.webm", "size": 12}]}\n'
    (tmp_path / "talk.json").write_bytes(content)
    document = read_document(tmp_path / "talk.json")
    assert isinstance(document, Document)
    assert (document.name, document.sha256) == ("talk.json", hashlib.sha256(content).hexdigest())
    assert document.fields == {"title": "Grüße", "chunks": [{"file": "a.webm", "size": 12}]}


def test_a_byte_order_mark_is_allowed() -> None:
    document = parse_document("talk.json", b'\xef\xbb\xbf{"a": 1}')
    assert isinstance(document, Document)
    assert document.fields == {"a": 1}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b'{"a": 1', "is not JSON: Expecting ',' delimiter: line 1 column 8"),
        (b'{"a": 1} {"b": 2}', "is not JSON: Extra data"),
        (b'{"a": "\xff"}', "is not UTF-8 (byte 7)"),
        ('{"a": 1}'.encode("utf-16"), "is not UTF-8 (byte 0)"),
        (b"[1, 2]", "holds a list instead of an object"),
        (b'"text"', "holds a single value instead of an object"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "holds the field 'c' twice in one object"),
        (b'{"a": NaN}', "holds NaN, which is not JSON"),
        (b'{"a": -Infinity}', "holds -Infinity, which is not JSON"),
        (b'{"a": 1e400}', "holds the number '1e400', which is too large to be kept"),
        (b'{"a": ' + b"9" * 5000 + b"}", "holds a number of thousands of digits"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, f"is nested more than {MAX_DEPTH} deep"),
        (b"[" * 100_000, f"is nested more than {MAX_DEPTH} deep"),
        (b" " * MAX_DOCUMENT_BYTES + b"{}", "is larger than 16 MB"),
        (b'{"\x1b[2J": 1, "\\u001b[2J": 1}', "is not JSON: Invalid control character"),
        (b'{"\\u202e": 1, "\\u202e": 1}', r"holds the field '\u202e' twice in one object"),
    ],
)
def test_what_is_wrong_is_said(content: bytes, reason: str) -> None:
    trouble = parse_document("talk.json", content)
    assert isinstance(trouble, Trouble)
    assert trouble.reason.startswith(reason)
    assert trouble.reason.isprintable()


def test_as_deep_as_allowed() -> None:
    assert isinstance(parse_document("talk.json", b'{"a":' * 64 + b"1" + b"}" * 64), Document)


@given(st.binary(max_size=40) | st.text('[]{}",:0123456789eEaN.\\ \n', max_size=40).map(str.encode))
@settings(max_examples=60)
@example(b"[1e")
def test_no_content_raises(content: bytes) -> None:
    parsed = parse_index(content)
    if isinstance(parsed, Index):
        assert json.loads(serialise(parsed.root, parsed.form)) == parsed.root


def test_an_index_may_be_a_list_and_need_not_exist(tmp_path: Path) -> None:
    assert read_index(tmp_path / "index.json") is None
    (tmp_path / "index.json").write_text('[{"file": "a.webm"}]')
    index = read_index(tmp_path / "index.json")
    assert isinstance(index, Index)
    assert index.root == [{"file": "a.webm"}]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("link", "is a symbolic link, which is not followed"),
        ("dangling", "is a symbolic link, which is not followed"),
        ("directory", "is not a regular file"),
        ("pipe", "is not a regular file"),
        ("missing", "cannot be read: No such file or directory"),
    ],
)
def test_what_is_no_file_is_not_read(tmp_path: Path, kind: str, reason: str) -> None:
    path = tmp_path / "talk.json"
    (tmp_path / "elsewhere").write_text("{}")
    match kind:
        case "link":
            path.symlink_to(tmp_path / "elsewhere")
        case "dangling":
            path.symlink_to(tmp_path / "nowhere")
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
    assert read_document(path) == Trouble(reason)
    if kind != "missing":
        assert read_index(path) == Trouble(reason)
