"""An outcome in words, for the log of a run and for the terminal."""

import logging

from audio_compressor.batch.model import Outcome
from audio_compressor.reporting.formatting import megabytes, to_mb


def explain(outcome: Outcome) -> tuple[int, str]:
    """The level at which it is logged, and one line."""
    directory = outcome.directory
    if outcome.status == "failed":
        return logging.ERROR, f"{directory}: failed: {outcome.reason}"
    if outcome.status == "skipped":
        return logging.WARNING, f"{directory}: skipped: {outcome.reason}"
    if outcome.compressed is None or outcome.fingerprint is None:
        return logging.INFO, f"{directory}: done"
    original = megabytes(to_mb(outcome.fingerprint.size_bytes))
    compressed = megabytes(to_mb(outcome.compressed.compression.size_bytes))
    seconds, uri = outcome.compressed.processing_seconds, outcome.compressed.stored.uri
    return logging.INFO, f"{directory}: {original} MB to {compressed} MB in {seconds:.1f} s, stored at {uri}"
