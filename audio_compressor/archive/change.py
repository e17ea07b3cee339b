"""A change of one recording, as it stands in the journal: what appears, what goes, what is known before and after."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from audio_compressor.archive import records
from audio_compressor.archive.model import Stamp
from audio_compressor.archive.records import Record

ChangeKind = Literal["compress", "cold", "delete", "restore"]


@dataclass(frozen=True)
class Arrival:
    """A verified file that lies at ``source`` and is to appear at ``path`` (both below the root).

    ``is_made``: it was made for this change, so that without it, it is of no use. By its ``inode`` it is known again
    when its content is not what it was.
    """

    source: str
    path: str
    size_bytes: int
    sha256: str
    inode: int
    is_made: bool = True


@dataclass(frozen=True)
class Departure:
    """A file at ``path`` that is to go to ``trash`` (both below the root)."""

    path: str
    trash: str
    stamp: Stamp
    sha256: str
    is_original: bool


@dataclass(frozen=True)
class Change:
    """``before`` and ``after`` are what is known of the recording (None: nothing)."""

    id: str
    kind: ChangeKind
    key: str
    begun_at: datetime
    arrivals: tuple[Arrival, ...]
    departures: tuple[Departure, ...]
    before: Record | None
    after: Record | None
    reason: str = ""

    def replaces(self, departure: Departure) -> Arrival | None:
        """What takes the name of a file that goes."""
        return next((arrival for arrival in self.arrivals if arrival.path == departure.path), None)


def to_json(change: Change) -> dict[str, Any]:
    return {
        "id": change.id,
        "kind": change.kind,
        "key": change.key,
        "begun_at": change.begun_at.isoformat(),
        "arrivals": [asdict(arrival) for arrival in change.arrivals],
        "departures": [asdict(departure) for departure in change.departures],
        "before": records.to_json(change.before) if change.before else None,
        "after": records.to_json(change.after) if change.after else None,
        "reason": change.reason,
    }


def from_json(fields: Mapping[str, Any]) -> Change:
    """The inverse of `to_json`. Raises ValueError, KeyError or TypeError."""
    return Change(
        id=fields["id"],
        kind=fields["kind"],
        key=fields["key"],
        begun_at=datetime.fromisoformat(fields["begun_at"]),
        arrivals=tuple(Arrival(**each) for each in fields["arrivals"]),
        departures=tuple(Departure(**{**each, "stamp": Stamp(**each["stamp"])}) for each in fields["departures"]),
        before=records.from_json(fields["before"]) if fields["before"] else None,
        after=records.from_json(fields["after"]) if fields["after"] else None,
        reason=fields["reason"],
    )
