"""The assets of the partition set `tracks`: one run takes many of them, each with its own outcome.

As with recordings, one step makes all three products of a track and logs each track's events the moment they are there,
so that a crash loses nothing that was finished and a failure turns only its own partition red. They are made together
or not at all, whichever of them is selected.
"""

from collections.abc import Iterator
from contextlib import closing
from functools import partial

import dagster as dg

from audio_compressor.defs.assets.recordings import OWNERS
from audio_compressor.defs.checks import track_check_specs
from audio_compressor.defs.dead_runs import mark_process
from audio_compressor.defs.history import claimed_before, event_log_position, known_keys, latest_materialization
from audio_compressor.defs.lines import TRACK_LINE
from audio_compressor.defs.names import AAC_AUDIO, CODE_VERSION, HLS_RENDITIONS, TRACK, TRACK_PRODUCTS
from audio_compressor.defs.partitions import TRACKS
from audio_compressor.defs.resources import (
    AudioResource,
    RunningResource,
    StorageResource,
    TrackResources,
    TracksResource,
)
from audio_compressor.defs.track_events import track_events
from audio_compressor.defs.track_intake import claim_name
from audio_compressor.streaming.batch import make_tracks
from audio_compressor.streaming.explain import explain_track
from audio_compressor.streaming.model import TrackProgress

TRACK_SPEC = dg.AssetSpec(
    TRACK,
    skippable=True,
    group_name="tracks",
    kinds={"s3"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    description="An uploaded object below RAW_PREFIX, downloaded as it was listed: size, ETag and the bucket's "
    "checksum compared. It lies in staging while the run works on it.",
)
AAC_AUDIO_SPEC = dg.AssetSpec(
    AAC_AUDIO,
    deps=[TRACK],
    skippable=True,
    group_name="tracks",
    kinds={"ffmpeg"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    description="AAC-LC of 128 kbit/s in M4A at the loudness of TARGET_LUFS (EBU R 128), with tags and cover.",
)
HLS_RENDITIONS_SPEC = dg.AssetSpec(
    HLS_RENDITIONS,
    deps=[TRACK, AAC_AUDIO],
    skippable=True,
    group_name="tracks",
    kinds={"s3"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    description="The HLS ladder of 48, 64 and 128 kbit/s, published so that a player never sees a playlist before its "
    "segments.",
)


def build_track_assets(batch_size: int) -> dg.AssetsDefinition:
    """The three products of a track. A backfill in the UI takes ``batch_size`` tracks a run."""

    @dg.multi_asset(
        name="process_tracks",
        specs=[TRACK_SPEC, AAC_AUDIO_SPEC, HLS_RENDITIONS_SPEC],
        check_specs=track_check_specs(),
        partitions_def=TRACKS,
        backfill_policy=dg.BackfillPolicy.multi_run(batch_size),
        can_subset=True,
    )
    def process_tracks(
        context: dg.AssetExecutionContext,
        tracks: TracksResource,
        storage: StorageResource,
        audio: AudioResource,
        running: RunningResource,
        track_progress: dg.ResourceParam[TrackProgress],
    ) -> Iterator[dg.Output[None]]:
        instance, run = context.instance, context.run
        mark_process(instance, run)
        resources = TrackResources(tracks, storage, audio, running)
        log_position, judged = partial(event_log_position, instance), partial(latest_materialization, instance)
        done = 0
        failed: list[str] = []
        with tracks.open_catalog() as catalog, resources.open_bucket() as bucket:
            batch = make_tracks(
                context.partition_keys,
                resources.tools(bucket),
                catalog,
                claimed_by=claim_name(instance, run),
                run_id=run.run_id,
                others=claimed_before(
                    instance, run.run_id, TRACK_PRODUCTS, known_keys(instance, TRACK_LINE), TRACK_LINE
                ),
                progress=track_progress,
            )
            with closing(batch):
                for outcome in batch:
                    for event in track_events(outcome, log_position, judged):
                        context.log_event(event)
                    done += 1
                    if outcome.status == "failed":
                        failed.append(f"{outcome.key}: {outcome.reason}")
                    level, line = explain_track(outcome)
                    context.log.log(level, "[%d/%d] %s", done, len(context.partition_keys), line)
                    track_progress.finished(outcome)
        if failed:
            lines = "\n".join(failed)
            raise dg.Failure(
                f"{len(failed)} of {done} tracks failed.\n{lines}",
                metadata={"failed": len(failed), "tracks": done},
                allow_retries=False,
            )
        yield from ()  # every output is skippable, and its events are logged already

    return process_tracks
