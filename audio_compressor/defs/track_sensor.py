"""The sensor that starts runs for uploaded tracks."""

import json
import time

import dagster as dg

from audio_compressor.defs.names import STREAMING_JOB
from audio_compressor.defs.partitions import TRACKS
from audio_compressor.defs.resources import (
    AudioResource,
    RunningResource,
    StorageResource,
    TrackResources,
    TracksResource,
)
from audio_compressor.defs.sensors import INTERVAL_SECONDS, LISTING_RETRY, MOST_PER_TICK, read_outage
from audio_compressor.defs.track_intake import TrackSurveyor
from audio_compressor.errors import AudioCompressorError
from audio_compressor.intake.outage import Outage
from audio_compressor.streaming.plan import explain_plan

# Where every other track is made already, each of the others is a run of its own. The daemon takes some 0.1 s to create
# one, and evaluates no other sensor meanwhile.
MOST_RUNS_PER_TICK = 100
_AWAY = "Bucket or catalogue cannot be used"


@dg.sensor(
    name="pending_uploads_sensor",
    job_name=STREAMING_JOB,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Claims uploads that wait in the catalogue, or finds new objects in the bucket where there is none, "
    "adds partitions for them and requests runs. What dead runs had claimed waits again.",
)
def pending_uploads_sensor(
    context: dg.SensorEvaluationContext,
    tracks: TracksResource,
    storage: StorageResource,
    audio: AudioResource,
    running: RunningResource,
) -> dg.SensorResult:
    now_seconds = time.time()
    outage = read_outage(context.cursor)
    if outage and outage.is_pause(now_seconds):
        return dg.SensorResult(skip_reason=outage.explain(now_seconds, _AWAY), cursor=context.cursor)
    surveyor = TrackSurveyor(context.instance, TrackResources(tracks, storage, audio, running))
    try:
        survey = surveyor.look(MOST_PER_TICK, retry=LISTING_RETRY)
        tags = surveyor.claim(survey, survey.ranges(running.batch_size)[:MOST_RUNS_PER_TICK])
    except AudioCompressorError as error:
        outage = Outage.after(outage, str(error), now_seconds, INTERVAL_SECONDS)
        return dg.SensorResult(skip_reason=outage.explain(now_seconds, _AWAY), cursor=json.dumps(outage.to_json()))
    explanation = explain_plan(survey.plan)
    if tags:
        context.log.info(explanation)
    return dg.SensorResult(
        run_requests=[dg.RunRequest(tags=each) for each in tags],
        skip_reason=None if tags else explanation,
        cursor="",
        dynamic_partitions_requests=[TRACKS.build_add_request(list(survey.new_keys))] if survey.new_keys else [],
    )
