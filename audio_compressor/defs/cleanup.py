"""`retained_audio`: audio that is kept only for processing, cleaned up again and again; a clean-up that stays out is
noticed.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import dagster as dg
from dagster import DagsterInstance

from audio_compressor.defs.assets.recordings import OWNERS
from audio_compressor.defs.dead_runs import mark_process
from audio_compressor.defs.history import UNFINISHED
from audio_compressor.defs.names import CLEANUP_JOB, RETAINED_AUDIO
from audio_compressor.defs.resources import RetentionResource
from audio_compressor.errors import AudioCompressorError
from audio_compressor.reporting.formatting import to_mb
from audio_compressor.retention.cleanup import CleanupResult, clean_up
from audio_compressor.settings import RetentionSettings
from audio_compressor.space import Space, look_at_space
from audio_compressor.texts import escape_line, visible

CHECK_NAME = "everything_deleted"
# A clean-up waits in the queue like other runs, and nights are long: so much later than due is nothing to look into.
_GRACE = timedelta(minutes=10)
_MOST_LATE = timedelta(hours=1)
# Kept with each materialization.
_MOST_TOLD = 100

_Metadata = Mapping[str, dg.MetadataValue]


def build_retained_audio(retained: RetentionSettings) -> dg.AssetsDefinition:
    interval = timedelta(minutes=retained.cleanup_interval_minutes)

    @dg.asset(
        key=RETAINED_AUDIO,
        group_name="storage",
        kinds={"file"},
        owners=OWNERS,
        check_specs=[
            dg.AssetCheckSpec(
                CHECK_NAME, asset=RETAINED_AUDIO, description="Whatever was to be deleted was, and nothing is in doubt."
            )
        ],
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=3 * interval + _MOST_LATE, warn_window=2 * interval + _GRACE
        ),
        description="Audio in AUDIO_STORAGE_PATH, which is kept only for processing: what is left of it once that is "
        "deleted whose work has completed or failed AUDIO_RETENTION_HOURS ago. MB is 1,000,000 bytes.",
    )
    def retained_audio(context: dg.AssetExecutionContext, retention: RetentionResource) -> dg.MaterializeResult:  # type: ignore[type-arg]  # beside a check, Dagster takes no other annotation
        mark_process(context.instance, context.run)
        result = clean_up(retention.audio_store(), retention.audio_retention_hours)
        check = dg.AssetCheckResult(
            check_name=CHECK_NAME,
            passed=not result.failed,
            severity=dg.AssetCheckSeverity.WARN,
            description=escape_line(f"{result.failed} of {result.scanned} could not be judged or deleted"),
        )
        return dg.MaterializeResult(metadata=_metadata(result, retention), check_results=[check])

    return retained_audio


cleanup_job = dg.define_asset_job(
    CLEANUP_JOB,
    selection=dg.AssetSelection.assets(RETAINED_AUDIO),
    description="Delete audio that was kept only for processing, some time after its work has ended.",
)


def build_cleanup_sensor(retained: RetentionSettings) -> dg.SensorDefinition:
    """A sensor, because cron cannot say every number of minutes."""

    @dg.sensor(
        name="cleanup_sensor",
        job_name=CLEANUP_JOB,
        minimum_interval_seconds=retained.cleanup_interval_minutes * 60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Requests a clean-up of audio kept for processing, every CLEANUP_INTERVAL_MINUTES.",
    )
    def cleanup_sensor(context: dg.SensorEvaluationContext, retention: RetentionResource) -> dg.SensorResult:
        if not Path(retention.audio_storage_path).exists():
            return dg.SensorResult(
                skip_reason=f"{retention.audio_storage_path} (AUDIO_STORAGE_PATH) is not there: no audio is kept."
            )
        if context.instance.get_run_ids(dg.RunsFilter(job_name=CLEANUP_JOB, statuses=UNFINISHED), limit=1):
            return dg.SensorResult(skip_reason="A run is cleaning up already.")
        return dg.SensorResult(run_requests=[dg.RunRequest()])

    return cleanup_sensor


def record_cleanup(instance: DagsterInstance, result: CleanupResult, retention: RetentionResource) -> None:
    """Record a clean-up that was no run, so that it counts as one."""
    instance.report_runless_asset_event(dg.AssetMaterialization(RETAINED_AUDIO, metadata=_metadata(result, retention)))


def _metadata(result: CleanupResult, retention: RetentionResource) -> _Metadata:
    return {
        "scanned": dg.MetadataValue.int(result.scanned),
        "deleted": dg.MetadataValue.int(result.deleted),
        "failed": dg.MetadataValue.int(result.failed),
        "kept": dg.MetadataValue.int(result.kept),
        "freed_mb": dg.MetadataValue.float(round(to_mb(result.freed_bytes), 3)),
        "errors": dg.MetadataValue.json(list(result.errors[:_MOST_TOLD])),
        "reported": dg.MetadataValue.json(list(result.reported[:_MOST_TOLD])),
        "space": dg.MetadataValue.text(space_of(retention).sentence),
        "directory": dg.MetadataValue.path(visible(retention.audio_storage_path)),
    }


def space_of(retention: RetentionSettings) -> Space:
    """What is free where the audio is kept. However little it is, it does not stop a clean-up, which frees some."""
    try:
        return look_at_space(Path(retention.audio_storage_path), warning_bytes=retention.disk_warning_bytes)
    except AudioCompressorError as error:
        return Space(None, is_enough=False, is_low=False, sentence=str(error))
