"""Which track a run works on for each of its partition keys, and the claim on its upload."""

from collections.abc import Sequence
from dataclasses import dataclass

from audio_compressor.catalog.catalog import Catalog
from audio_compressor.catalog.tables import FAILED, PENDING, PROCESSING
from audio_compressor.streaming.model import TrackOutcome, Work
from audio_compressor.tracks.bucket import TrackBucket
from audio_compressor.tracks.track import Track


@dataclass(frozen=True)
class Assigned:
    """``left`` are tracks that this run has nothing to do for, with the reason."""

    works: tuple[Work, ...]
    left: tuple[TrackOutcome, ...]


def assign(keys: Sequence[str], bucket: TrackBucket, catalog: Catalog | None, claimed_by: str) -> Assigned:
    """Find the object of each key. What was claimed for this run is its own; of the rest, an upload that waits is
    claimed now, and one that failed too, since somebody asks for it. What is completed, or has no upload, is made again
    without a claim.

    Raises:
        AudioCompressorError: bucket or catalogue are away; what is claimed then is to be released.
    """
    claims = {claim.track_key: claim for claim in catalog.claims()} if catalog else {}
    works: list[Work] = []
    left: list[TrackOutcome] = []
    for key in keys:
        claim = claims.get(key)
        if claim and claim.claimed_by == claimed_by:
            works.append(Work(Track(claim.file_name), claim.upload_id))
        elif claim:
            left.append(TrackOutcome(key, "skipped", "another run works on its upload"))
        else:
            found = _unclaimed(key, bucket, catalog, claimed_by)
            if isinstance(found, Work):
                works.append(found)
            else:
                left.append(found)
    return Assigned(tuple(works), tuple(left))


def _unclaimed(key: str, bucket: TrackBucket, catalog: Catalog | None, claimed_by: str) -> Work | TrackOutcome:
    raws = bucket.find_by_key(key)
    if not raws:
        where = bucket.prefixes.raw
        return TrackOutcome(key, "failed", f"there is no object below {where} for this track; was it removed?")
    published = bucket.published(raws[0].track)
    owner = published.source.file_name if published else None
    track = next((raw.track for raw in raws if raw.track.file_name == owner), raws[0].track)
    uploads = catalog.of_file(track.file_name) if catalog else ()
    for upload, status in uploads:  # the newest first: that is the one whose status people look at
        if catalog is None or status not in {PENDING, FAILED}:
            continue
        if status == FAILED:
            catalog.retry(upload.upload_id)
        if catalog.claim(upload, key, claimed_by):
            return Work(track, upload.upload_id)
        return TrackOutcome(key, "skipped", "another run has just taken its upload")
    if any(status == PROCESSING for _, status in uploads):
        return TrackOutcome(key, "skipped", "its upload is being worked on already")
    return Work(track)
