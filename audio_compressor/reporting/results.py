"""One outcome of one recording, and the columns of the report in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias, get_args

Status: TypeAlias = Literal["success", "failed", "skipped"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class Result:
    """What came out when one recording was processed; MB is 1,000,000 bytes, None is unknown.

    ``processed_at`` is timezone-aware. ``reason`` says why a recording failed or was skipped. The rest describes the
    compressed file and what it was made from.
    """

    directory: str
    status: Status
    processed_at: datetime
    reason: str | None = None
    original_size_mb: float | None = None
    compressed_size_mb: float | None = None
    compression_ratio: float | None = None
    duration_seconds: float | None = None
    bitrate_kbps: float | None = None
    codec: str | None = None
    storage_location: str | None = None
    uri: str | None = None


# Name and pandas type of every column, in the order of the CSV file; the names are those of Result.
COLUMNS: Mapping[str, str] = {
    "directory": "string",
    "status": "string",
    "processed_at": "datetime64[us, UTC]",
    "reason": "string",
    "original_size_mb": "float64",
    "compressed_size_mb": "float64",
    "compression_ratio": "float64",
    "duration_seconds": "float64",
    "bitrate_kbps": "float64",
    "codec": "string",
    "storage_location": "string",
    "uri": "string",
}

# What a later failure or skip leaves as it is: the file of the last success is still there.
PRODUCT_COLUMNS = (
    "original_size_mb",
    "compressed_size_mb",
    "compression_ratio",
    "duration_seconds",
    "bitrate_kbps",
    "codec",
    "storage_location",
    "uri",
)
