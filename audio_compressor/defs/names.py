"""Names that the Dagster side shares: asset keys, jobs, tags. DESIGN fixes the public ones."""

import dagster as dg

from audio_compressor.batch.model import Product

RECORDING_DIRECTORY = dg.AssetKey("recording_directory")
RAW_AUDIO = dg.AssetKey(Product.RAW_AUDIO.value)
COMPRESSED_AUDIO = dg.AssetKey(Product.COMPRESSED_AUDIO.value)
RECORDING_METADATA = dg.AssetKey(Product.RECORDING_METADATA.value)
RECORDING_PRODUCTS = (RAW_AUDIO, COMPRESSED_AUDIO, RECORDING_METADATA)
TRACK = dg.AssetKey("track")
AAC_AUDIO = dg.AssetKey("aac_audio")
HLS_RENDITIONS = dg.AssetKey("hls_renditions")
TRACK_PRODUCTS = (TRACK, AAC_AUDIO, HLS_RENDITIONS)
STORED_FILES = dg.AssetKey("stored_files")
RETAINED_AUDIO = dg.AssetKey("retained_audio")
PROCESSING_REPORT = dg.AssetKey("processing_report")
STORAGE_REPORT = dg.AssetKey("storage_report")
ARCHIVED_AUDIO = dg.AssetKey("archived_audio")
ARCHIVE_PLAN = dg.AssetKey("archive_plan")
ARCHIVED_OUTPUTS = dg.AssetKey("archived_outputs")
OUTPUT_PLAN = dg.AssetKey("output_plan")
ARCHIVED_COPIES = dg.AssetKey("archived_copies")

COMPRESSION_JOB = "compression_job"
REPORT_JOB = "processing_report_job"
RELOCATION_JOB = "relocation_job"
VERIFICATION_JOB = "verification_job"
STREAMING_JOB = "streaming_job"
TIDYING_JOB = "track_tidying_job"
CLEANUP_JOB = "cleanup_job"
STORAGE_REPORT_JOB = "storage_report_job"
ARCHIVE_JOB = "archive_job"
ARCHIVE_UPKEEP_JOB = "archive_upkeep_job"
OUTPUT_ARCHIVE_JOB = "output_archive_job"
OUTPUT_UPKEEP_JOB = "output_upkeep_job"
DRILL_JOB = "restore_drill_job"
JOB_NAMES = frozenset(
    {
        COMPRESSION_JOB,
        REPORT_JOB,
        RELOCATION_JOB,
        VERIFICATION_JOB,
        STREAMING_JOB,
        TIDYING_JOB,
        CLEANUP_JOB,
        STORAGE_REPORT_JOB,
        ARCHIVE_JOB,
        ARCHIVE_UPKEEP_JOB,
        OUTPUT_ARCHIVE_JOB,
        OUTPUT_UPKEEP_JOB,
        DRILL_JOB,
    }
)

# Runs that hold a connection to the SFTP server; dagster.yaml says how many there may be.
SFTP_POOL = "sftp"

# Changes only when the same source would give another result: every recording is then shown as out of date.
CODE_VERSION = "1"

# Dagster's own tags; it exports no names for them.
RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
PARTITION_TAG = "dagster/partition"
PARENT_RUN_TAG = "dagster/parent_run_id"
ROOT_RUN_TAG = "dagster/root_run_id"
MAX_RETRIES_TAG = "dagster/max_retries"
RETRY_NUMBER_TAG = "dagster/retry_number"  # only on automatic retries
DATA_VERSION_TAG = "dagster/data_version"
CODE_VERSION_TAG = "dagster/code_version"
INPUT_DATA_VERSION_TAG = "dagster/input_data_version/"
INPUT_EVENT_TAG = "dagster/input_event_pointer/"

# Which process executes a run (see dead_runs.py).
PROCESS_TAG = "audio_compressor/process"
# When the source was looked at for a run (ISO 8601), where that is not when the run was created.
REQUESTED_TAG = "audio_compressor/requested_at"
# Under which name a run's uploads were claimed before it was created.
CLAIM_TAG = "audio_compressor/claim"
