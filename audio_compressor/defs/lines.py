"""The lines of production: the products that one run makes of each partition of a set."""

from dataclasses import dataclass

import dagster as dg

from audio_compressor.defs.names import (
    ARCHIVE_JOB,
    ARCHIVED_AUDIO,
    ARCHIVED_OUTPUTS,
    COMPRESSED_AUDIO,
    COMPRESSION_JOB,
    HLS_RENDITIONS,
    OUTPUT_ARCHIVE_JOB,
    RECORDING_PRODUCTS,
    STREAMING_JOB,
    TRACK_PRODUCTS,
)
from audio_compressor.defs.partitions import LIBRARY_FILES, OUTPUT_FILES, RECORDINGS, TRACKS


@dataclass(frozen=True)
class Line:
    """``decisive`` is the product whose event comes last: a run has recorded then what it has to say of a partition.
    ``together``: a run makes all of them, whichever are selected.
    """

    partitions: dg.DynamicPartitionsDefinition
    job_name: str
    products: tuple[dg.AssetKey, ...]
    decisive: dg.AssetKey
    together: bool = False


RECORDING_LINE = Line(RECORDINGS, COMPRESSION_JOB, RECORDING_PRODUCTS, COMPRESSED_AUDIO)
TRACK_LINE = Line(TRACKS, STREAMING_JOB, TRACK_PRODUCTS, HLS_RENDITIONS, together=True)
LIBRARY_LINE = Line(LIBRARY_FILES, ARCHIVE_JOB, (ARCHIVED_AUDIO,), ARCHIVED_AUDIO)
OUTPUT_LINE = Line(OUTPUT_FILES, OUTPUT_ARCHIVE_JOB, (ARCHIVED_OUTPUTS,), ARCHIVED_OUTPUTS)
LINES = (RECORDING_LINE, TRACK_LINE, LIBRARY_LINE, OUTPUT_LINE)
