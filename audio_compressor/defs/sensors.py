"""What happens between two nights: new recordings are found as they settle, and the report follows the results."""

import dagster as dg

from audio_compressor.defs.history import UNFINISHED, is_anything_in_flight
from audio_compressor.defs.intake import Surveyor, run_request
from audio_compressor.defs.looking import INTERVAL_SECONDS, LISTING_RETRY, MOST_PER_TICK, look_unless_away
from audio_compressor.defs.names import COMPRESSION_JOB, RELOCATION_JOB, REPORT_JOB
from audio_compressor.defs.partitions import RECORDINGS
from audio_compressor.defs.report_history import last_cursor, newest_result
from audio_compressor.defs.resources import AudioResource, Resources, RunningResource, SftpResource, StorageResource
from audio_compressor.intake.explain import explain

# A destination that is away for an hour costs four short runs.
RELOCATION_INTERVAL_SECONDS = 900


@dg.sensor(
    name="new_recordings_sensor",
    job_name=COMPRESSION_JOB,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Adds partitions for settled recording directories and requests runs for what is new or changed.",
)
def new_recordings_sensor(
    context: dg.SensorEvaluationContext,
    sftp: SftpResource,
    storage: StorageResource,
    audio: AudioResource,
    running: RunningResource,
) -> dg.SensorResult:
    surveyor = Surveyor(context.instance, Resources(sftp, storage, audio, running))

    def look() -> dg.SensorResult:
        survey = surveyor.fresh(LISTING_RETRY, most=MOST_PER_TICK)
        explanation = explain(survey.plan)
        fingerprints = {item.directory: item.recording.fingerprint for item in survey.to_process}
        requests = [
            run_request(keys, f"{keys.first}...{keys.last} {fingerprints[keys.last]}", survey.looked_at_seconds)
            for keys in survey.ranges(running.batch_size)
        ]
        if requests:
            context.log.info(explanation)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else explanation,
            cursor="",
            dynamic_partitions_requests=[RECORDINGS.build_add_request(list(survey.new_keys))]
            if survey.new_keys
            else [],
            asset_events=list(survey.events),
        )

    return look_unless_away(context, look, "The source cannot be listed")


@dg.sensor(
    name="stranded_results_sensor",
    job_name=RELOCATION_JOB,
    minimum_interval_seconds=RELOCATION_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a run that moves results of a fallback from the local directory to their destination.",
)
def stranded_results_sensor(
    context: dg.SensorEvaluationContext,
    sftp: SftpResource,
    storage: StorageResource,
    audio: AudioResource,
    running: RunningResource,
) -> dg.SensorResult:
    if not Resources(sftp, storage, audio, running).has_stranded():
        return dg.SensorResult(skip_reason="No results wait in the local directory for their destination.")
    if context.instance.get_run_ids(dg.RunsFilter(job_name=RELOCATION_JOB, statuses=UNFINISHED), limit=1):
        return dg.SensorResult(skip_reason="A run is moving them already.")
    return dg.SensorResult(run_requests=[dg.RunRequest()])


@dg.sensor(
    name="processing_report_sensor",
    job_name=REPORT_JOB,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a new processing report once the recordings in work are finished.",
)
def processing_report_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    if is_anything_in_flight(context.instance):
        return dg.SensorResult(skip_reason="Recordings are in work; the report follows when they are finished.")
    newest = newest_result(context.instance)
    if newest <= last_cursor(context.instance):
        return dg.SensorResult(skip_reason="There are no results since the last report.")
    if context.instance.get_run_ids(dg.RunsFilter(job_name=REPORT_JOB, statuses=UNFINISHED), limit=1):
        return dg.SensorResult(skip_reason="A run is making the report already.")
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=f"report {newest}")])
