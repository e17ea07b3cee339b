"""The storage figures for programs, as `audio-compressor status --json` gives them. Sizes are in bytes, times are in
ISO 8601 (UTC), what is not known is null. The keys stay.

Five of the keys are those of the source documents' ``/api/storage-stats``, with meanings that hold together:

    total_size          what all files take now, wherever they are: library, cold storage, trash, results, staged audio
    original_size       what was recorded, of recordings that are still there; of results where it is known
    compressed_size     what the copies that we made take, those in cold storage included
    savings             original_size minus what the same recordings take now, trash included; below zero where it is
                        more. (The document's was total_size - compressed_size, which is the size of all that is not
                        compressed.)
    compression_ratio   original_size over what the same recordings take now: 5.5 is 5.5 times smaller. (The document's
                        was compressed_size / total_size.)

and of ``/storage/stats``, which named no keys:

    file_count          how many files total_size is of
    disk_usage          for each disk: holds (library, results, staged, temporary), path, total, used, free, low (less
                        is free than DISK_WARNING_MB), enough (something may be written), text, and its forecast:
                        verdict (too little history, shrinking, steady, filling), bytes_per_day, full_at, earliest,
                        latest, text

Beside them ``by_collection``, ``by_tier``, ``by_month`` and ``by_location`` have the first six for each. ``complete``
is false where something that is set up could not be looked at; what it holds is in none of the figures.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from audio_compressor.reporting.storage import Dimension, Figures, figures, figures_by
from audio_compressor.reporting.storage_disks import Disk
from audio_compressor.reporting.storage_growth import Forecast
from audio_compressor.reporting.storage_look import StorageLook
from audio_compressor.texts import visible

_DIMENSIONS: tuple[Dimension, ...] = ("collection", "tier", "month", "location")


def storage_json(look: StorageLook, disks: Sequence[tuple[Disk, Forecast]]) -> dict[str, Any]:
    """See above."""
    return {
        **_figures(figures(look.table)),
        "complete": not look.unseen,
        "disk_usage": [_disk(disk, forecast) for disk, forecast in disks],
        **{f"by_{dimension}": _by(look.table, dimension) for dimension in _DIMENSIONS},
    }


def _by(frame: pd.DataFrame, dimension: Dimension) -> dict[str, Any]:
    return {name: _figures(found) for name, found in figures_by(frame, dimension).items()}


def _figures(found: Figures) -> dict[str, Any]:
    return {
        "total_size": found.total_bytes,
        "original_size": found.original_bytes,
        "compressed_size": found.compressed_bytes,
        "savings": found.saved_bytes,
        "compression_ratio": found.ratio,
        "file_count": found.files,
    }


def _disk(disk: Disk, forecast: Forecast) -> dict[str, Any]:
    return {
        "holds": list(disk.holds),
        "path": visible(str(disk.path)),
        "total": disk.capacity_bytes,
        "used": disk.used_bytes,
        "free": disk.space.free_bytes,
        "low": disk.space.is_low,
        "enough": disk.space.is_enough,
        "text": disk.space.sentence,
        "forecast": {
            "verdict": forecast.verdict,
            "bytes_per_day": forecast.bytes_per_day,
            "full_at": _iso(forecast.full_at),
            "earliest": _iso(forecast.earliest),
            "latest": _iso(forecast.latest),
            "text": forecast.sentence,
        },
    }


def _iso(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None
