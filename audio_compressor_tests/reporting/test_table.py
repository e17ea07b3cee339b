import csv
import os
import random
import subprocess
import sys
import time
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from audio_compressor.errors import AccessDeniedError, ManifestError, StorageError
from audio_compressor.recording import chronological
from audio_compressor.reporting.files import REPORT_NAME
from audio_compressor.reporting.results import COLUMNS, PRODUCT_COLUMNS, Result
from audio_compressor.reporting.table import read_csv, results_of, update, write_csv
from audio_compressor_tests.reporting.strategies import results

HEADER = (
    "directory,status,processed_at,reason,original_size_mb,compressed_size_mb,compression_ratio,duration_seconds,"
    "bitrate_kbps,codec,storage_location,uri"
)
NOON = datetime(2025, 11, 5, 12, tzinfo=UTC)


def success(directory: str = "10-17-25", at: datetime = NOON, compressed_size_mb: float = 10.0) -> Result:
    return Result(
        directory,
        "success",
        at,
        original_size_mb=55.0,
        compressed_size_mb=compressed_size_mb,
        compression_ratio=55.0 / compressed_size_mb,
        duration_seconds=312.0,
        bitrate_kbps=256.0,
        codec="pcm_s16le",
        storage_location="local",
        uri=f"file:///data/{directory}",
    )


def failure(directory: str = "10-17-25", at: datetime = NOON) -> Result:
    return Result(directory, "failed", at, reason="the file is not audio")


