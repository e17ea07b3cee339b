"""Each night, what earlier versions of tracks have left is removed from the bucket, once nobody plays it any more."""

from itertools import chain

import dagster as dg
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from audio_compressor.defs.dead_runs import mark_process
from audio_compressor.defs.history import pages_of
from audio_compressor.defs.names import HLS_RENDITIONS, TIDYING_JOB
from audio_compressor.defs.resources import (
    AudioResource,
    RunningResource,
    StorageResource,
    TrackResources,
    TracksResource,
)
from audio_compressor.settings import RunningSettings
from audio_compressor.streaming.tidying import tidy
from audio_compressor.tracks.pruning import GRACE_SECONDS


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
        tidied = tidy(bucket, _touched_since_last_time(context.instance))
    context.log.info(
        "%d tracks looked at: %d files of earlier versions removed, %d wait, %d unfinished uploads given up",
        tidied.tracks,
        tidied.removed,
        tidied.waiting,
        tidied.given_up,
    )
    if tidied.problems:
        problems = "\n".join(tidied.problems)
        raise dg.Failure(
            f"{len(tidied.problems)} tracks could not be looked at; the next night tries them again.\n{problems}",
            allow_retries=False,
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


def _touched_since_last_time(instance: DagsterInstance) -> list[str]:
    """The keys of tracks that were made, or failed halfway, since a day before the last night that went well: what they
    replaced then was too young to be removed. However long the location was off since.
    """
    went_well = RunsFilter(job_name=TIDYING_JOB, statuses=[DagsterRunStatus.SUCCESS])
    last = instance.get_run_records(went_well, limit=1)
    since_seconds = last[0].start_time - GRACE_SECONDS if last and last[0].start_time else None
    fetches = (instance.fetch_materializations, instance.fetch_observations)
    events = chain.from_iterable(pages_of(fetch, HLS_RENDITIONS, after_timestamp=since_seconds) for fetch in fetches)
    return sorted({event.partition_key for event in events if event.partition_key})
