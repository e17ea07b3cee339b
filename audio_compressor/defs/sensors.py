"""What happens between two nights: new recordings are found as they settle, and the report follows the results."""

import json
import time
from dataclasses import dataclass, field

import dagster as dg

from audio_compressor.defs.history import UNFINISHED, in_flight, known_keys
from audio_compressor.defs.intake import Surveyor, run_request
from audio_compressor.defs.names import COMPRESSION_JOB, RELOCATION_JOB, REPORT_JOB
from audio_compressor.defs.partitions import RECORDINGS
from audio_compressor.defs.report_history import has_news
from audio_compressor.defs.resources import AudioResource, Resources, RunningResource, SftpResource, StorageResource
from audio_compressor.errors import AudioCompressorError
from audio_compressor.intake.explain import explain
from audio_compressor.intake.outage import Outage
from audio_compressor.intake.settling import Look, looks_from_json, looks_to_json
from audio_compressor.retries import Retry

INTERVAL_SECONDS = 30
# A destination that is away for an hour costs four short runs.
RELOCATION_INTERVAL_SECONDS = 900
# An evaluation has 60 s; what is over is found again at the next tick.
MOST_PER_TICK = 500
_LISTING_RETRY = Retry(attempts=1, delay_seconds=0)


@dataclass(frozen=True)
class Cursor:
    """What the sensor remembers: the files it is watching settle, and an outage of the server."""

    looks: dict[str, Look] = field(default_factory=dict)
    outage: Outage | None = None

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """A cursor that cannot be read is an empty one: it costs one more look at each file that has not settled."""
        try:
            value = json.loads(text or "{}")
        except ValueError:
            value = {}
        if not isinstance(value, dict):
            value = {}
        return cls(looks_from_json(value.get("looks")), Outage.from_json(value.get("outage")))

    def __str__(self) -> str:
        outage = self.outage.to_json() if self.outage else None
        return json.dumps({"looks": looks_to_json(self.looks), "outage": outage})


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
    cursor, now_seconds = Cursor.parse(context.cursor), time.time()
    if cursor.outage and cursor.outage.is_pause(now_seconds):
        return dg.SensorResult(skip_reason=cursor.outage.explain(now_seconds), cursor=context.cursor)
    try:
        surveyor = Surveyor(context.instance, Resources(sftp, storage, audio, running))
        survey = surveyor.fresh(looks=cursor.looks, retry=_LISTING_RETRY, most=MOST_PER_TICK)
    except AudioCompressorError as error:
        outage = Outage.after(cursor.outage, str(error), now_seconds, INTERVAL_SECONDS)
        return dg.SensorResult(skip_reason=outage.explain(now_seconds), cursor=str(Cursor(cursor.looks, outage)))
    explanation = explain(survey.plan)
    context.log.info(explanation)
    fingerprints = {item.directory: item.recording.fingerprint for item in survey.to_process}
    requests = [
        run_request(keys, run_key=f"{keys.first}...{keys.last} {fingerprints[keys.last]}")
        for keys in survey.ranges(running.batch_size)
    ]
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else explanation,
        cursor=str(Cursor(dict(survey.plan.looks))),
        dynamic_partitions_requests=[RECORDINGS.build_add_request(list(survey.new_keys))] if survey.new_keys else [],
        asset_events=list(survey.events),
    )


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
    if in_flight(context.instance, known_keys(context.instance)):
        return dg.SensorResult(skip_reason="Recordings are in work; the report follows when they are finished.")
    news = has_news(context.instance)
    if news is None:
        return dg.SensorResult(skip_reason="There are no results since the last report.")
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=f"report {news}", job_name=REPORT_JOB)])
