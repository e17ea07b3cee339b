"""The jobs that the schedule, the sensors and the command line request."""

import dagster as dg

from audio_compressor.defs.assets.storage_report import storage_report_job
from audio_compressor.defs.cleanup import cleanup_job
from audio_compressor.defs.names import (
    COMPRESSION_JOB,
    MAX_RETRIES_TAG,
    PROCESSING_REPORT,
    RECORDING_PRODUCTS,
    REPORT_JOB,
    STREAMING_JOB,
    TRACK_PRODUCTS,
)
from audio_compressor.defs.relocation import relocation_job
from audio_compressor.defs.restore_drill import restore_drill_job
from audio_compressor.defs.track_tidying import tidying_job
from audio_compressor.defs.verification import verification_job

compression_job = dg.define_asset_job(
    COMPRESSION_JOB,
    # Each recording's checks are recorded all the same; planned for the run as a whole, they would all be shown as
    # failed with the first recording that fails.
    selection=dg.AssetSelection.assets(*RECORDING_PRODUCTS).without_checks(),
    description="Download, compress and publish the recordings of one range of partitions.",
)
streaming_job = dg.define_asset_job(
    STREAMING_JOB,
    selection=dg.AssetSelection.assets(*TRACK_PRODUCTS).without_checks(),  # as above
    # Dagster's retry of a dead run would take its whole range, and if it dies too, turn red for good what was finished
    # (seen in the tests). The sensor's next look asks for the rest.
    tags={MAX_RETRIES_TAG: "0"},
    description="Make and publish the renditions of one range of tracks.",
)
report_job = dg.define_asset_job(
    REPORT_JOB,
    selection=dg.AssetSelection.assets(PROCESSING_REPORT),
    description="Bring the processing report up to date.",
)

RECORDING_JOBS = (compression_job, report_job, relocation_job, verification_job)
TRACK_JOBS = (streaming_job, tidying_job)
COLD_STORAGE_JOBS = (restore_drill_job,)
UPKEEP_JOBS = (cleanup_job, storage_report_job)
