"""What the Dagster instance has recorded of published files, and looking at them with the deployment's resources."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import dagster as dg
from dagster import AssetRecordsFilter, DagsterInstance, EventLogRecord

from audio_compressor.archive.aged_results import AgedResults
from audio_compressor.defs.events import adoption_completed
from audio_compressor.defs.history import (
    in_flight,
    is_anything_in_flight,
    known_keys,
    latest_materializations,
    pages_of,
)
from audio_compressor.defs.names import COMPRESSED_AUDIO, RECORDING_METADATA
from audio_compressor.defs.resources import Resources
from audio_compressor.receipts import Finding, Inspector, Receipt
from audio_compressor.staging import open_staging
from audio_compressor.storage.base import Location

PUBLISHED = (COMPRESSED_AUDIO, RECORDING_METADATA)
# Of one recording that are looked through for one that tells of a file.
_MOST_VERSIONS = 100


def read_receipts(instance: DagsterInstance, directories: Collection[str] | None = None) -> Sequence[Receipt]:
    """What is recorded of the newest published files of these recordings, or of all: of the audio, and of the metadata
    where it was published too.
    """
    if directories is not None:
        newest = (_newest_receipt(instance, asset, key) for key in directories for asset in PUBLISHED)
        return [receipt for receipt in newest if receipt is not None]
    found = {
        (receipt.directory, asset): receipt
        for asset in PUBLISHED
        for record in pages_of(instance.fetch_materializations, asset)
        if (receipt := _receipt(record))
    }
    return [found[key, asset] for key in known_keys(instance) for asset in PUBLISHED if (key, asset) in found]


def _newest_receipt(instance: DagsterInstance, asset: dg.AssetKey, key: str) -> Receipt | None:
    wanted = AssetRecordsFilter(asset, asset_partitions=[key])
    records = instance.fetch_materializations(wanted, limit=_MOST_VERSIONS).records
    return next((receipt for record in records if (receipt := _receipt(record))), None)


def _receipt(record: EventLogRecord) -> Receipt | None:
    """None where the event does not tell where the file is, as one of an imported manifest, or of somebody else."""
    materialization = record.asset_materialization
    if materialization is None or materialization.partition is None:
        return None
    metadata: dict[str, Any] = {key: value.value for key, value in materialization.metadata.items()}
    if not isinstance(metadata.get("uri"), str) or metadata.get("storage_location") not in get_args(Location):
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


def complete_receipt(instance: DagsterInstance, finding: Finding) -> None:
    """Record what was found of a file that had been adopted unseen: from now on its decay is noticed."""
    if finding.sha256 is None or finding.duration_seconds is None:
        return
    [adopted] = latest_materializations(instance, [COMPRESSED_AUDIO], finding.receipt.directory)
    instance.report_runless_asset_event(adoption_completed(adopted, finding.sha256, finding.duration_seconds))


@contextmanager
def open_inspector(instance: DagsterInstance, resources: Resources, run_id: str) -> Iterator[Inspector]:
    """With storage and staging open. ``run_id`` names the staging directory."""
    running, aged = resources.running, AgedResults(Path(resources.storage.output_dir))

    def current(receipt: Receipt) -> Receipt | None:
        # In this order: a run that is not in flight any more has recorded what it published.
        if is_anything_in_flight(instance) and receipt.directory in in_flight(instance, known_keys(instance)):
            return None
        of_recording = read_receipts(instance, [receipt.directory])
        return next((other for other in of_recording if other.is_audio == receipt.is_audio), receipt)

    with (
        resources.open_storage() as storage,
        open_staging(Path(running.temp_dir), run_id) as staging,
    ):
        yield Inspector(
            storage, staging, resources.audio.ffmpeg(), running.retry(), running.encoders, current, aged.standing
        )
