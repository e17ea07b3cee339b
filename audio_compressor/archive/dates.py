"""When a recording was made: its age decides what becomes of it.

What its document says counts first, then a date in its name, in its directories, in the file itself; when the file was
last modified counts only where nothing better is known. Whatever is no date beyond doubt is passed over, for the next
best one is rarely older, and a recording that is held younger than it is, is only kept longer.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from audio_compressor.archive.name_dates import dates_in
from audio_compressor.recording import directory_of, recorded_on
from audio_compressor.texts import visible

# In this order; the first that holds a plausible date counts.
DATE_FIELDS = (
    "recorded_at",
    "recording_date",
    "start_time",
    "started_at",
    "created_at",
    "created",
    "timestamp",
    "date",
)

_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
# Clocks are set wrong, and times without a zone may be up to 14 hours ahead.
_AHEAD = timedelta(days=1)
# In seconds, this is the year 5138; in milliseconds, 1973.
_FIRST_MILLISECONDS = 1e11
_EPOCH_TEXT = re.compile(r"[0-9]{10}(?:[0-9]{3})?(?:\.[0-9]{1,9})?")
_MAX_SHOWN = 40


@dataclass(frozen=True)
class Dated:
    """When a recording was made, in UTC, and how that is known, with what was passed over."""

    at: datetime
    by: str


def recorded_at(
    fields: Mapping[str, Any],
    path: str,
    container_date: Callable[[], datetime | None],
    modified_at: datetime,
    now: datetime,
) -> Dated:
    """When a recording was made.

    Args:
        fields: the top level of its document; empty without one.
        path: from the library's root.
        container_date: reads the date in the file; it is asked only when names and documents give none.
        modified_at: when the file was last modified.
        now: what no recording can be newer than, but for a day. It is the result when nothing is known.
    """
    passed_over: list[str] = []
    for source, found in _candidates(fields, path, container_date, modified_at):
        if isinstance(found, str):
            passed_over.append(f"{source} is {found}")
        elif not _EARLIEST <= found <= now + _AHEAD:
            passed_over.append(f"{source} says {found:%Y-%m-%d}, which cannot be")
        else:
            return Dated(found, _sentence(source, passed_over))
    return Dated(now, _sentence("nothing, so that it counts as new", passed_over))


def told_by(fields: Mapping[str, Any], now: datetime) -> Dated | None:
    """What a document alone tells, or None."""
    for name in DATE_FIELDS:
        found = _from_field(fields[name]) if fields.get(name) not in {None, ""} else None
        if isinstance(found, datetime) and _EARLIEST <= found <= now + _AHEAD:
            return Dated(found, f"{name} in its document")
    return None


def _candidates(
    fields: Mapping[str, Any], path: str, container_date: Callable[[], datetime | None], modified_at: datetime
) -> Iterator[tuple[str, datetime | str]]:
    """Where a date may be, best first, and the date, or what is there instead."""
    for name in DATE_FIELDS:
        if fields.get(name) is not None and fields[name] != "":
            yield f"{name} in its document", _from_field(fields[name])
    directories, _, name = path.rpartition("/")
    own = recorded_on(directory_of(name) or "")
    in_name = [_midnight(own)] if own else dates_in(name.rpartition(".")[0] or name)
    for at in sorted(in_name, reverse=True):
        yield "its name", at
    for at in reversed(dates_in(directories)):
        yield "its directory", at
    in_file = container_date()
    if in_file is not None:
        yield "the date in the file", in_file
    yield "when it was last modified", modified_at.astimezone(UTC)


def _from_field(value: object) -> datetime | str:
    """The date that a field holds, or how it reads."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _from_epoch(float(value))
        if isinstance(value, str) and _EPOCH_TEXT.fullmatch(value.strip()):
            return _from_epoch(float(value))
        if isinstance(value, str):
            return as_utc(datetime.fromisoformat(value.strip()))
    except (ValueError, OverflowError):
        pass  # said below
    return f"'{visible(str(value)[:_MAX_SHOWN])}', which is no date"


def _from_epoch(number: float) -> datetime:
    if not math.isfinite(number):
        raise ValueError(number)
    seconds = number / 1000 if abs(number) >= _FIRST_MILLISECONDS else number
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def as_utc(at: datetime) -> datetime:
    """The moment in UTC; without a zone it is taken to be in UTC. Raises OverflowError at the ends of the calendar."""
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _sentence(source: str, passed_over: list[str]) -> str:
    return f"{source} ({'; '.join(passed_over)})" if passed_over else source
