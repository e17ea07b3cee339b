"""The code location on one page: assets, checks, jobs, the schedules, the sensors and their resources."""

import logging
from typing import Any

import dagster as dg

from audio_compressor.batch.connections import SourceConnections
from audio_compressor.batch.model import Progress
from audio_compressor.defs.assets.recordings import RECORDING_DIRECTORY_SPEC, build_recording_assets
from audio_compressor.defs.assets.report import processing_report
from audio_compressor.defs.assets.tracks import build_track_assets
from audio_compressor.defs.jobs import RECORDING_JOBS, TRACK_JOBS
from audio_compressor.defs.resources import build_resources, build_track_resources
from audio_compressor.defs.schedules import build_nightly_schedule
from audio_compressor.defs.sensors import new_recordings_sensor, processing_report_sensor, stranded_results_sensor
from audio_compressor.defs.track_sensor import pending_uploads_sensor
from audio_compressor.defs.track_tidying import build_tidying_schedule
from audio_compressor.defs.verification import STORED_FILES_SPEC, build_stored_files_check, build_verification_schedule
from audio_compressor.settings import Settings, load_settings
from audio_compressor.streaming.model import TrackProgress


def build_definitions(
    settings: Settings,
    progress: Progress | None = None,
    connections: SourceConnections | None = None,
    track_progress: TrackProgress | None = None,
) -> dg.Definitions:
    """Everything, for these settings: recordings where there is an SFTP server, tracks where there is a bucket of them.

    ``progress`` and ``track_progress`` are told about the work as it goes on; ``connections`` gives each batch of
    recordings the one that it downloads with.
    """
    logging.getLogger("audio_compressor").setLevel(settings.log_level)
    lines: list[dg.Definitions] = []
    resources: dict[str, Any] = {}
    if settings.sftp_host:
        lines.append(_recordings(settings))
        resources |= build_resources(settings).by_name()
        resources |= {"progress": progress or Progress(), "connections": connections or SourceConnections()}
    if settings.tracks_bucket:
        lines.append(_tracks(settings))
        resources |= build_track_resources(settings).by_name()
        resources |= {"track_progress": track_progress or TrackProgress()}
    # A process for each step costs 8 s and gains nothing: a run has one step, which is parallel inside.
    return dg.Definitions.merge(*lines, dg.Definitions(resources=resources, executor=dg.in_process_executor))


def _recordings(settings: Settings) -> dg.Definitions:
    return dg.Definitions(
        assets=[
            RECORDING_DIRECTORY_SPEC,
            build_recording_assets(settings.batch_size),
            STORED_FILES_SPEC,
            processing_report,
        ],
        asset_checks=[build_stored_files_check(settings)],
        jobs=RECORDING_JOBS,
        schedules=[build_nightly_schedule(settings), build_verification_schedule(settings)],
        sensors=[new_recordings_sensor, processing_report_sensor, stranded_results_sensor],
    )


def _tracks(settings: Settings) -> dg.Definitions:
    return dg.Definitions(
        assets=[build_track_assets(settings.batch_size)],
        jobs=TRACK_JOBS,
        schedules=[build_tidying_schedule(settings)],
        sensors=[pending_uploads_sensor],
    )


@dg.definitions
def audio_compressor() -> dg.Definitions:
    """What Dagster loads; the environment is read when it does, not when this module is imported."""
    return build_definitions(load_settings())
