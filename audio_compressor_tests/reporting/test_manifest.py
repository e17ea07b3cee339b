import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_compressor.errors import ManifestError, PermanentError
from audio_compressor.reporting.manifest import MAX_CHARACTERS, build_manifest, manifest_json, parse_manifest
from audio_compressor.reporting.results import Result
from audio_compressor.reporting.table import results_of, update
from audio_compressor_tests.reporting.strategies import results

# The example of the document that describes the pipeline before this one.
DOCUMENT = """{
  "last_run": "2025-11-05T02:00:00Z",
  "total_processed": 145,
  "total_failed": 2,
  "total_space_saved_gb": 18.7,
  "directories": [
    {
      "directory": "10-17-25",
      "processed_at": "2025-11-05T02:01:23Z",
      "original_size_mb": 156.3,
      "compressed_size_mb": 8.2,
      "compression_ratio": 19.0,
      "status": "success",
      "storage_location": "sftp"
    }
  ]
}
"""
FROM_DOCUMENT = Result(
    "10-17-25",
    "success",
    datetime(2025, 11, 5, 2, 1, 23, tzinfo=UTC),
    original_size_mb=156.3,
    compressed_size_mb=8.2,
    compression_ratio=19.0,
    storage_location="sftp",
)


def manifest(*entries: Any) -> str:
    return json.dumps({"directories": entries})


def entry(**changes: Any) -> dict[str, Any]:
    return {**json.loads(DOCUMENT)["directories"][0], **changes}


def test_the_documents_example_is_read() -> None:
    assert parse_manifest(DOCUMENT) == [FROM_DOCUMENT]
    assert parse_manifest("\ufeff" + DOCUMENT) == [FROM_DOCUMENT]


def test_the_documents_form_is_written() -> None:
    written = manifest_json(update(None, [FROM_DOCUMENT]))
    expected = (
        DOCUMENT.replace("02:00:00", "02:01:23").replace("145", "1").replace(': 2,\n  "total_s', ': 0,\n  "total_s')
    )
    assert written == expected.replace("18.7", "0.148")


def test_nothing_yet_is_a_manifest_too() -> None:
    built = build_manifest(update(None, []))
    assert built == {
        "last_run": None,
        "total_processed": 0,
        "total_failed": 0,
        "total_space_saved_gb": 0.0,
        "directories": [],
    }
    assert parse_manifest(json.dumps(built)) == []


def test_what_is_unknown_is_null_and_what_is_small_is_not_zero() -> None:
    bad = Result("10-18-25", "failed", datetime(2025, 11, 5, tzinfo=UTC), reason="not audio")
    small = replace(FROM_DOCUMENT, original_size_mb=0.0441, compressed_size_mb=0.000_04, compression_ratio=float("inf"))
    first, second = build_manifest(update(None, [small, bad]))["directories"]
    assert (first["original_size_mb"], first["compressed_size_mb"], first["compression_ratio"]) == (0.044, 0.001, None)
    assert second == {
        "directory": "10-18-25",
        "processed_at": "2025-11-05T00:00:00Z",
        "original_size_mb": None,
        "compressed_size_mb": None,
        "compression_ratio": None,
        "status": "failed",
        "storage_location": None,
    }


@given(st.lists(results, max_size=20))
@settings(deadline=None)  # a busy machine, not the code, decides how long an example takes
def test_what_was_written_is_read_back(arrived: list[Result]) -> None:
    frame = update(None, arrived)
    text = manifest_json(frame)
    assert text == json.dumps(build_manifest(frame), indent=2, ensure_ascii=False) + "\n"
    read = parse_manifest(text)
    assert [(item.directory, item.status, item.storage_location) for item in read] == [
        (row.directory, row.status, row.storage_location) for row in results_of(frame)
    ]
    assert [item.processed_at for item in read] == [
        row.processed_at.replace(microsecond=0) for row in results_of(frame)
    ]
    again = json.loads(manifest_json(update(None, read)))
    # Rounding once more changes nothing; the sum of rounded sizes may differ from the rounded sum.
    assert again["directories"] == json.loads(text)["directories"]
    assert again["last_run"] == json.loads(text)["last_run"]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-11-05T02:01:23Z", "2025-11-05T02:01:23+00:00"),
        ("2025-11-05T02:01:23+02:00", "2025-11-05T00:01:23+00:00"),
        ("2025-11-05T02:01:23", "2025-11-05T02:01:23+00:00"),
        ("2025-11-05T02:01:23.25Z", "2025-11-05T02:01:23.250000+00:00"),
        ("2025-11-05", "2025-11-05T00:00:00+00:00"),
    ],
)
def test_times(text: str, moment: str) -> None:
    (result,) = parse_manifest(manifest(entry(processed_at=text)))
    assert result.processed_at.isoformat() == moment


