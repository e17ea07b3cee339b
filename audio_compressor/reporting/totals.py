"""The sums over the whole table, as the old manifest and the report's metadata show them."""

from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from audio_compressor.reporting.formatting import MB_PER_GB


@dataclass(frozen=True)
class Totals:
    """GB is 1,000 MB.

    Sizes, duration and ratio are those of recordings whose original and compressed sizes are both known. A recording
    that failed or was skipped after an earlier success is among them: its compressed file is still there.
    """

    last_run: datetime | None
    total_processed: int
    total_failed: int
    total_skipped: int
    total_space_saved_gb: float
    total_original_gb: float
    total_compressed_gb: float
    total_duration_hours: float
    overall_ratio: float | None


def totals(frame: pd.DataFrame) -> Totals:
    """``total_processed`` counts the recordings whose last outcome is a success, as the old manifest did."""
    status = frame["status"].value_counts()
    measured = frame[compressed(frame)]
    original_gb = float(measured["original_size_mb"].sum()) / MB_PER_GB
    compressed_gb = float(measured["compressed_size_mb"].sum()) / MB_PER_GB
    return Totals(
        last_run=None if frame.empty else frame["processed_at"].max().to_pydatetime(),
        total_processed=int(status.get("success", 0)),
        total_failed=int(status.get("failed", 0)),
        total_skipped=int(status.get("skipped", 0)),
        total_space_saved_gb=original_gb - compressed_gb,
        total_original_gb=original_gb,
        total_compressed_gb=compressed_gb,
        total_duration_hours=float(measured["duration_seconds"].sum()) / 3600,
        overall_ratio=original_gb / compressed_gb if compressed_gb else None,
    )


def compressed(frame: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows have both sizes."""
    return frame["original_size_mb"].notna() & frame["compressed_size_mb"].notna()
