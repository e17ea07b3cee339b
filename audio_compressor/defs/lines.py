"""The two lines of production: the products that one run makes of each partition of a set."""

from dataclasses import dataclass

import dagster as dg

from audio_compressor.defs.names import (
    COMPRESSED_AUDIO,
    COMPRESSION_JOB,
    HLS_RENDITIONS,
    RECORDING_PRODUCTS,
    STREAMING_JOB,
    TRACK_PRODUCTS,
)
from audio_compressor.defs.partitions import RECORDINGS, TRACKS


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
LINES = (RECORDING_LINE, TRACK_LINE)
