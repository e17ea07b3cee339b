"""The trash of a library: what was removed lies in it for TRASH_DAYS, each with a note of what it is.

    trash/ID/talk.webm               under the name that it had
    trash/ID/talk.webm.about.json    whose it is, where it lay, and what was known of it before

A note without its file is what an interrupted change left, or what was brought back; it is swept away later.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from audio_compressor.archive import records
from audio_compressor.archive.change import Change, Departure
from audio_compressor.archive.files import stamp_of
from audio_compressor.archive.layout import STATE_NAME, Layout
from audio_compressor.archive.records import Record
from audio_compressor.errors import AudioCompressorError, LibraryError
from audio_compressor.local_files import local_errors, sync_directory, write_atomically

ABOUT_NAME = "about.json"
_TRASH = f"{STATE_NAME}/trash"


@dataclass(frozen=True)
class TrashEntry:
    """One file in the trash. ``path`` is where it lay, ``trash`` where it lies; ``before`` is what was known of its
    recording when it was removed.
    """

    id: str
    key: str
    path: str
    trash: str
    size_bytes: int
    sha256: str
    is_original: bool
    removed_at: datetime
    reason: str
    before: Record | None


def trash_path(change_id: str, path: str) -> str:
    """Where a file goes, below the root. A change removes at most one file of each name."""
    return f"{_TRASH}/{change_id}/{PurePosixPath(path).name}"


def entry_of(change: Change, departure: Departure, now: datetime) -> TrashEntry:
    return TrashEntry(
        id=change.id,
        key=change.key,
        path=departure.path,
        trash=departure.trash,
        size_bytes=departure.stamp.size_bytes,
        sha256=departure.sha256,
        is_original=departure.is_original,
        removed_at=max(change.begun_at, now),
        reason=change.reason,
        before=change.before,
    )


def write_entry(layout: Layout, entry: TrashEntry) -> None:
    """Make its place and its note; the file comes afterwards."""
    about = _about_path(layout, entry.trash)
    with local_errors(about):
        about.parent.mkdir(mode=0o700, exist_ok=True)
        sync_directory(layout.trash)
    write_atomically(about, json.dumps(_to_json(entry), indent=1) + "\n")


def forget_entry(layout: Layout, trash: str) -> None:
    """Remove the note of a file that is gone from the trash, and its place."""
    if stamp_of(layout.inside(trash)) is not None:
        raise LibraryError(f"{trash} is in the trash; its note is kept")
    about = _about_path(layout, trash)
    with local_errors(about):
        about.unlink(missing_ok=True)
        if about.parent.is_dir() and not any(about.parent.iterdir()):
            about.parent.rmdir()


def read_trash(layout: Layout) -> tuple[list[TrashEntry], list[str]]:
    """What lies in the trash, the oldest first; and sentences about what cannot be understood in it."""
    entries: list[TrashEntry] = []
    problems: list[str] = []
    with local_errors(layout.trash):
        abouts = sorted(layout.trash.glob(f"*/*.{ABOUT_NAME}")) if layout.trash.is_dir() else []
    for about in abouts:
        if about.name.startswith("."):
            continue
        try:
            with local_errors(about):
                entry = _from_json(json.loads(about.read_bytes()))
            if entry.trash != layout.relative(about).removesuffix(f".{ABOUT_NAME}") or entry.removed_at.tzinfo is None:
                raise ValueError("it is about a file elsewhere, or tells no time")
        except (ValueError, KeyError, TypeError, RecursionError, AudioCompressorError) as error:
            problems.append(f"{about} is no note about a removed file ({error}); what lies beside it is kept")
            continue
        if stamp_of(layout.inside(entry.trash)) is not None:
            entries.append(entry)
    return sorted(entries, key=lambda entry: (entry.removed_at, entry.trash)), problems


def sweep_notes(layout: Layout) -> None:
    """Remove the notes of files that are not in the trash, and of no change that goes on."""
    with local_errors(layout.trash):
        for place in layout.trash.iterdir():
            if (layout.journal / f"{place.name}.json").exists():
                continue
            for about in place.glob(f"*.{ABOUT_NAME}"):
                if not about.with_name(about.name.removesuffix(f".{ABOUT_NAME}")).exists():
                    about.unlink(missing_ok=True)
            with suppress(OSError):  # not empty
                place.rmdir()


def _about_path(layout: Layout, trash: str) -> Path:
    path = layout.inside(trash)
    return path.with_name(f"{path.name}.{ABOUT_NAME}")


def _to_json(entry: TrashEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "key": entry.key,
        "path": entry.path,
        "trash": entry.trash,
        "size_bytes": entry.size_bytes,
        "sha256": entry.sha256,
        "is_original": entry.is_original,
        "removed_at": entry.removed_at.astimezone(UTC).isoformat(),
        "reason": entry.reason,
        "before": records.to_json(entry.before) if entry.before else None,
    }


def _from_json(fields: Mapping[str, Any]) -> TrashEntry:
    before = fields["before"]
    return TrashEntry(
        **{
            **fields,
            "removed_at": datetime.fromisoformat(fields["removed_at"]),
            "before": records.from_json(before) if before else None,
        }
    )
