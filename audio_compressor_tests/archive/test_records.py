"""Records of archived recordings: what is written is read again, and nothing else is."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_compressor.archive.layout import Layout
from audio_compressor.archive.records import Copy, Original, Record, Records, Refusal, from_json, to_json
from audio_compressor.errors import AccessDeniedError, AudioCompressorError, LibraryError

AT = datetime(2026, 3, 14, 10, 20, 30, 123_456, tzinfo=UTC)
KEY = "2026/talk.webm"
RECORD = Record(
    KEY,
    AT,
    "its name",
    Original(KEY, 1000, "cd" * 32, 61.5, "vorbis", AT),
    Copy("cold", "2026/talk.opus", 700, "ab" * 32, "opus", 96, "cd" * 32, AT, "old", "s3://cold/x", "GLACIER_IR"),
    refusals=(Refusal("Opus 64k", "it would be larger", 700, 10**18, AT),),
)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    layout = Layout(tmp_path)
    layout.prepare()
    return Records(layout)


def written(tmp_path: Path, key: str = KEY) -> Path:
    return Layout(tmp_path).record_path(key)


# -- what is written is read again

_TEXT = st.text(max_size=20)
_BYTES = st.integers(0, 2**63)
_ZONES = st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours)))
_TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=_ZONES)  # noqa: DTZ001 - they have zones
_NUMBERS = st.floats(0, 1e9) | st.integers(0, 10**9)
_ORIGINALS = st.builds(Original, _TEXT, _BYTES, _TEXT, _NUMBERS, _TEXT, _TIMES)
_COPIES = st.builds(
    Copy,
    st.sampled_from(["library", "cold"]),
    *(_TEXT, _BYTES, _TEXT, _TEXT, _NUMBERS, _TEXT, _TIMES, _TEXT, _TEXT, _TEXT),
)
_REFUSALS = st.builds(Refusal, _TEXT, _TEXT, _BYTES, st.integers(-(2**63), 2**63), _TIMES)
_RECORDS = st.builds(
    Record,
    *(_TEXT, _TIMES, _TEXT, st.none() | _ORIGINALS, st.none() | _COPIES, st.booleans(), st.booleans()),
    st.none() | _TIMES,
    st.lists(_REFUSALS, max_size=2).map(tuple),
)


@given(_RECORDS)
def test_whatever_is_written_is_read_again(record: Record) -> None:
    text = json.dumps(to_json(record))
    again = from_json(json.loads(text))
    assert again == record
    assert json.dumps(to_json(again)) == text


def test_on_disk(records: Records, tmp_path: Path) -> None:
    assert records.read(KEY) is None
    assert records.read_all() == ({}, {})
    records.write(RECORD)
    other = Record("talk.webm", AT.astimezone(), "its name")
    records.write(other)
    assert records.read(KEY) == RECORD
    assert records.read_all() == ({KEY: RECORD, "talk.webm": other}, {})
    records.write(replace(RECORD, copy=None))
    assert records.read(KEY) == replace(RECORD, copy=None)
    assert [path.name for path in written(tmp_path).parent.iterdir()] == ["talk.webm.json"]
    records.remove(KEY)
    records.remove(KEY)
    assert records.read_all()[0] == {"talk.webm": other}


def test_where_nothing_was_ever_archived(tmp_path: Path) -> None:
    assert Records(Layout(tmp_path)).read_all() == ({}, {})
    assert list(tmp_path.iterdir()) == []


def test_what_is_half_written_is_no_record(records: Records, tmp_path: Path) -> None:
    records.write(RECORD)
    path = written(tmp_path)
    path.with_name(f".{path.name}.part").write_text('{"version": 1, "ke')
    assert records.read_all() == ({KEY: RECORD}, {})


# -- nothing else is

_FIELDS: dict[str, Any] = to_json(RECORD)


def changed(where: str, value: object) -> dict[str, Any]:
    """The record with another value at ``original.size_bytes``, or without it (``...``)."""
    fields: Any = json.loads(json.dumps(_FIELDS))
    *path, last = where.split(".")
    place = fields
    for part in path:
        place = place[int(part)] if isinstance(place, list) else place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    found: dict[str, Any] = fields
    return found


_ALL_FIELDS = [
    *_FIELDS,
    *(f"original.{name}" for name in _FIELDS["original"]),
    *(f"copy.{name}" for name in _FIELDS["copy"]),
    *(f"refusals.0.{name}" for name in _FIELDS["refusals"][0]),
]


@pytest.mark.parametrize("where", _ALL_FIELDS)
def test_a_field_that_is_missing_or_of_another_type_is_no_record(where: str) -> None:
    """Without a copy it would be read as a recording that was never archived."""
    assert from_json(changed("key", KEY)) == RECORD
    may_be_null = where in {"original", "copy", "deleted_at"}
    for value in (..., [5], {"a": 1}, *(() if may_be_null else (None,))):
        with pytest.raises((ValueError, TypeError)):
            from_json(changed(where, value))


@pytest.mark.parametrize(
    ("where", "value"),
    [
        *(("copy.size_bytes", "700"), ("copy.size_bytes", 700.5), ("copy.size_bytes", True), ("copy.place", "moon")),
        *(("copy.bitrate_kbps", "96"), ("copy.bitrate_kbps", float("nan")), ("copy.bitrate_kbps", float("inf"))),
        *(("original_is_kept", 1), ("original_is_kept", "no"), ("refusals", {}), ("refusals", "x"), ("copy", "")),
        *(("recorded_at", "2026-03-14T10:20:30"), ("recorded_at", 1_773_483_630), ("recorded_at", "yesterday")),
        *(("copy.made_at", "2026-03-14T10:20:30"), ("original.modified_at", "2026-03-14")),
        *(("deleted_at", ""), ("deleted_at", "2026-03-14T10:20:30"), ("refusals.0.at", "2026-03-14T10:20:30")),
        *(("colour", "red"), ("copy.colour", "red"), ("original", []), ("copy", 0), ("original", False)),
    ],
)
def test_wrong_values_are_no_record(where: str, value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        from_json(changed(where, value))


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{}", b"[]", b"null", b"5", b'"x"', b"\xff\xfe", b'{"version": 1}', b"[" * 100_000),
        json.dumps({"version": 2, **_FIELDS}).encode(),
        json.dumps(_FIELDS).encode(),
        json.dumps({"version": 1, **_FIELDS, "key": "2026/other.webm"}).encode(),
        json.dumps({"version": 1, **_FIELDS}).encode()[:-1],
    ],
)
def test_a_file_that_is_no_record(records: Records, tmp_path: Path, content: bytes) -> None:
    records.write(RECORD)
    records.write(replace(RECORD, key="fine.webm"))
    written(tmp_path).write_bytes(content)
    with pytest.raises(LibraryError) as caught:
        records.read(KEY)
    assert str(caught.value).startswith(f"{written(tmp_path)} is no record of a recording (")
    assert "Put it back from a backup" in str(caught.value)
    found, problems = records.read_all()
    assert list(found) == ["fine.webm"]
    assert problems == {KEY: str(caught.value)}
    assert written(tmp_path).read_bytes() == content


def test_a_record_that_is_a_link_is_in_doubt_and_not_none(records: Records, tmp_path: Path) -> None:
    path = written(tmp_path)
    path.parent.mkdir()
    path.symlink_to("nowhere")
    with pytest.raises(AccessDeniedError, match="symbolic link"):
        records.read(KEY)
    assert list(records.read_all()[1]) == [KEY]


@pytest.mark.parametrize("key", ["../x", "a/../../../x", "../../../../etc/passwd", "a\0", "link/x"])
def test_no_key_leads_out(records: Records, tmp_path: Path, key: str) -> None:
    (tmp_path / ".audio-compressor/records/link").symlink_to(tmp_path)
    for touch in (records.read, records.remove, lambda key: records.write(replace(RECORD, key=key))):
        with pytest.raises(AccessDeniedError):
            touch(key)


def test_another_spelling_of_a_key_is_not_that_key(records: Records) -> None:
    records.write(RECORD)
    for key in (f"/{KEY}", "2026//talk.webm", "./2026/talk.webm"):
        with pytest.raises(LibraryError, match=f"it is that of {KEY}"):
            records.read(key)


def test_a_record_that_cannot_be_written_leaves_the_earlier_one(records: Records, tmp_path: Path) -> None:
    records.write(RECORD)
    part = written(tmp_path).with_name(f".{written(tmp_path).name}.part")
    part.mkdir()
    with pytest.raises(AudioCompressorError):
        records.write(replace(RECORD, copy=None))
    assert records.read(KEY) == RECORD


def test_of_refusals_the_last_of_each_action_counts() -> None:
    first = Refusal("Opus 96k", "larger", 5, 7, AT)
    again = replace(first, size_bytes=6, at=AT + timedelta(days=1))
    other = replace(first, action="Opus 64k")
    record = Record(KEY, AT, "its name").with_refusal(first).with_refusal(other).with_refusal(again)
    assert record.refusals == (other, again)
