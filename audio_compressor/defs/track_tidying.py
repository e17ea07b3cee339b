"""Each night, what earlier versions of tracks have left is removed from the bucket, once nobody plays it any more."""

import time

import dagster as dg
from dagster import AssetRecordsFilter, DagsterInstance

from audio_compressor.defs import data_versions
from audio_compressor.defs.dead_runs import mark_process
from audio_compressor.defs.names import DATA_VERSION_TAG, TIDYING_JOB, TRACK
from audio_compressor.defs.resources import (
    AudioResource,
    RunningResource,
    StorageResource,
    TrackResources,
    TracksResource,
)
from audio_compressor.settings import RunningSettings
from audio_compressor.streaming.tidying import tidy

# The grace time of an earlier version is a day; the others are for nights in which the bucket was away.
_DAYS = 8
_DAY_SECONDS = 86_400


@dg.op(description="Remove versions of tracks that were replaced more than a day ago, and uploads never finished.")
def tidy_tracks(
    context: dg.OpExecutionContext,
    tracks: TracksResource,
    storage: StorageResource,
    audio: AudioResource,
    running: RunningResource,
) -> None:
    mark_process(context.instance, context.run)
    with TrackResources(tracks, storage, audio, running).open_bucket() as bucket:
        tidied = tidy(bucket, _made_lately(context.instance))
    for problem in tidied.problems:
        context.log.warning(problem)
    context.log.info(
        "%d tracks looked at: %d files of earlier versions removed, %d wait, %d unfinished uploads given up",
        tidied.tracks,
        tidied.removed,
        tidied.waiting,
        tidied.given_up,
    )


@dg.job(name=TIDYING_JOB, description="Removes what earlier versions of tracks have left in the bucket.")
def tidying_job() -> None:
    tidy_tracks()


def build_tidying_schedule(running: RunningSettings) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="track_tidying_schedule",
        job_name=TIDYING_JOB,
        cron_schedule=running.verification_schedule,
        execution_timezone=running.schedule_timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Removes versions of tracks that were replaced more than a day ago.",
    )


def _made_lately(instance: DagsterInstance) -> list[str]:
    """The file names of the tracks that were made in the last days."""
    since_seconds = time.time() - _DAYS * _DAY_SECONDS
    names = set()
    cursor = None
    while True:
        page = instance.fetch_materializations(
            AssetRecordsFilter(TRACK, after_timestamp=since_seconds), limit=1000, cursor=cursor
        )
        for record in page.records:
            materialization = record.asset_materialization
            if materialization and materialization.tags:
                names.add(data_versions.parse_file_name(materialization.tags.get(DATA_VERSION_TAG, "")))
        if not page.has_more:
            return sorted(names - {""})
        cursor = page.cursor
