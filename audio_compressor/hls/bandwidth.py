"""What BANDWIDTH and AVERAGE-BANDWIDTH of a variant are: measured bit rates, containers included (RFC 8216, 4.1)."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """One segment as it lies on disk, with the duration that its playlist tells."""

    size_bytes: int
    duration_microseconds: int


def peak_bits_per_second(segments: Sequence[Measured], target_duration_seconds: int) -> int:
    """The largest rate of any run of segments that lasts between 0.5 and 1.5 target durations; of all segments when
    no run does. Rounded up."""
    least = target_duration_seconds * 500_000
    most = target_duration_seconds * 1_500_000
    peak = 0
    for start in range(len(segments)):
        size_bytes = duration = 0
        for segment in segments[start:]:
            size_bytes += segment.size_bytes
            duration += segment.duration_microseconds
            if duration > most:
                break
            if duration >= least:
                peak = max(peak, _rate(size_bytes, duration))
    return peak or average_bits_per_second(segments)


def average_bits_per_second(segments: Sequence[Measured]) -> int:
    """All bits by the playlist's duration. Rounded up."""
    return _rate(
        sum(segment.size_bytes for segment in segments), sum(segment.duration_microseconds for segment in segments)
    )


def _rate(size_bytes: int, duration_microseconds: int) -> int:
    return -(-8_000_000 * size_bytes // duration_microseconds)
