"""Brings results that a fallback left in the local directory to where they belong, and tells the event log.

Every run does this before its own work; when there is none, a sensor requests a run of its own for it.
"""

import logging

import dagster as dg
from dagster import AssetRecordsFilter, DagsterInstance

from audio_compressor.defs.dead_runs import mark_process
from audio_compressor.defs.names import COMPRESSED_AUDIO, RECORDING_METADATA, RELOCATION_JOB
from audio_compressor.defs.resources import SftpResource, StorageResource
from audio_compressor.errors import AudioCompressorError
from audio_compressor.recording import directory_of
from audio_compressor.storage import build_storage
from audio_compressor.storage.base import Storage
from audio_compressor.storage.fallback import FallbackStorage, Relocated


def relocate_stranded(instance: DagsterInstance, storage: Storage, log: logging.Logger) -> int:
    """Move what is stranded and update the materializations; returns the number of files moved."""
    if not isinstance(storage, FallbackStorage):
        return 0
    moved = 0
    try:
        for relocated in storage.relocate():
            log.info("%s: moved from the local fallback to %s", relocated.name, relocated.stored.uri)
            _update_materialization(instance, relocated)
            moved += 1
    except AudioCompressorError as error:
        log.warning("Results stay in the local directory for now: %s", error)
    return moved


def _update_materialization(instance: DagsterInstance, relocated: Relocated) -> None:
    directory = directory_of(relocated.name)
    if directory is None:
        return
    for asset in (COMPRESSED_AUDIO, RECORDING_METADATA):
        records = instance.fetch_materializations(AssetRecordsFilter(asset, asset_partitions=[directory]), limit=1)
        latest = records.records[0].asset_materialization if records.records else None
        uri = latest.metadata.get("uri") if latest else None
        if latest is None or uri is None or uri.value != relocated.local_uri:
            continue
        metadata = {key: value for key, value in latest.metadata.items() if key != "fallback_reason"}
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                asset,
                partition=directory,
                description="moved from the local fallback to its destination",
                metadata={**metadata, "storage_location": relocated.stored.location, "uri": relocated.stored.uri},
                tags=latest.tags,
            )
        )


@dg.op(description="Move results that a fallback left in the local directory to their destination.")
def relocate(context: dg.OpExecutionContext, sftp: SftpResource, storage: StorageResource) -> None:
    mark_process(context.instance, context.run)
    with build_storage(storage, sftp.endpoint()) as opened:
        moved = relocate_stranded(context.instance, opened, context.log)
    context.log.info("%d files moved", moved)


@dg.job(name=RELOCATION_JOB, description="Moves results that a fallback left in the local directory.")
def relocation_job() -> None:
    relocate()
