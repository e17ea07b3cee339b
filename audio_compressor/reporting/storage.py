"""What storage holds, as a table with one row for each stored file, and the figures of it or of a part of it.

Bytes here, so that sums are exact; what people read is made of them elsewhere (storage_markdown.py, storage_json.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import pandas as pd

Collection = Literal["library", "results", "staged"]
Dimension = Literal["collection", "tier", "month", "location"]

_TYPES = {
    "collection": "string",
    "key": "string",
    "month": "string",
    "tier": "string",
    "location": "string",
    "original_bytes": "Int64",
    "bytes": "int64",
    "is_compressed": "bool",
}


@dataclass(frozen=True)
class Piece:
    """One stored file. ``month`` is the recording's, as ``2025-10``. ``location`` is ``library``, ``trash`` or
    ``cold``, and of results and staged audio the storage they are in.

    ``original_bytes`` is the size of what was recorded, None where nobody knows it. Where several files are kept of one
    recording, one of them has it and the others have 0. ``is_compressed``: a copy that we made.
    """

    collection: Collection
    key: str
    month: str
    tier: str
    location: str
    original_bytes: int | None
    bytes: int
    is_compressed: bool = False


@dataclass(frozen=True)
class Figures:
    """``saved_bytes`` and ``ratio`` (original over what it takes now) are of the files whose original size is known;
    ``total_bytes`` is of all files, ``compressed_bytes`` of the copies among them.
    """

    files: int
    total_bytes: int
    original_bytes: int
    compressed_bytes: int
    saved_bytes: int
    ratio: float | None


def table(pieces: Iterable[Piece]) -> pd.DataFrame:
    """The columns are the fields of `Piece`; the order is by collection and key."""
    rows = sorted((asdict(piece) for piece in pieces), key=lambda row: (row["collection"], row["key"], row["location"]))
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in _TYPES.items()})


def figures(frame: pd.DataFrame) -> Figures:
    """Of the whole table, or of some of its rows."""
    known = frame[frame["original_bytes"].notna()]
    original_bytes, known_bytes = int(known["original_bytes"].sum()), int(known["bytes"].sum())
    return Figures(
        files=len(frame),
        total_bytes=int(frame["bytes"].sum()),
        original_bytes=original_bytes,
        compressed_bytes=int(frame.loc[frame["is_compressed"], "bytes"].sum()),
        saved_bytes=original_bytes - known_bytes,
        ratio=original_bytes / known_bytes if original_bytes and known_bytes else None,
    )


def figures_by(frame: pd.DataFrame, dimension: Dimension) -> Mapping[str, Figures]:
    """Months in their order, everything else the largest first."""
    found = {str(name): figures(rows) for name, rows in frame.groupby(dimension, sort=True)}
    if dimension == "month":
        return found
    return dict(sorted(found.items(), key=lambda item: (-item[1].total_bytes, item[0])))
