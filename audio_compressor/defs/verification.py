"""Are the stored files still what was published? An asset check that looks at some of them each night, in rotation."""

import math
from collections.abc import Sequence
from contextlib import closing

import dagster as dg

from audio_compressor.defs.assets.recordings import OWNERS
from audio_compressor.defs.dead_runs import mark_process
from audio_compressor.defs.evaluations import last_figures
from audio_compressor.defs.history import known_keys
from audio_compressor.defs.names import SFTP_POOL, STORED_FILES, VERIFICATION_JOB
from audio_compressor.defs.receipts import PUBLISHED, complete_receipt, open_inspector, read_receipts
from audio_compressor.defs.resources import AudioResource, Resources, RunningResource, SftpResource, StorageResource
from audio_compressor.errors import AudioCompressorError
from audio_compressor.receipts import Finding, next_in_rotation
from audio_compressor.settings import RunningSettings, StorageSettings
from audio_compressor.texts import escape_line, visible

CHECK_NAME = "stored_files_intact"
_POSITION = "looked_at_up_to"
_AGAIN = "not_intact"
# Kept with each evaluation: what people read, and what is looked at again the next time.
_MOST_TOLD = 100
_MOST_AGAIN = 1000
STORED_FILES_CHECK = dg.AssetCheckKey(STORED_FILES, CHECK_NAME)
# An asset of its own, and an external one: a check of `compressed_audio` would be planned with each run that makes some
# of it, and that would hide what it has found.
STORED_FILES_SPEC = dg.AssetSpec(
    STORED_FILES,
    deps=PUBLISHED,
    kinds={"file"},
    group_name="recordings",
    owners=OWNERS,
    description="What lies in storage, and was published earlier; looked at each night, some of it in rotation.",
)


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
        last, keys = last_figures(instance, STORED_FILES_CHECK), known_keys(instance)
        size = math.ceil(len(keys) / running.verification_days) if running.verification_days else len(keys)
        position = last.get(_POSITION)
        rotated = next_in_rotation(keys, position, size)
        known = set(keys)
        again = [key for key in last.get(_AGAIN) or () if key in known]
        receipts = read_receipts(instance, dict.fromkeys([*again, *rotated]))
        resources = Resources(sftp, storage, audio, running)
        findings: list[Finding] = []
        try:
            with (
                open_inspector(instance, resources, context.run.run_id) as inspector,
                closing(inspector.inspect(receipts)) as inspected,
            ):
                for finding in inspected:
                    findings.append(finding)
                    complete_receipt(instance, finding)
                    if finding.condition != "intact":
                        context.log.error("%s: %s: %s", finding.receipt.directory, finding.condition, finding.reason)
        except AudioCompressorError as error:
            if not any(finding.is_bad for finding in findings):
                raise  # a failed run, and the next one looks at the same files
            return _result(findings, len(keys), again, position, str(error))
        return _result(findings, len(keys), [], rotated[-1] if rotated else None)

    return stored_files_intact


def _result(
    findings: Sequence[Finding],
    recordings: int,
    unseen: Sequence[str],
    position: str | None,
    given_up: str | None = None,
) -> dg.AssetCheckResult:
    """``unseen`` are recordings that were not intact before and may not have been looked at now; ``given_up`` says why
    not all were.
    """
    others = [finding for finding in findings if finding.condition != "intact"]
    bad = sum(finding.is_bad for finding in others)
    if bad:
        summary = f"{bad} of {len(findings)} files are missing, changed or damaged"
    elif others:
        summary = f"{len(others)} of {len(findings)} files could not be looked at"
    else:
        summary = f"{len(findings)} files are intact"
    looked_at = len({finding.receipt.directory for finding in findings})
    summary += f"; {looked_at} of {recordings} recordings were looked at"
    if given_up:
        summary += f"; then it was given up: {escape_line(given_up)}"
    again = dict.fromkeys([*(finding.receipt.directory for finding in others), *unseen])
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
            _AGAIN: dg.MetadataValue.json(list(again)[:_MOST_AGAIN]),
            **({_POSITION: position} if position else {}),
        },
    )


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
