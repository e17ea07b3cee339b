"""What has lost its other half: a file that nobody has a record of, and a record whose file is gone.

While something is published or archived, one of the two is there before the other. So nothing is said of what one look
has found: it is told when every look since another one, at least an hour earlier, has found it too.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Kind = Literal["file without a record", "record without a file"]

LEAST_BETWEEN_LOOKS = timedelta(hours=1)


@dataclass(frozen=True, order=True)
class Orphan:
    """``name`` is harmless text: what is seen of a path or key."""

    collection: str
    kind: Kind
    name: str


@dataclass(frozen=True)
class Judged:
    """``confirmed`` are to be told, in order. ``suspects`` are to be remembered for the next look: since when each was
    found by every look.
    """

    confirmed: tuple[Orphan, ...]
    suspects: Mapping[Orphan, datetime]


def judge(
    now: datetime, found: Iterable[Orphan], suspects: Mapping[Orphan, datetime], looked_at: Collection[str]
) -> Judged:
    """What two looks agree on. ``suspects`` are what the look before this one remembered.

    ``looked_at`` names the collections that were looked at now: of the others nothing is told, and nothing forgotten.
    """
    unseen = {orphan: since for orphan, since in suspects.items() if orphan.collection not in looked_at}
    seen = {orphan: min(suspects.get(orphan, now), now) for orphan in sorted(found) if orphan.collection in looked_at}
    confirmed = tuple(orphan for orphan, since in seen.items() if now - since >= LEAST_BETWEEN_LOOKS)
    return Judged(confirmed, {**unseen, **seen})
