"""Partition keys and runs for them: what every look at what is outstanding ends with."""

from collections.abc import Sequence

from dagster import DagsterInstance
from sqlalchemy.exc import IntegrityError

from audio_compressor.defs.history import known_keys, requested_tag
from audio_compressor.defs.lines import RECORDING_LINE, Line
from audio_compressor.defs.names import PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG
from audio_compressor.intake.ranges import KeyRange


def add_partitions(instance: DagsterInstance, keys: Sequence[str], line: Line = RECORDING_LINE) -> None:
    """Add keys in this order; another process may be adding the same ones."""
    try:
        instance.add_dynamic_partitions(str(line.partitions.name), list(keys))
    except IntegrityError:
        # Dagster looks which keys are there and then inserts the others; somebody was in between.
        known = set(known_keys(instance, line))
        instance.add_dynamic_partitions(str(line.partitions.name), [key for key in keys if key not in known])


def run_tags(keys: KeyRange, looked_at_seconds: float) -> dict[str, str]:
    """One run for one key or for one contiguous range, asked for by a look at the source.

    For each run of a range, Dagster's daemon reads all keys eight times (100,000: 2 s); for a single key it reads none.
    """
    if keys.first == keys.last:
        target = {PARTITION_TAG: keys.first}
    else:
        target = {RANGE_START_TAG: keys.first, RANGE_END_TAG: keys.last}
    return {**target, **requested_tag(looked_at_seconds)}
