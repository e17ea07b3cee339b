"""The code location on one page: assets, checks, jobs, the schedules, the sensors and their resources."""

import logging
from typing import Any

import dagster as dg

from audio_compressor.archive.progress import ArchiveProgress
from audio_compressor.batch.connections import SourceConnections
from audio_compressor.batch.model import Progress
from audio_compressor.defs.aged import AGED_LIBRARY, AGED_OUTPUTS, Aged
from audio_compressor.defs.assets.library import build_archive_job, build_archived_asset, plan_spec
from audio_compressor.defs.assets.recordings import RECORDING_DIRECTORY_SPEC, build_recording_assets
from audio_compressor.defs.assets.report import processing_report
from audio_compressor.defs.assets.storage_report import build_storage_report, build_storage_report_schedule
from audio_compressor.defs.assets.tracks import build_track_assets
from audio_compressor.defs.cleanup import build_cleanup_sensor, build_retained_audio
from audio_compressor.defs.jobs import COLD_STORAGE_JOBS, RECORDING_JOBS, TRACK_JOBS, UPKEEP_JOBS
from audio_compressor.defs.library_schedule import build_archive_schedule
from audio_compressor.defs.library_upkeep import build_archive_upkeep_job, build_archive_upkeep_schedule
from audio_compressor.defs.resources import (
    build_library_resources,
    build_resources,
    build_retention_resource,
    build_track_resources,
)
from audio_compressor.defs.restore_drill import ARCHIVED_COPIES_SPEC, build_drill_schedule, restore_drill
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
    archive_progress: ArchiveProgress | None = None,
) -> dg.Definitions:
    """Everything, for these settings: recordings where there is an SFTP server, tracks where there is a bucket of them,
    and a library where there is its directory, with cold storage where there is a bucket for it.

    ``progress``, ``track_progress`` and ``archive_progress`` are told about the work as it goes on; ``connections``
    gives each batch of recordings the one that it downloads with.
    """
    logging.getLogger("audio_compressor").setLevel(settings.log_level)
    lines: list[dg.Definitions] = [_upkeep(settings)]
    resources: dict[str, Any] = {"retention": build_retention_resource(settings)}
    if settings.sftp_host:
        lines.append(_recordings(settings))
        resources |= build_resources(settings).by_name()
        resources |= {"progress": progress or Progress(), "connections": connections or SourceConnections()}
    if settings.tracks_bucket:
        lines.append(_tracks(settings))
        resources |= build_track_resources(settings).by_name()
        resources |= {"track_progress": track_progress or TrackProgress()}
    for aged in (AGED_LIBRARY, AGED_OUTPUTS):
        if aged.is_set_up(settings):
            lines.append(_aged(aged, settings))
            resources |= build_library_resources(settings, aged.collection).by_name()
            resources |= {"archive_progress": archive_progress or ArchiveProgress()}
    if settings.library_dir and settings.cold_bucket:
        lines.append(_cold_storage(settings))
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


def _aged(aged: Aged, settings: Settings) -> dg.Definitions:
    return dg.Definitions(
        assets=[plan_spec(aged), build_archived_asset(aged, settings.batch_size)],
        jobs=[build_archive_job(aged), build_archive_upkeep_job(aged)],
        schedules=[
            build_archive_schedule(aged, settings, settings),
            build_archive_upkeep_schedule(aged, settings, settings),
        ],
    )


def _cold_storage(settings: Settings) -> dg.Definitions:
    return dg.Definitions(
        assets=[ARCHIVED_COPIES_SPEC],
        asset_checks=[restore_drill],
        jobs=COLD_STORAGE_JOBS,
        schedules=[build_drill_schedule(settings, settings)],
    )


def _upkeep(settings: Settings) -> dg.Definitions:
    return dg.Definitions(
        assets=[build_retained_audio(settings), build_storage_report(settings)],
        jobs=UPKEEP_JOBS,
        schedules=[build_storage_report_schedule(settings)],
        sensors=[build_cleanup_sensor(settings)],
    )


@dg.definitions
def audio_compressor() -> dg.Definitions:
    """What Dagster loads; the environment is read when it does, not when this module is imported."""
    return build_definitions(load_settings())