def test_missing_figures_are_unknown() -> None:
    least = {"directory": "10-17-25", "processed_at": "2025-11-05T02:01:23Z", "status": "failed"}
    assert parse_manifest(manifest(least)) == [Result("10-17-25", "failed", FROM_DOCUMENT.processed_at)]
    assert parse_manifest(manifest({**least, "original_size_mb": None, "more": [1]}))[0].original_size_mb is None


def test_of_a_directory_that_is_there_twice_the_last_counts() -> None:
    read = parse_manifest(manifest(entry(), entry(directory="a"), entry(status="failed")))
    assert [(result.directory, result.status) for result in read] == [("a", "success"), ("10-17-25", "failed")]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"directory": None}, "entry 1 (no directory): directory is missing; allowed: a name"),
        ({"directory": 7}, "entry 1 (no directory): directory is 7; allowed: a name"),
        (
            {"directory": "../etc"},
            "entry 1 ('../etc'): directory cannot be a recording: the name holds a path separator",
        ),
        ({"directory": "a\ud800"}, "cannot be a recording: the name holds control or invisible characters"),
        ({"status": "done"}, "entry 1 ('10-17-25'): status is 'done'; allowed: success, failed, skipped"),
        ({"status": ["success"]}, "status is ['success']; allowed"),
        ({"status": None}, "status is missing; allowed"),
        ({"processed_at": "yesterday"}, "processed_at is 'yesterday'; allowed: a time such as 2025-11-05T02:01:23Z"),
        ({"processed_at": "0001-01-01T00:00:00+14:00"}, "processed_at is '0001"),
        ({"processed_at": 1762308083}, "processed_at is 1762308083"),
        ({"original_size_mb": -1}, "original_size_mb is -1; allowed: a number from 0, or null"),
        ({"compressed_size_mb": "8.2"}, "compressed_size_mb is '8.2'"),
        ({"compression_ratio": True}, "compression_ratio is True"),
        ({"compression_ratio": float("nan")}, "compression_ratio is nan"),
        ({"compression_ratio": 10**400}, "compression_ratio is 1000"),
        ({"storage_location": "attic"}, "storage_location is 'attic'; allowed: local, sftp, s3"),
        ({"storage_location": {}}, "storage_location is {}"),
    ],
)
def test_a_wrong_entry_is_named_with_what_is_wrong(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(manifest(entry(directory="10-16-25"), entry(**changes)))
    assert len(caught.value.problems) == 1
    assert complaint in caught.value.problems[0]
    assert complaint in str(caught.value)
    assert "1 unusable of 2 entries" in str(caught.value)


def test_every_wrong_entry_is_listed_and_everything_wrong_with_it() -> None:
    bad = [entry(status="x", original_size_mb=-1), 5, *(entry(status=None) for _ in range(80))]
    with pytest.raises(ManifestError) as caught:
        parse_manifest(manifest(*bad))
    assert len(caught.value.problems) == 82
    assert "status is 'x'" in caught.value.problems[0]
    assert "original_size_mb is -1" in caught.value.problems[0]
    assert caught.value.problems[1] == "entry 1 (no directory): it is 5 instead of an object"
    assert str(caught.value).endswith("and 32 more")
    assert isinstance(caught.value, PermanentError)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "null",
        '{"directories": {}}',
        '{"directories": null}',
        DOCUMENT[:200],
        "[" * 200_000,
        '{"directories":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"directories": [' + "9" * 5000 + "]}",
        '{"a":' * 100_000,
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(ManifestError):
        parse_manifest(text)


def test_a_text_that_is_too_large_is_not_even_parsed() -> None:
    with pytest.raises(ManifestError, match="too large"):
        parse_manifest(DOCUMENT + " " * MAX_CHARACTERS)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
almost_entries = st.fixed_dictionaries(
    {},
    optional={
        "directory": st.sampled_from(["10-17-25"]) | json_values,
        "processed_at": st.sampled_from(["2025-11-05T02:01:23Z", "2025-W01-1T24:00"]) | json_values,
        "status": st.sampled_from(["success"]) | json_values,
        "original_size_mb": json_values,
        "storage_location": json_values,
    },
)


@given(st.text() | json_values.map(json.dumps) | st.lists(almost_entries | json_values).map(lambda e: manifest(*e)))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read = parse_manifest(text)
    except ManifestError:
        return
    update(None, read)
