"""The asset checks on every recording: evaluated when it is compressed, one evaluation for each partition."""

import warnings
from collections.abc import Sequence

import dagster as dg

from audio_compressor.audio.checks import CHECKS
from audio_compressor.defs.names import COMPRESSED_AUDIO
from audio_compressor.defs.partitions import RECORDINGS


def check_specs() -> Sequence[dg.AssetCheckSpec]:
    with warnings.catch_warnings():
        # Partitioned checks may change in Dagster 1.14, which setup.py keeps out until we have seen it. Without them
        # the UI would show one state for all recordings: that of whichever was compressed last.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(name, asset=COMPRESSED_AUDIO, description=description, partitions_def=RECORDINGS)
            for name, description in CHECKS.items()
        ]
