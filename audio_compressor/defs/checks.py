"""The asset checks on every recording and track: evaluated when it is made, one evaluation for each partition."""

import warnings
from collections.abc import Sequence

import dagster as dg

from audio_compressor.audio.checks import CHECKS
from audio_compressor.defs.names import COMPRESSED_AUDIO
from audio_compressor.defs.partitions import RECORDINGS, TRACKS
from audio_compressor.defs.track_events import PRODUCT_KEYS
from audio_compressor.streaming.checks import CHECKED_PRODUCTS, TRACK_CHECKS


def check_specs() -> Sequence[dg.AssetCheckSpec]:
    """Of recordings."""
    return [_check_spec(name, COMPRESSED_AUDIO, description, RECORDINGS) for name, description in CHECKS.items()]


def track_check_specs() -> Sequence[dg.AssetCheckSpec]:
    """Of tracks."""
    return [
        _check_spec(name, PRODUCT_KEYS[CHECKED_PRODUCTS[name]], description, TRACKS)
        for name, description in TRACK_CHECKS.items()
    ]


def _check_spec(
    name: str, asset: dg.AssetKey, description: str, partitions: dg.PartitionsDefinition[str]
) -> dg.AssetCheckSpec:
    with warnings.catch_warnings():
        # Partitioned checks may change in Dagster 1.14, which setup.py keeps out until we have seen it. Without them
        # the UI would show one state for all recordings: that of whichever was compressed last.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(name, asset=asset, description=description, partitions_def=partitions)