def later(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def only(frame: pd.DataFrame) -> Result:
    (row,) = results_of(frame)
    return row


def test_the_columns_are_those_of_a_result() -> None:
    assert list(COLUMNS) == [item.name for item in fields(Result)]
    assert set(PRODUCT_COLUMNS) < set(COLUMNS)


def test_nothing_is_an_empty_table_with_typed_columns() -> None:
    frame = update(None, [])
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == dict(COLUMNS)
    assert len(frame) == 0


def test_a_result_comes_back_as_it_was() -> None:
    assert only(update(None, [success()])) == success()


def test_later_success_replaces_everything() -> None:
    frame = update(None, [success(), replace(failure(), processed_at=later(1))])
    frame = update(frame, [success(at=later(2), compressed_size_mb=5.0)])
    assert only(frame) == success(at=later(2), compressed_size_mb=5.0)


@pytest.mark.parametrize("status", ["failed", "skipped"])
def test_a_failure_keeps_the_file_of_the_success_before(status: str) -> None:
    bad = Result("10-17-25", status, later(1), reason="too large", original_size_mb=9_000.0)  # type: ignore[arg-type]
    expected = replace(success(), status=bad.status, processed_at=bad.processed_at, reason="too large")
    assert only(update(None, [success(), bad])) == expected
    assert only(update(update(None, [success()]), [bad])) == expected


def test_a_failure_without_success_keeps_its_own_figures() -> None:
    bad = replace(failure(), original_size_mb=9_000.0)
    assert only(update(None, [bad])) == bad


def test_two_failures_after_a_success_still_know_its_file() -> None:
    frame = update(None, [success()])
    for hours in (1, 2):
        frame = update(frame, [failure(at=later(hours))])
    row = only(frame)
    assert (row.status, row.processed_at, row.uri) == ("failed", later(2), success().uri)


def test_an_older_result_does_not_replace_a_newer_one() -> None:
    frame = update(None, [success(at=later(2))])
    assert only(update(frame, [failure(at=later(1)), success(at=NOON, compressed_size_mb=1.0)])) == success(at=later(2))


def test_an_older_success_that_is_imported_tells_where_the_file_is() -> None:
    row = only(update(update(None, [failure(at=later(1))]), [success(at=NOON)]))
    assert row == replace(success(), status="failed", processed_at=later(1), reason="the file is not audio")


def test_of_equal_times_the_last_to_arrive_counts() -> None:
    assert only(update(update(None, [failure()]), [success()])).status == "success"
    assert only(update(update(None, [success()]), [failure()])).status == "failed"
    assert only(update(None, [success(), failure()])).status == "failed"


def test_times_become_utc() -> None:
    local = datetime.fromisoformat("2025-11-05T14:00:00.000001+02:00")
    row = only(update(None, [success(at=local)]))
    assert row.processed_at == local
    assert row.processed_at.utcoffset() == timedelta(0)


def test_the_frame_given_is_not_changed() -> None:
    frame = update(None, [success(), success("10-18-25")])
    before = frame.copy(deep=True)
    update(frame, [failure(at=later(1)), success("10-17-25-01"), success("09-01-24")])
    assert_frame_equal(frame, before)


def test_rows_are_in_order_of_recording() -> None:
    names = ["backup", "01-02-26", "10-17-25-02", "10-17-25", "10-17-25-01", "12-31-24"]
    frame = update(update(None, [success(name) for name in names[:3]]), [success(name) for name in names[3:]])
    assert frame["directory"].tolist() == [
        "12-31-24",
        "10-17-25",
        "10-17-25-01",
        "10-17-25-02",
        "01-02-26",
        "backup",
    ]
    assert frame.index.tolist() == list(range(6))


@given(st.lists(results, max_size=30), st.integers(0, 30))
@settings(deadline=None)  # a busy machine, not the code, decides how long an example takes
def test_one_row_each_whatever_arrives_in_whatever_portions(arrived: list[Result], cut: int) -> None:
    frame = update(update(None, arrived[:cut]), arrived[cut:])
    rows = results_of(frame)
    names = [row.directory for row in rows]
    assert names == sorted({result.directory for result in arrived}, key=chronological)
    for row in rows:
        group = [result for result in arrived if result.directory == row.directory]
        assert row.processed_at == max(result.processed_at for result in group)
        last = max(enumerate(group), key=lambda item: (item[1].processed_at, item[0]))[1]
        assert row.status == last.status
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == dict(COLUMNS)


@given(st.lists(results, max_size=10))
@settings(deadline=None)  # a busy machine, not the code, decides how long an example takes
def test_portions_make_no_difference_in_order_of_time(arrived: list[Result]) -> None:
    # A failed result without an earlier success may carry figures, but never those of a product.
    honest = [
        result
        if result.status == "success"
        else replace(result, compressed_size_mb=None, storage_location=None, uri=None)
        for result in arrived
    ]
    # As from a success on: it always knows where its file is.
    honest = [replace(r, storage_location="local") if r.status == "success" else r for r in honest]
    honest.sort(key=lambda result: result.processed_at)
    frame = update(None, [])
    for result in honest:
        frame = update(frame, [result])
    assert_frame_equal(frame, update(None, honest))


@given(arrived=st.lists(results, max_size=20))
@settings(deadline=None)  # a busy machine, not the code, decides how long an example takes
def test_csv_gives_the_same_table_back(arrived: list[Result], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("report") / REPORT_NAME
    frame = update(None, arrived)
    write_csv(frame, path)
    again = read_csv(path)
    assert again is not None
    assert_frame_equal(again, frame, check_exact=True)
    assert os.listdir(path.parent) == [REPORT_NAME]  # noqa: PTH208


@pytest.mark.parametrize(
    "text", ["line\nbreak", "\r\n", "\r", '"quoted", a', "NA", " ", "\0", "\udcff", "é\u2028", "#", "'", "'a"]
)
def test_awkward_reasons_survive_the_csv(tmp_path: Path, text: str) -> None:
    frame = update(None, [replace(failure(), reason=text)])
    write_csv(frame, tmp_path / REPORT_NAME)
    again = read_csv(tmp_path / REPORT_NAME)
    assert again is not None
    assert_frame_equal(again, frame)


def test_the_csv_is_what_analysts_expect(tmp_path: Path) -> None:
    path = tmp_path / REPORT_NAME
    write_csv(update(None, [success(), failure("10-18-25", datetime(2025, 11, 5, 2, 1, 23, tzinfo=UTC))]), path)
    assert path.read_text(encoding="utf-8").splitlines() == [
        HEADER,
        "10-17-25,success,2025-11-05T12:00:00.000000Z,,55.0,10.0,5.5,312.0,256.0,pcm_s16le,local,file:///data/10-17-25",
        "10-18-25,failed,2025-11-05T02:01:23.000000Z,the file is not audio,,,,,,,,",
    ]


FORMULAS = ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", "\n=1", "＝1", "'=1", "''=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_spreadsheet_finds_no_formula(tmp_path: Path, text: str) -> None:
    frame = update(None, [replace(failure(directory=text), reason=text)])
    write_csv(frame, tmp_path / REPORT_NAME)
    with (tmp_path / REPORT_NAME).open(encoding="utf-8", newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["directory"], row["reason"]) == (f"'{text}", f"'{text}")
    again = read_csv(tmp_path / REPORT_NAME)
    assert again is not None
    assert_frame_equal(again, frame)


def test_no_file_is_no_table(tmp_path: Path) -> None:
    assert read_csv(tmp_path / REPORT_NAME) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"a,b\n1,2\n",
        f"{HEADER}\n1,2\n".encode(),
        f"{HEADER}\nx,success,yesterday,,,,,,,,,\n".encode(),
        f"{HEADER}\nx,success,2025-11-05T02:01:23Z,,many,,,,,,,\n".encode(),
        f"{HEADER}\nx,done,2025-11-05T02:01:23Z,,,,,,,,,\n".encode(),
        f"{HEADER}\n,success,2025-11-05T02:01:23Z,,,,,,,,,\n".encode(),
        f"{HEADER}\nx,success,2025-11-05T02:01:23Z,,,,,,,,,\nx,failed,2025-11-05T02:01:23Z,,,,,,,,,\n".encode(),
        f'{HEADER}\n"x,success,2025-11-05T02:01:23Z,,,,,,,,,\n'.encode(),
    ],
)
def test_another_file_is_refused_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / REPORT_NAME
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=rf"{REPORT_NAME} is not a report: .+\. Delete it"):
        read_csv(path)


def test_a_directory_that_cannot_be_written_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises((AccessDeniedError, StorageError), match="processing_report"):
        write_csv(update(None, [success()]), Path("/proc/nowhere") / REPORT_NAME)
    (tmp_path / REPORT_NAME).mkdir()
    with pytest.raises(StorageError, match="processing_report"):
        write_csv(update(None, [success()]), tmp_path / REPORT_NAME)
    assert [path.name for path in tmp_path.iterdir()] == [REPORT_NAME]


def test_a_hundred_new_rows_cost_little_in_a_hundred_thousand(large: pd.DataFrame) -> None:
    chosen = random.Random(1).sample(large["directory"].tolist(), 50)  # noqa: S311
    new = [failure(name, datetime(2040, 1, 1, tzinfo=UTC)) for name in chosen]
    new += [success(f"{date(2038, 1, 1) + timedelta(days=day):%m-%d-%y}") for day in range(50)]
    started = time.process_time()
    frame = update(large, new)
    elapsed = time.process_time() - started
    assert len(frame) == 100_050
    assert elapsed < 1  # 0.07 s measured
    assert frame["status"].value_counts()["failed"] == 50


def test_the_package_loads_without_pandas() -> None:
    code = (
        "import sys, audio_compressor.reporting, audio_compressor.reporting.results,"
        "audio_compressor.reporting.formatting; sys.exit({'pandas', 'matplotlib', 'numpy'} & set(sys.modules) != set())"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
