"""A recording of a library as a look at it found it, and a hold: what a plan is made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from audio_compressor.archive.matching import Matcher
from audio_compressor.archive.records import Place

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Stamp:
    """By which a file is known again: the same one, and not written to since."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int

    @property
    def modified_at(self) -> datetime:
        """In UTC; the end of the calendar for what is beyond it, as file systems allow."""
        try:
            return _EPOCH + timedelta(microseconds=self.modified_ns // 1000)
        except OverflowError:
            return _FIRST if self.modified_ns < 0 else _LAST


@dataclass(frozen=True)
class Standing:
    """The copy that stands for a recording: the original itself, or what was made of it.

    ``bitrate_kbps`` and ``sha256`` are None for an original. ``stamp`` is None for what lies in cold storage.
    """

    place: Place
    path: str
    size_bytes: int
    modified_at: datetime
    bitrate_kbps: float | None = None
    sha256: str | None = None
    stamp: Stamp | None = None

    @property
    def is_original(self) -> bool:
        return self.bitrate_kbps is None


@dataclass(frozen=True)
class LibraryFile:
    """One recording. ``key`` is the path of its original below the root, and its partition.

    ``trouble`` is why nothing may be done with it. ``refusals`` are the reasons why actions, by their names, led to
    nothing and would again. ``original_stamp`` is there while the original is.
    """

    key: str
    recorded_at: datetime
    dated_by: str
    standing: Standing | None
    fields: Mapping[str, Any] = field(default_factory=dict)
    original_bytes: int = 0
    original_stamp: Stamp | None = None
    duration_seconds: float | None = None
    trouble: str | None = None
    refusals: Mapping[str, str] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """What it takes on the library's disk."""
        kept_bytes = self.original_stamp.size_bytes if self.original_stamp else 0
        if self.standing is None or self.standing.place != "library" or self.standing.is_original:
            return kept_bytes
        return kept_bytes + self.standing.size_bytes


@dataclass(frozen=True)
class Hold:
    """What it matches is touched by nothing, for a reason."""

    id: str
    matcher: Matcher
    reason: str
    placed_at: datetime

    def covers(self, file: LibraryFile) -> bool:
        """By the name it was recorded under, or by that of the copy that people see now."""
        path = file.standing.path if file.standing else file.key
        return any(self.matcher.matches(each, file.fields, loosely=True) for each in {file.key, path})

    def may_cover(self, *paths: str) -> bool:
        """Whether it is about one of these paths, as far as can be told without the document."""
        by_path = Matcher(self.matcher.paths)
        return any(by_path.matches(path, {}) for path in paths)

    def __str__(self) -> str:
        return f"hold {self.id} ({self.reason})" if self.reason else f"hold {self.id}"
