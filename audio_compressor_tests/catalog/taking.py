"""Taking uploads as the sensor does: what waits is planned, and then claimed."""

from collections.abc import Sequence
from dataclasses import dataclass

from audio_compressor.catalog.catalog import Catalog
from audio_compressor.catalog.rows import Upload
from audio_compressor.streaming.plan import plan_uploads
from audio_compressor.tracks.track import Refused, Track


@dataclass(frozen=True)
class Taken:
    upload: Upload
    track: Track


def take(catalog: Catalog, limit: int, claimed_by: str) -> tuple[tuple[Taken, ...], tuple[Refused, ...]]:
    """At most ``limit`` uploads, claimed for ``claimed_by``; and what was refused on the way."""
    plan = plan_uploads(catalog, limit, ())
    waiting = [Taken(item.upload, item.track) for item in plan.waiting if item.upload]
    return tuple(item for item in waiting if catalog.claim(item.upload, item.track.key, claimed_by)), plan.refused


def ids(taken: Sequence[Taken]) -> list[str]:
    return [item.upload.upload_id for item in taken]
