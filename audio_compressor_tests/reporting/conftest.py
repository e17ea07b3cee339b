from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from audio_compressor.reporting.results import Result
from audio_compressor.reporting.table import update


@pytest.fixture(scope="session")
def large() -> pd.DataFrame:
    """100,000 successful recordings, 25 a day from 2014 on."""
    results = []
    for number in range(100_000):
        day, take = date(2014, 1, 1) + timedelta(days=number // 25), number % 25
        size_mb = 100.0 + number % 37
        results.append(
            Result(
                f"{day:%m-%d-%y}-{take:02d}" if take else f"{day:%m-%d-%y}",
                "success",
                datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
                original_size_mb=size_mb,
                compressed_size_mb=size_mb / 5.5,
                compression_ratio=5.5,
                duration_seconds=600.0,
                storage_location="sftp",
            )
        )
    return update(None, results)
