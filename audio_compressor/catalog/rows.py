"""What comes out of the catalogue's tables, and how texts are made to fit their columns."""

from dataclasses import dataclass
from datetime import datetime

_CUT = " [...]"


@dataclass(frozen=True)
class Upload:
    """A row of the table; ``file_name`` is from outside, and may be anything."""

    upload_id: str
    file_name: str


@dataclass(frozen=True)
class Claim:
    """An upload that one of our runs works on; times are by the database's clock.

    ``silent_seconds``: since its holder was last heard of.
    """

    upload_id: str
    file_name: str
    track_key: str
    claimed_by: str
    claimed_at: datetime
    silent_seconds: int


def cut(text: str, characters: int) -> str:
    """The text, or as much of its beginning as there is room for, and a mark that it was cut."""
    if len(text) <= characters:
        return text
    return text[: characters - len(_CUT)] + _CUT if characters > 2 * len(_CUT) else text[:characters]


def as_text(value: object) -> str:
    """What a column holds, whatever type another program gave it."""
    if value is None:
        return ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
