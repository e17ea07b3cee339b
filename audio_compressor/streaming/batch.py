"""One run's work on its tracks: uploads are claimed, tracks made, and the catalogue told how each ended."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing

from audio_compressor.catalog.catalog import Catalog
from audio_compressor.streaming.assigning import assign
from audio_compressor.streaming.claims import holding
from audio_compressor.streaming.model import TrackOutcome, TrackProgress, TrackTools
from audio_compressor.streaming.pipeline import process_tracks


def make_tracks(
    keys: Sequence[str],
    tools: TrackTools,
    catalog: Catalog | None,
    *,
    claimed_by: str,
    run_id: str,
    others: Mapping[str, str],
    progress: TrackProgress,
) -> Generator[TrackOutcome]:
    """Yield an outcome for each key. ``claimed_by`` is the name under which uploads of this run are claimed; ``others``
    are the runs that work on some of the keys already.

    The catalogue is told of a track when the next one is asked for: whoever records the outcomes has done so then, and
    what a crash leaves between the two is found published by the next run.

    Raises:
        AudioCompressorError: bucket or catalogue are away; what has no outcome waits again.
    """
    with holding(catalog, claimed_by) as holder:
        for key in keys:
            if key in others:
                yield TrackOutcome(key, "skipped", f"run {others[key][:8]} is working on it already")
        assigned = assign([key for key in keys if key not in others], tools.bucket, catalog, claimed_by)
        yield from assigned.left
        uploads = {work.key: work.upload_id for work in assigned.works}
        batch = process_tracks(assigned.works, tools, run_id=run_id, progress=progress)
        with closing(batch):
            for outcome in batch:
                yield outcome
                holder.tell(uploads[outcome.key], outcome)
