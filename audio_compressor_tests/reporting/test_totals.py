from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from audio_compressor.reporting.results import Result
from audio_compressor.reporting.table import update
from audio_compressor.reporting.totals import Totals, totals

AT = datetime(2025, 11, 5, 2, 1, 23, tzinfo=UTC)


def success(directory: str, original_size_mb: float | None, compressed_size_mb: float | None) -> Result:
    return Result(
        directory,
        "success",
        AT,
        original_size_mb=original_size_mb,
        compressed_size_mb=compressed_size_mb,
        duration_seconds=1800,
        storage_location="sftp",
    )


def test_nothing_yet() -> None:
    assert totals(update(None, [])) == Totals(None, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, None)


def test_every_outcome_counts_and_every_file_that_is_there() -> None:
    first = success("10-17-25", 1500, 300)
    late = AT + timedelta(days=1)
    frame = update(
        None,
        [
            first,
            success("10-18-25", 500, 100),
            # It failed later on, but its compressed file is still there.
            replace(first, status="failed", reason="the name did not resolve", processed_at=late),
            Result("10-19-25", "failed", AT, reason="not audio", original_size_mb=77),
            Result("10-20-25", "skipped", AT, reason="too large", original_size_mb=9000),
            # Adopted from an earlier deployment, when the original was gone.
            success("10-21-25", None, 40),
        ],
    )
    sums = totals(frame)
    assert (sums.total_processed, sums.total_failed, sums.total_skipped) == (2, 2, 1)
    assert sums.last_run == late
    assert isinstance(sums.last_run, datetime)
    assert sums.total_original_gb == pytest.approx(2.0)
    assert sums.total_compressed_gb == pytest.approx(0.4)
    assert sums.total_space_saved_gb == pytest.approx(1.6)
    assert sums.total_duration_hours == pytest.approx(1.0)
    assert sums.overall_ratio == pytest.approx(5.0)


def test_a_hundred_thousand_rows(large: pd.DataFrame) -> None:
    sums = totals(large)
    assert sums.total_processed == 100_000
    assert sums.overall_ratio == pytest.approx(5.5)
    assert sums.total_duration_hours == pytest.approx(100_000 / 6)
