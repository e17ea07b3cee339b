"""When a recording was made: its own date before all others, and nothing taken for a date that is none."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_compressor.archive.dates import DATE_FIELDS, Dated, recorded_at
from audio_compressor.archive.name_dates import dates_in

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MODIFIED = datetime(2026, 5, 1, 8, tzinfo=UTC)
IN_FILE = datetime(2026, 4, 1, 7, tzinfo=UTC)
DAY = datetime(2026, 3, 14, tzinfo=UTC)
AT = datetime(2026, 3, 14, 10, 20, 30, tzinfo=UTC)


def dated(
    fields: Mapping[str, Any] | None = None,
    path: str = "talk.webm",
    in_file: datetime | None = None,
    modified_at: datetime = MODIFIED,
) -> Dated:
    return recorded_at(fields or {}, path, lambda: in_file, modified_at, NOW)


@pytest.mark.parametrize(
    "name",
    [
        *("2026-03-14_10-20-30", "2026-03-14 10:20:30", "2026-03-14T10:20:30Z", "2026-03-14T10-20-30.123Z"),
        *("20260314T102030Z", "20260314_102030", "20260314-102030", "20260314102030", "IMG_20260314_102030123"),
        *("2026-03-14_10.20.30", "2026_03_14_10_20_30", "2026.03.14.10.20.30", "talk_2026-03-14T11:20:30+01:00"),
        *("2026-03-14T03:20:30-0700_b", "Vortrag 2026-03-14_10-20-30 (ä)", "001_2026-03-14T102030"),
    ],
)
def test_dates_with_a_time(name: str) -> None:
    assert [at.replace(microsecond=0) for at in dates_in(name)] == [AT]


@pytest.mark.parametrize(
    "name",
    [
        *("2026-03-14", "20260314", "2026/03/14", "a/2026/03/14/b", "2026_03_14_talk", "talk 2026.03.14"),
        *("20260314-001", "2026-03-14_25-61-00", "20260314_991399", "2026-03-14-9", "2026-03-14T10:20:30+99:99"),
        *("2026-03-14_10-20", "x-20260314", "(20260314)", "日 20260314 本"),
    ],
)
def test_dates_without_a_time_that_exists(name: str) -> None:
    assert dates_in(name) == [DAY]


@pytest.mark.parametrize(
    "name",
    [
        *("talk_20261399", "2026-13-01", "2026-02-30", "20260230_102030", "2026-3-14", "14-03-2026"),
        *("00000314", "0170-20260314", "0170 20260314", "030.20260314", "+49 170 20260314", "+4920260314"),
        *("+1 (555) 2026-03-14", "555-2026-03-14", "1.2026.03.14", "202603141", "120260314", "2026-03-145"),
        *("2026031410203", "1773483630", "1773483630123", "ab20260314", "20260314ab", "talk20260314"),
        *("日20260314", "9f-20260314", "20260314-9f3a", "20260314-1234-4abc-8def-123456789012", "2026-03/14"),
        *("2026-0314", "202603-14", "２０２６-03-14", "d41d8cd98f00"),
    ],
)
def test_what_is_no_date(name: str) -> None:
    assert dates_in(name) == []


@given(st.uuids() | st.binary(min_size=2, max_size=32) | st.integers(10**9, 10**19))
@settings(max_examples=100)
def test_identifiers_hashes_and_numbers_are_no_dates(identifier: uuid.UUID | bytes | int) -> None:
    text = identifier.hex() if isinstance(identifier, bytes) else str(identifier)
    assert dates_in(f"talk_{text}") == [] or (len(text) in {8, 14, 17, 20} and text.isdecimal())


@given(st.text(max_size=30) | st.text("0123456789-_./T:Z+ ", max_size=30))
@settings(max_examples=100)
def test_no_name_raises(name: str) -> None:
    for at in dates_in(name):
        assert at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-14T10:20:30Z", AT),
        ("2026-03-14T11:20:30+01:00", AT),
        ("2026-03-14 10:20:30", AT),
        (" 2026-03-14T10:20:30.000000 ", AT),
        ("20260314T102030", AT),
        ("2026-03-14", DAY),
        (1773483630, AT),
        (1773483630.0, AT),
        (1773483630000, AT),
        ("1773483630", AT),
        ("1773483630000", AT),
    ],
)
@pytest.mark.parametrize("name", ["recorded_at", "date"])
def test_the_document_says_it(name: str, value: object, expected: datetime) -> None:
    assert dated({name: value}, "2026/01/01/2026-02-02.webm", IN_FILE) == Dated(expected, f"{name} in its document")


def test_the_order_of_the_fields() -> None:
    fields = {name: f"2026-03-{day:02}" for day, name in enumerate(DATE_FIELDS, 1)}
    for day, name in enumerate(DATE_FIELDS, 1):
        assert dated(fields).at == datetime(2026, 3, day, tzinfo=UTC)
        del fields[name]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("2026/01/01/talk_2026-03-14.webm", Dated(DAY, "its name")),
        ("2026-03-14_to_2026-03-10.webm", Dated(DAY, "its name")),
        ("2026/03/14/talk.webm", Dated(DAY, "its directory")),
        ("2026-01-01/20260314/talk.webm", Dated(DAY, "its directory")),
        ("a/03-14-26-01_compressed.opus", Dated(DAY, "its name")),
        ("03-14-26/talk.webm", Dated(IN_FILE, "the date in the file")),
        ("2026/03/talk.webm", Dated(IN_FILE, "the date in the file")),
        ("talk.webm", Dated(IN_FILE, "the date in the file")),
    ],
)
def test_then_the_name_then_the_directory_then_the_file(path: str, expected: Dated) -> None:
    assert dated(path=path, in_file=IN_FILE) == expected


def test_then_when_it_was_modified() -> None:
    assert dated() == Dated(MODIFIED, "when it was last modified")


def test_the_file_is_opened_only_when_it_is_needed() -> None:
    def opened() -> datetime:
        raise AssertionError

    assert recorded_at({"date": "2026-03-14"}, "talk.webm", opened, MODIFIED, NOW).at == DAY
    assert recorded_at({}, "2026-03-14.webm", opened, MODIFIED, NOW).at == DAY


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("2026-06-03T12:00:01Z", "recorded_at says 2026-06-03, which cannot be"),
        pytest.param("1989-12-31T23:59:59Z", "says 1989-12-31, which cannot be", id="too early"),
        (61.2, "recorded_at in its document says 1970-01-01, which cannot be"),
        (0, "1970-01-01, which cannot be"),
        ("yesterday", "recorded_at in its document is 'yesterday', which is no date"),
        ("00:01:12", "is '00:01:12', which is no date"),
        ("2026-13-14", "is '2026-13-14', which is no date"),
        (True, "is 'True', which is no date"),
        (1e300, "is '1e+300', which is no date"),
        (float("nan"), "is 'nan', which is no date"),
        (10**400, "which is no date"),
        ("0001-01-01T00:00:00+14:00", "which is no date"),
        ({"$date": 1}, "is '{'$date': 1}', which is no date"),
        ("\x1b[2J" + "x" * 100, "is '\ufffd[2J" + "x" * 36 + "', which is no date"),
    ],
)
def test_what_cannot_be_is_passed_over_and_said(value: object, reason: str) -> None:
    found = dated({"recorded_at": value})
    assert found.at == MODIFIED
    assert found.by.startswith("when it was last modified (recorded_at in its document ")
    assert reason.removeprefix("recorded_at ") in found.by
    assert found.by.isprintable() or "\ufffd" in found.by


@pytest.mark.parametrize("value", ["2026-06-02T11:59:59Z", "1990-01-01T00:00:00Z"])
def test_what_can_just_be(value: str) -> None:
    assert dated({"recorded_at": value}) == Dated(datetime.fromisoformat(value), "recorded_at in its document")


@pytest.mark.parametrize("value", [None, ""])
def test_an_empty_field_is_none(value: object) -> None:
    assert dated({"recorded_at": value, "date": "2026-03-14"}) == Dated(DAY, "date in its document")


def test_what_nobody_knows_counts_as_new() -> None:
    """An unpacked archive may have set every file back to 1970; that is no reason to delete it."""
    found = dated(path="2099-01-01/1970-01-01.webm", modified_at=datetime(1970, 1, 1, tzinfo=UTC))
    assert found == Dated(
        NOW,
        "nothing, so that it counts as new (its name says 1970-01-01, which cannot be; "
        "its directory says 2099-01-01, which cannot be; when it was last modified says 1970-01-01, which cannot be)",
    )
