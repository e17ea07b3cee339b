"""What is known of a recording that was archived, beside what lies in the library: a JSON file for each.

They lie in the library's own state directory, so that the library tells its whole history wherever it is mounted, with
Dagster or without. A record that cannot be read stops everything for its recording, and only for that.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from audio_compressor.archive.layout import Layout
from audio_compressor.errors import AudioCompressorError, LibraryError
from audio_compressor.local_files import local_errors, sync_directory, write_atomically

Place = Literal["library", "cold"]

_VERSION = 1


@dataclass(frozen=True)
class Original:
    """The file as it was recorded. ``path`` is below the root, and the recording's key."""

    path: str
    size_bytes: int
    sha256: str
    duration_seconds: float
    codec: str
    modified_at: datetime


@dataclass(frozen=True)
class Copy:
    """What stands for the original now: a file at ``path`` below the root or, where ``place`` is ``cold``, an object.

    ``bitrate_kbps`` is what its tier asked for, ``made_from`` the SHA-256 of what it was encoded from.
    """

    place: Place
    path: str
    size_bytes: int
    sha256: str
    codec: str
    bitrate_kbps: float
    made_from: str
    made_at: datetime
    tier: str
    uri: str = ""
    storage_class: str = ""


@dataclass(frozen=True)
class Refusal:
    """An action that led to nothing, and would again: of the file of this size and time."""

    action: str
    reason: str
    size_bytes: int
    modified_ns: int
    at: datetime


@dataclass(frozen=True)
class Record:
    """``copy`` is None while there is only the original, or nothing any more (``deleted_at``).

    ``original_is_kept``: the original lies beside the copy, since the policy deletes none. ``has_document``: a JSON
    spoke of it when it was archived, by which it may be on hold.
    """

    key: str
    recorded_at: datetime
    dated_by: str
    original: Original | None = None
    copy: Copy | None = None
    original_is_kept: bool = False
    has_document: bool = False
    deleted_at: datetime | None = None
    refusals: tuple[Refusal, ...] = ()

    def with_refusal(self, refusal: Refusal) -> "Record":
        others = tuple(each for each in self.refusals if each.action != refusal.action)
        return replace(self, refusals=(*others, refusal))


_RECORD = TypeAdapter(Record)


class Records:
    """Of one library."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def read(self, key: str) -> Record | None:
        """
        Raises:
            LibraryError: there is one, but it cannot be understood.
            AudioCompressorError: it cannot be read.
        """
        return self._read(key, self._layout.record_path(key))

    def read_all(self) -> tuple[dict[str, Record], dict[str, str]]:
        """All by key; and of each that cannot be read, why, by the key that its file is named after."""
        records: dict[str, Record] = {}
        problems: dict[str, str] = {}
        with local_errors(self._layout.state):
            paths = list(self._layout.record_paths())
        for key, path in paths:
            try:
                record = self._read(key, path)
            except AudioCompressorError as error:
                problems[key] = str(error)
            else:
                if record is not None:
                    records[record.key] = record
        return records, problems

    def write(self, record: Record) -> None:
        """Raises AudioCompressorError; an earlier record is still there then."""
        path = self._layout.record_path(record.key)
        with local_errors(path):
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True, exist_ok=True)
                sync_directory(path.parent.parent)
        write_atomically(path, json.dumps({"version": _VERSION, **to_json(record)}, indent=1) + "\n")

    def remove(self, key: str) -> None:
        path = self._layout.record_path(key)
        with local_errors(path):
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                sync_directory(path.parent)

    def _read(self, key: str, path: Path) -> Record | None:
        if path.is_symlink():  # one that leads nowhere would be none at all
            raise LibraryError(f"{path} is a symbolic link; put the record itself there")
        with local_errors(path):
            try:
                text = path.read_bytes()
            except FileNotFoundError:
                return None
        try:
            found = json.loads(text)
            if found["version"] != _VERSION:
                raise ValueError(f"its version is {found['version']!r}, not {_VERSION}")
            record = from_json({name: value for name, value in found.items() if name != "version"})
            if record.key != key:
                raise ValueError(f"it is that of {record.key}")
        except (ValueError, KeyError, TypeError, RecursionError, AttributeError) as error:
            raise LibraryError(
                f"{path} is no record of a recording ({type(error).__name__}: {error}). Put it back from a backup, or "
                "remove it if the recording it is named after lies in the library as it was recorded"
            ) from error
        return record


def to_json(record: Record) -> dict[str, Any]:
    """As it is written; times in ISO 8601."""
    written: dict[str, Any] = _times_as_text(asdict(record))
    return written


def from_json(written: Mapping[str, Any]) -> Record:
    """The inverse of `to_json`. Raises ValueError or TypeError for all that it does not write."""
    _require_fields(Record, written)
    if written["original"] is not None:
        _require_fields(Original, written["original"])
    if written["copy"] is not None:
        _require_fields(Copy, written["copy"])
    for refusal in written["refusals"]:
        _require_fields(Refusal, refusal)
    try:
        _RECORD.validate_json(json.dumps(written, allow_nan=False), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    original, copy = written["original"], written["copy"]
    return Record(
        key=written["key"],
        recorded_at=_time(written["recorded_at"]),
        dated_by=written["dated_by"],
        original=Original(**{**original, "modified_at": _time(original["modified_at"])}) if original else None,
        copy=Copy(**{**copy, "made_at": _time(copy["made_at"])}) if copy else None,
        original_is_kept=written["original_is_kept"],
        has_document=written["has_document"],
        deleted_at=_time(written["deleted_at"]) if written["deleted_at"] else None,
        refusals=tuple(Refusal(**{**each, "at": _time(each["at"])}) for each in written["refusals"]),
    )


def _require_fields(kind: type[Record | Original | Copy | Refusal], written: object) -> None:
    """One that is not there would be taken for what it is by default."""
    if not isinstance(written, Mapping):
        raise TypeError(f"its {kind.__name__.lower()} is no object")
    if {field.name for field in fields(kind)} != written.keys():
        raise ValueError(f"a field of its {kind.__name__.lower()} is missing, or unknown")


def _times_as_text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, dict):
        return {name: _times_as_text(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_times_as_text(each) for each in value]
    return value


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return time
