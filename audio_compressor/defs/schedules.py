"""The night: everything that is outstanding, in as few runs as contiguity and BATCH_SIZE allow."""

import dagster as dg

from audio_compressor.defs.intake import Surveyor, run_request
from audio_compressor.defs.looking import LISTING_RETRY
from audio_compressor.defs.names import COMPRESSION_JOB
from audio_compressor.defs.resources import AudioResource, Resources, RunningResource, SftpResource, StorageResource
from audio_compressor.intake.explain import explain
from audio_compressor.settings import RunningSettings

# Each is an event of 2 to 7 ms, or two of them when it is adopted. What failed before or changed earlier is recorded
# already, so there may be any number of it.
MOST_FRESH = 2_000


def build_nightly_schedule(running_settings: RunningSettings) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="nightly_compression_schedule",
        job_name=COMPRESSION_JOB,
        cron_schedule=running_settings.schedule,
        execution_timezone=running_settings.schedule_timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Requests runs for every outstanding recording: new, changed, and failed before.",
    )
    def nightly_compression_schedule(
        context: dg.ScheduleEvaluationContext,
        sftp: SftpResource,
        storage: StorageResource,
        audio: AudioResource,
        running: RunningResource,
    ) -> list[dg.RunRequest] | dg.SkipReason:
        surveyor = Surveyor(context.instance, Resources(sftp, storage, audio, running))
        survey = surveyor.everything_outstanding(LISTING_RETRY, MOST_FRESH)
        survey.record(context.instance)
        night = f"{context.scheduled_execution_time:%Y-%m-%dT%H:%M}"
        requests = [
            run_request(keys, f"{night} {keys.first}...{keys.last}", survey.looked_at_seconds)
            for keys in survey.ranges(running.batch_size)
        ]
        if requests:
            context.log.info(explain(survey.plan))
        return requests or dg.SkipReason(explain(survey.plan))

    return nightly_compression_schedule
