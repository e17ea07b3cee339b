"""How many tracks there are, and of how many the renditions are published."""

from dataclasses import dataclass

from dagster import DagsterInstance

from audio_compressor.defs.history import known_keys
from audio_compressor.defs.lines import TRACK_LINE
from audio_compressor.defs.names import HLS_RENDITIONS


@dataclass(frozen=True)
class TrackTotals:
    """``known`` are partitions: tracks that were uploaded at some time."""

    known: int
    done: int


def track_totals(instance: DagsterInstance) -> TrackTotals:
    """Two queries."""
    known = known_keys(instance, TRACK_LINE)
    done = instance.get_materialized_partitions(HLS_RENDITIONS)
    return TrackTotals(len(known), len(done.intersection(known)))
