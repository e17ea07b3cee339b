"""Reads results from the event log for the processing report: only what is newer than the last report."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import DagsterInstance, EventLogRecord

from audio_compressor.defs.history import pages_of
from audio_compressor.defs.names import COMPRESSED_AUDIO, PROCESSING_REPORT
from audio_compressor.reporting.results import STATUSES, Result

if TYPE_CHECKING:
    import pandas as pd

CURSOR_KEY = "event_log_cursor"
TABLE_KEY = "table_sha256"
# On PostgreSQL, an event with a lower id may appear after one with a higher id: ids are given before transactions end.
# So this many ids are read once more; to read a result twice changes nothing.
_OVERLAP = 1000


@dataclass(frozen=True)
class News:
    """Results newer than a cursor, and the cursor for the next time."""

    results: list[Result]
    cursor: int


def last_cursor(instance: DagsterInstance) -> int:
    """How far the last report has read; 0 when there is none."""
    value = _last_metadata(instance).get(CURSOR_KEY)
    return value if isinstance(value, int) else 0


def newest_result(instance: DagsterInstance) -> int:
    """The position of the newest outcome in the event log; 0 when there is none."""
    newest = [
        record.storage_id
        for fetch in (instance.fetch_materializations, instance.fetch_observations)
        for record in fetch(COMPRESSED_AUDIO, limit=1).records
    ]
    return max(newest, default=0)


def bring_up_to_date(instance: DagsterInstance, output_dir: Path) -> "tuple[pd.DataFrame, News]":
    """The table of the last report with what is new; everything anew unless the table is the one of the last report.

    It would not be when it was deleted, restored from a backup, or written by a report that ran at the same time.
    """
    from audio_compressor.reporting.files import read_report, table_sha256
    from audio_compressor.reporting.table import update

    is_last = table_sha256(output_dir) == _last_metadata(instance).get(TABLE_KEY)
    news = _read_news(instance, last_cursor(instance) if is_last else 0)
    return update(read_report(output_dir) if is_last else None, news.results), news


def _last_metadata(instance: DagsterInstance) -> Mapping[str, Any]:
    event = instance.get_latest_materialization_event(PROCESSING_REPORT)
    materialization = event.asset_materialization if event else None
    return {key: value.value for key, value in materialization.metadata.items()} if materialization else {}


def _read_news(instance: DagsterInstance, cursor: int) -> News:
    """Every outcome after ``cursor``, in the order in which they were recorded."""
    # Before the two queries: what is recorded meanwhile may be missed by one of them, and is read the next time.
    position = newest_result(instance)
    after = max(cursor - _OVERLAP, 0)
    # Of each record only its result is kept: with their pictures, 100,000 took 1.8 GB.
    found = [
        (record.storage_id, result)
        for fetch in (instance.fetch_materializations, instance.fetch_observations)
        for record in pages_of(fetch, COMPRESSED_AUDIO, after)
        if (result := _result(record)) is not None
    ]
    found.sort(key=itemgetter(0))
    return News([result for _, result in found], max(position, cursor))


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
