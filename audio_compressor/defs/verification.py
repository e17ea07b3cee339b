"""Are the stored files still what was published? An asset check that looks at some of them each night, in rotation."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import AssetRecordsFilter, DagsterInstance, EventLogRecord
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from audio_compressor.defs.assets.recordings import OWNERS
from audio_compressor.defs.dead_runs import mark_process
from audio_compressor.defs.history import known_keys, pages_of
from audio_compressor.defs.names import COMPRESSED_AUDIO, RECORDING_METADATA, SFTP_POOL, STORED_FILES, VERIFICATION_JOB
from audio_compressor.defs.resources import AudioResource, Resources, RunningResource, SftpResource, StorageResource
from audio_compressor.receipts import Finding, Inspector, Receipt, next_in_rotation
from audio_compressor.settings import RunningSettings, StorageSettings
from audio_compressor.staging import open_staging
from audio_compressor.texts import visible

CHECK_NAME = "stored_files_intact"
_POSITION = "looked_at_up_to"
_AGAIN = "not_intact"
_PUBLISHED = (COMPRESSED_AUDIO, RECORDING_METADATA)
# Of one recording that are looked through for one that tells of a file.
_MOST_VERSIONS = 100
# Kept with each evaluation, and looked at again the next time.
_MOST_TOLD = 100
STORED_FILES_CHECK = dg.AssetCheckKey(STORED_FILES, CHECK_NAME)
# An asset of its own, and an external one: a check of `compressed_audio` would be planned with each run that makes some
# of it, and that would hide what it has found.
STORED_FILES_SPEC = dg.AssetSpec(
    STORED_FILES,
    deps=_PUBLISHED,
    kinds={"file"},
    group_name="recordings",
    owners=OWNERS,
    description="What lies in storage, and was published earlier; looked at each night, some of it in rotation.",
)


def read_receipts(instance: DagsterInstance, directories: Collection[str] | None = None) -> Sequence[Receipt]:
    """What is recorded of the newest published files of these recordings, or of all: of the audio, and of the metadata
    where it was published too.
    """
    if directories is not None:
        newest = (_newest_receipt(instance, asset, key) for key in directories for asset in _PUBLISHED)
        return [receipt for receipt in newest if receipt is not None]
    found = {
        (receipt.directory, asset): receipt
        for asset in _PUBLISHED
        for record in pages_of(instance.fetch_materializations, asset)
        if (receipt := _receipt(record))
    }
    return [found[key, asset] for key in known_keys(instance) for asset in _PUBLISHED if (key, asset) in found]


def _newest_receipt(instance: DagsterInstance, asset: dg.AssetKey, key: str) -> Receipt | None:
    wanted = AssetRecordsFilter(asset, asset_partitions=[key])
    records = instance.fetch_materializations(wanted, limit=_MOST_VERSIONS).records
    return next((receipt for record in records if (receipt := _receipt(record))), None)


def _receipt(record: EventLogRecord) -> Receipt | None:
    """None where the event does not tell where the file is, as one of an imported manifest does not."""
    materialization = record.asset_materialization
    if materialization is None or materialization.partition is None:
        return None
    metadata: dict[str, Any] = {key: value.value for key, value in materialization.metadata.items()}
    if not metadata.get("uri"):
        return None
    is_audio = materialization.asset_key == COMPRESSED_AUDIO
    return Receipt(
        directory=materialization.partition,
        is_audio=is_audio,
        location=metadata["storage_location"],
        uri=metadata["uri"],
        sha256=metadata.get("sha256"),
        duration_seconds=metadata.get("duration_seconds"),
        size_mb=metadata.get("compressed_size_mb", 0.0) if is_audio else metadata.get("size_bytes", 0) / 1e6,
    )


@contextmanager
def open_inspector(instance: DagsterInstance, resources: Resources, run_id: str) -> Iterator[Inspector]:
    """With storage and staging open. ``run_id`` names the staging directory."""
    running = resources.running

    def newest(receipt: Receipt) -> Receipt:
        of_recording = read_receipts(instance, [receipt.directory])
        return next((other for other in of_recording if other.is_audio == receipt.is_audio), receipt)

    with (
        resources.open_storage() as storage,
        open_staging(Path(running.temp_dir), run_id) as staging,
    ):
        yield Inspector(storage, staging, resources.audio.ffmpeg(), running.retry(), running.encoders, newest)


def build_stored_files_check(stored: StorageSettings) -> dg.AssetChecksDefinition:
    """The check; it holds a connection to the SFTP server only where results are stored there."""

    @dg.asset_check(
        asset=STORED_FILES,
        name=CHECK_NAME,
        description="Some of the stored files, in rotation, are there, have the SHA-256 that was published, and play "
        "to their end. What is not intact is looked at again each time until it is.",
        pool=SFTP_POOL if stored.storage_backend == "sftp" else None,
    )
    def stored_files_intact(
        context: dg.AssetCheckExecutionContext,
        sftp: SftpResource,
        storage: StorageResource,
        audio: AudioResource,
        running: RunningResource,
    ) -> dg.AssetCheckResult:
        instance = context.instance
        mark_process(instance, context.run)
        last = _last_metadata(instance)
        keys = known_keys(instance)
        size = math.ceil(len(keys) / running.verification_days) if running.verification_days else len(keys)
        rotated = next_in_rotation(keys, last.get(_POSITION), size)
        receipts = read_receipts(instance, dict.fromkeys([*(last.get(_AGAIN) or ()), *rotated]))
        resources = Resources(sftp, storage, audio, running)
        findings = []
        with (
            open_inspector(instance, resources, context.run.run_id) as inspector,
            closing(inspector.inspect(receipts)) as inspected,
        ):
            for finding in inspected:
                findings.append(finding)
                if finding.condition != "intact":
                    context.log.error("%s: %s: %s", finding.receipt.directory, finding.condition, finding.reason)
        return _result(findings, rotated[-1] if rotated else None)

    return stored_files_intact


def _result(findings: Sequence[Finding], position: str | None) -> dg.AssetCheckResult:
    others = [finding for finding in findings if finding.condition != "intact"]
    bad = sum(finding.is_bad for finding in others)
    if bad:
        summary = f"{bad} of {len(findings)} files are missing, changed or damaged"
    elif others:
        summary = f"{len(others)} of {len(findings)} files could not be looked at"
    else:
        summary = f"{len(findings)} files are intact"
    return dg.AssetCheckResult(
        passed=not others,
        severity=dg.AssetCheckSeverity.ERROR if bad else dg.AssetCheckSeverity.WARN,
        description=summary,
        metadata={
            "looked_at": len(findings),
            "intact": len(findings) - len(others),
            "findings": dg.MetadataValue.json(
                {
                    visible(finding.receipt.name): visible(f"{finding.condition}: {finding.reason}")
                    for finding in others[:_MOST_TOLD]
                }
            ),
            _AGAIN: dg.MetadataValue.json(
                list(dict.fromkeys(finding.receipt.directory for finding in others if finding.is_bad))[:_MOST_TOLD]
            ),
            **({_POSITION: position} if position else {}),
        },
    )


def _last_metadata(instance: DagsterInstance) -> Mapping[str, Any]:
    evaluated = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
    records = instance.event_log_storage.get_asset_check_execution_history(
        STORED_FILES_CHECK, limit=1, status=evaluated
    )
    found = records[0].evaluation if records else None
    return {key: value.value for key, value in found.metadata.items()} if found else {}


verification_job = dg.define_asset_job(
    VERIFICATION_JOB,
    selection=dg.AssetSelection.checks(STORED_FILES_CHECK),
    description="Compare some of the stored files with what was published.",
)


def build_verification_schedule(running: RunningSettings) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="verification_schedule",
        job_name=VERIFICATION_JOB,
        cron_schedule=running.verification_schedule,
        execution_timezone=running.schedule_timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING
        if running.verification_days
        else dg.DefaultScheduleStatus.STOPPED,
        description="Looks at some of the stored files each night, so that each is looked at every VERIFICATION_DAYS.",
    )
