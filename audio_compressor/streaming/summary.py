"""What is kept of a track that is done with, to sum up thousands of them in the end.

What is published names every segment with its hash: 20 kB for a song, 400 kB for an hour.
"""

from dataclasses import dataclass
from typing import Literal

from audio_compressor.streaming.details import number, told_loudness
from audio_compressor.streaming.explain import explain_track
from audio_compressor.streaming.model import TrackOutcome


@dataclass(frozen=True)
class TrackSummary:
    """``line`` says what became of it, and is logged at ``level``. None is what is not known."""

    key: str
    status: Literal["success", "failed", "skipped"]
    level: int
    line: str
    was_there: bool = False
    uploaded_bytes: int | None = None
    published_bytes: int | None = None
    duration_seconds: float | None = None
    mode: str | None = None
    input_lufs: float | None = None
    output_lufs: float | None = None
    output_true_peak_dbtp: float | None = None


def summarise(outcome: TrackOutcome) -> TrackSummary:
    level, line = explain_track(outcome)
    published = outcome.published
    details = published.details if published else {}
    loudness = told_loudness(details)
    return TrackSummary(
        outcome.key,
        outcome.status,
        level,
        line,
        was_there=outcome.was_there,
        uploaded_bytes=outcome.raw.size_bytes if outcome.raw else None,
        published_bytes=sum(file.size_bytes for file in published.files.values()) if published else None,
        duration_seconds=number(details.get("duration_seconds")),
        mode=loudness.mode,
        input_lufs=loudness.input_lufs,
        output_lufs=loudness.output_lufs,
        output_true_peak_dbtp=loudness.output_true_peak_dbtp,
    )
