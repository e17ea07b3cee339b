"""An outcome in words, for the log of a run and for the terminal."""

import logging

from audio_compressor.reporting.formatting import megabytes, to_mb
from audio_compressor.streaming.model import TrackOutcome


def explain_track(outcome: TrackOutcome) -> tuple[int, str]:
    """The level at which it is logged, and one line."""
    key = outcome.key
    if outcome.status == "failed":
        return logging.ERROR, f"{key}: failed: {outcome.reason}"
    if outcome.status == "skipped":
        return logging.WARNING, f"{key}: skipped: {outcome.reason}"
    if outcome.was_there or outcome.raw is None or outcome.published is None:
        line = f"{key}: was published before, and is whole: {outcome.published_uri}"
    else:
        raw, files = megabytes(to_mb(outcome.raw.size_bytes)), outcome.published.files.values()
        published = megabytes(to_mb(sum(file.size_bytes for file in files)))
        made = f"{raw} MB to {published} MB in {len(files)} files in {outcome.seconds:.1f} s"
        line = f"{key}: {made}: {outcome.published_uri}"
    unhappy = [check.summary for check in outcome.checks if not check.passed]
    return (logging.WARNING, f"{line}; but {'; '.join(unhappy)}") if unhappy else (logging.INFO, line)
