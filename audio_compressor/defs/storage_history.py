"""What earlier storage reports have recorded: how much there was each night, and what seemed to be orphaned.

Kept in the metadata of `storage_report`, so that it is where Dagster is. Anybody may report a materialization: what is
not as we write it is passed over.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

from dagster import DagsterInstance

from audio_compressor.archive.orphans import Judged, Kind, Orphan
from audio_compressor.defs.history import pages_of
from audio_compressor.defs.names import STORAGE_REPORT
from audio_compressor.reporting.storage_growth import HISTORY, Night

NIGHT_KEY = "night"
SUSPECTS_KEY = "suspects"
# They are kept with every report, the longest known first: what is told of is found again.
_MOST_SUSPECTS = 1000


@dataclass(frozen=True)
class Reports:
    """Of the last 90 days, the oldest first. ``suspects`` is what the last one remembered."""

    nights: Sequence[Night]
    suspects: Mapping[Orphan, datetime]

    @property
    def last_at(self) -> datetime | None:
        return self.nights[-1].at if self.nights else None


def read_reports(instance: DagsterInstance, now: datetime) -> Reports:
    """One indexed query for each 500 reports."""
    nights: list[Night] = []
    last: Mapping[str, Any] = {}
    after = (now - HISTORY).timestamp()
    for record in pages_of(instance.fetch_materializations, STORAGE_REPORT, after_timestamp=after):
        if record.asset_materialization is None:
            continue
        metadata = {key: value.value for key, value in record.asset_materialization.metadata.items()}
        if night := _night(metadata.get(NIGHT_KEY)):
            nights.append(night)
            last = metadata
    return Reports(nights, _suspects(last.get(SUSPECTS_KEY)))


def night_json(night: Night) -> dict[str, Any]:
    """For the metadata of a report."""
    return {
        "at": night.at.astimezone(UTC).isoformat(),
        "total_bytes": night.total_bytes,
        "original_bytes": night.original_bytes,
        "free_bytes": dict(night.free_bytes),
    }


def suspects_json(judged: Judged) -> list[dict[str, Any]]:
    """For the metadata of a report; of very many, those that are known for the longest time."""
    kept = sorted(judged.suspects.items(), key=lambda item: (item[1], item[0]))[:_MOST_SUSPECTS]
    by_time: dict[datetime, list[list[str]]] = {}
    for orphan, since in kept:
        by_time.setdefault(since, []).append([orphan.collection, orphan.kind, orphan.name])
    return [{"since": since.astimezone(UTC).isoformat(), "orphans": orphans} for since, orphans in by_time.items()]


def _night(given: Any) -> Night | None:
    try:
        free: Mapping[str, Any] = given["free_bytes"]
        return Night(
            at=_time(given["at"]),
            total_bytes=_size(given["total_bytes"]),
            original_bytes=_size(given["original_bytes"]),
            free_bytes={str(name): size for name, found in free.items() if (size := _size(found)) is not None},
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _suspects(given: Any) -> dict[Orphan, datetime]:
    kinds: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
    try:
        return {
            Orphan(str(collection), kinds[kind], str(name)): _time(group["since"])
            for group in _list(given)
            for collection, kind, name in _list(group["orphans"])
        }
    except (KeyError, TypeError, ValueError):
        return {}


def _list(given: Any) -> Iterable[Any]:
    return given if isinstance(given, list) else ()


def _size(given: Any) -> int | None:
    return given if isinstance(given, int) and not isinstance(given, bool) else None


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return at
