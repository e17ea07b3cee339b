"""The sensor that starts runs for uploaded tracks."""

import dagster as dg

from audio_compressor.defs.looking import INTERVAL_SECONDS, LISTING_RETRY, MOST_PER_TICK, look_unless_away
from audio_compressor.defs.names import STREAMING_JOB
from audio_compressor.defs.partitions import TRACKS
from audio_compressor.defs.resources import (
    AudioResource,
    RunningResource,
    StorageResource,
    TrackResources,
    TracksResource,
)
from audio_compressor.defs.track_intake import TrackSurveyor
from audio_compressor.streaming.plan import explain_plan

# Where every other track is made already, each of the others is a run of its own. The daemon takes 0.14 s to create
# one, and evaluates no other sensor meanwhile.
MOST_RUNS_PER_TICK = 100


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
    surveyor = TrackSurveyor(context.instance, TrackResources(tracks, storage, audio, running))

    def look() -> dg.SensorResult:
        survey = surveyor.look(MOST_PER_TICK, retry=LISTING_RETRY)
        tags = surveyor.claim(survey, survey.ranges(running.batch_size)[:MOST_RUNS_PER_TICK])
        explanation = explain_plan(survey.plan)
        if tags:
            context.log.info(explanation)
        return dg.SensorResult(
            run_requests=[dg.RunRequest(tags=each) for each in tags],
            skip_reason=None if tags else explanation,
            cursor="",
            dynamic_partitions_requests=[TRACKS.build_add_request(list(survey.new_keys))] if survey.new_keys else [],
        )

    return look_unless_away(context, look, "Bucket or catalogue cannot be used")
