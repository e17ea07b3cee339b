"""Reads results from the event log for the processing report: only what is newer than the last report."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster import AssetRecordsFilter, DagsterInstance, EventLogRecord, EventRecordsResult

from audio_compressor.defs.names import COMPRESSED_AUDIO, PROCESSING_REPORT
from audio_compressor.reporting.results import STATUSES, Result

CURSOR_KEY = "event_log_cursor"
_PAGE = 1000


@dataclass(frozen=True)
class News:
    """Results newer than a cursor, and the cursor for the next time."""

    results: list[Result]
    cursor: int


def last_cursor(instance: DagsterInstance) -> int:
    """How far the last report has read; 0 when there is none."""
    event = instance.get_latest_materialization_event(PROCESSING_REPORT)
    materialization = event.asset_materialization if event else None
    value = materialization.metadata.get(CURSOR_KEY) if materialization else None
    return value.value if isinstance(value, dg.IntMetadataValue) and value.value else 0


def has_news(instance: DagsterInstance) -> int | None:
    """The storage id of the newest result when the last report does not know it."""
    newest = max(
        (
            record.storage_id
            for fetch in (instance.fetch_materializations, instance.fetch_observations)
            for record in fetch(COMPRESSED_AUDIO, limit=1).records
        ),
        default=0,
    )
    return newest if newest > last_cursor(instance) else None


def read_news(instance: DagsterInstance, cursor: int) -> News:
    """Every outcome after ``cursor``, in the order in which they were recorded."""
    records = [
        record
        for fetch in (instance.fetch_materializations, instance.fetch_observations)
        for record in _pages(fetch, cursor)
    ]
    records.sort(key=lambda record: record.storage_id)
    results = [result for record in records if (result := _result(record)) is not None]
    return News(results, max((record.storage_id for record in records), default=cursor))


def _pages(fetch: Callable[..., EventRecordsResult], after_storage_id: int) -> Iterator[EventLogRecord]:
    while True:
        page = fetch(
            AssetRecordsFilter(COMPRESSED_AUDIO, after_storage_id=after_storage_id), limit=_PAGE, ascending=True
        ).records
        yield from page
        if len(page) < _PAGE:
            return
        after_storage_id = page[-1].storage_id


def _result(record: EventLogRecord) -> Result | None:
    event = record.asset_materialization or record.event_log_entry.asset_observation
    if event is None or event.partition is None:
        return None
    metadata: dict[str, Any] = {key: value.value for key, value in event.metadata.items()}
    status = "success" if record.asset_materialization else metadata.get("outcome")
    if status not in STATUSES:
        return None
    return Result(
        directory=event.partition,
        status=status,
        processed_at=_time(metadata, record.timestamp),
        reason=metadata.get("reason"),
        original_size_mb=metadata.get("original_size_mb"),
        compressed_size_mb=metadata.get("compressed_size_mb"),
        compression_ratio=metadata.get("compression_ratio"),
        duration_seconds=metadata.get("duration_seconds"),
        bitrate_kbps=metadata.get("bitrate_kbps"),
        codec=metadata.get("codec"),
        storage_location=metadata.get("storage_location"),
        uri=metadata.get("uri"),
    )


def _time(metadata: Mapping[str, Any], recorded_at_seconds: float) -> datetime:
    try:
        return datetime.fromisoformat(metadata["processed_at"])
    except (KeyError, TypeError, ValueError):
        return datetime.fromtimestamp(recorded_at_seconds, UTC)
