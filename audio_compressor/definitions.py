"""The code location on one page: assets, checks, jobs, the schedules, the sensors and their resources."""

import logging

import dagster as dg

from audio_compressor.batch.connections import SourceConnections
from audio_compressor.batch.model import Progress
from audio_compressor.defs.assets.recordings import RECORDING_DIRECTORY_SPEC, build_recording_assets
from audio_compressor.defs.assets.report import processing_report
from audio_compressor.defs.jobs import JOBS
from audio_compressor.defs.resources import build_resources
from audio_compressor.defs.schedules import build_nightly_schedule
from audio_compressor.defs.sensors import new_recordings_sensor, processing_report_sensor, stranded_results_sensor
from audio_compressor.defs.verification import STORED_FILES_SPEC, build_stored_files_check, build_verification_schedule
from audio_compressor.settings import Settings, load_settings


def build_definitions(
    settings: Settings, progress: Progress | None = None, connections: SourceConnections | None = None
) -> dg.Definitions:
    """Everything, for these settings.

    ``progress`` is told about recordings as they are processed; ``connections`` gives each batch the one that it
    downloads with.
    """
    logging.getLogger("audio_compressor").setLevel(settings.log_level)
    return dg.Definitions(
        assets=[
            RECORDING_DIRECTORY_SPEC,
            build_recording_assets(settings.batch_size),
            STORED_FILES_SPEC,
            processing_report,
        ],
        asset_checks=[build_stored_files_check(settings)],
        jobs=JOBS,
        schedules=[build_nightly_schedule(settings), build_verification_schedule(settings)],
        sensors=[new_recordings_sensor, processing_report_sensor, stranded_results_sensor],
        resources={
            **build_resources(settings).by_name(),
            "progress": progress or Progress(),
            "connections": connections or SourceConnections(),
        },
        # A process for each step costs 8 s and gains nothing: a run has one step, which is parallel inside.
        executor=dg.in_process_executor,
    )


@dg.definitions
def audio_compressor() -> dg.Definitions:
    """What Dagster loads; the environment is read when it does, not when this module is imported."""
    return build_definitions(load_settings())
