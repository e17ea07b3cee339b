"""How figures are written for people: one rule for the terminal, the report and the manifest.

MB is 1,000,000 bytes and GB is 1,000 MB. Units are not part of the texts; headings name them.
"""

import math
from typing import TypeGuard

BYTES_PER_MB = 1_000_000
MB_PER_GB = 1_000
UNKNOWN = "–"


def to_mb(size_bytes: int) -> float:
    return size_bytes / BYTES_PER_MB


def rounded(value: float) -> float:
    """To one decimal from 1 up; to three below, and never to 0 what is not 0."""
    magnitude = abs(value)
    if magnitude == 0:
        return 0.0
    if magnitude >= 1:
        return round(value, 1)
    return math.copysign(max(round(magnitude, 3), 0.001), value)


def megabytes(size_mb: float | None) -> str:
    """``156.3``, ``1,204.0``, ``0.084``; unknown is a dash."""
    if not _known(size_mb):
        return UNKNOWN
    value = rounded(size_mb)
    return f"{value:,.1f}" if abs(value) >= 1 or value == 0 else f"{value:.3f}"


def gigabytes(size_gb: float | None) -> str:
    """``18.7``; written as ``megabytes`` are."""
    return megabytes(size_gb)


def ratio(original_over_compressed: float | None) -> str:
    """``5.5×``: how many times smaller the result is."""
    return f"{megabytes(original_over_compressed)}×" if _known(original_over_compressed) else UNKNOWN


def duration(duration_seconds: float | None) -> str:
    """``1:02:03``: hours, minutes, seconds; anything shorter than a second counts as one."""
    if not _known(duration_seconds):
        return UNKNOWN
    seconds = max(round(duration_seconds), 1) if duration_seconds > 0 else 0
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
