"""What happens to a recording that its documents have to tell, and the words in which they do.

The fields are those of the application that keeps the library (``compressed``, ``original_size`` and so on), and one
of ours, ``archive``. It remembers what other fields held before, so that every change can be taken back exactly.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeGuard

from audio_compressor.archive.documents.reading import Fields

ARCHIVE = "archive"
SIZE_FIELDS = ("size", "size_bytes", "file_size")

_MAKER = "audio-compressor"
# What ``archive`` holds besides the details of a change: whose it is, and what has to be remembered to take it back.
_BOOKKEEPING = frozenset({"by", "file", "before", "added", "deletion", "totals", "chunks"})


@dataclass(frozen=True)
class CopyChange:
    """One file takes another's place. Names are paths from the library's root, in the same directory.

    ``details`` goes into ``archive`` (tier, location, sha256, source_sha256, made_from, bitrate_kbps; in cold storage
    uri and storage_class) and is JSON. Cold storage of a file as it is has one name and one size, twice.
    """

    old_name: str
    new_name: str
    original_bytes: int
    copy_bytes: int
    changed_at: datetime
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_of_same_file(self) -> bool:
        """Whether only the place changes."""
        return self.old_name == self.new_name and self.original_bytes == self.copy_bytes


def iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_size(value: object) -> TypeGuard[int]:
    """Whole bytes; a fraction is in another unit, and ``true`` is no number."""
    return type(value) is int and value >= 0


def told_copy_bytes(holder: Fields) -> int | None:
    """The size of the copy that an object tells of, or None."""
    size_bytes = holder.get("compressed_size")
    return size_bytes if holder.get("compressed") is True and is_size(size_bytes) else None


def copy_facts(holder: Fields, change: CopyChange) -> Fields:
    """The application's fields on a copy; a copy of a copy keeps the size of the first original."""
    earlier_bytes = holder.get("original_size") if told_copy_bytes(holder) is not None else None
    original_bytes = earlier_bytes if is_size(earlier_bytes) and earlier_bytes else change.original_bytes
    return facts(original_bytes, change.copy_bytes, iso(change.changed_at))


def facts(original_bytes: int, copy_bytes: int, changed_at: str) -> Fields:
    return {
        "compressed": True,
        "original_size": original_bytes,
        "compressed_size": copy_bytes,
        "compression_date": changed_at,
        "compression_ratio": copy_bytes / original_bytes if original_bytes else 1.0,
    }


def ours(holder: Fields) -> Fields | None:
    """The ``archive`` of an object if it is ours, as the name may be anybody's."""
    archive = holder.get(ARCHIVE)
    if not isinstance(archive, dict) or archive.get("by") != _MAKER:
        return None
    memories = [archive, archive.get("deletion", {})]
    is_sound = all(
        isinstance(memory, dict)
        and isinstance(memory.get("before", {}), dict)
        and isinstance(memory.get("added", []), list)
        for memory in memories
    ) and isinstance(archive.get("totals", {}), dict)
    return archive if is_sound else None


def details_of(archive: Fields) -> Fields:
    return {name: value for name, value in archive.items() if name not in _BOOKKEEPING}


def made(details: Mapping[str, Any], **bookkeeping: Any) -> Fields:
    """An ``archive`` of ours; what is empty is left out."""
    kept = {name: value for name, value in bookkeeping.items() if value}
    return {"by": _MAKER, **{name: value for name, value in details.items() if name not in _BOOKKEEPING}, **kept}


def remembered(holder: Fields, fields: Iterable[str], memory: Fields) -> Fields:
    """The memory with what these fields hold now, unless it already knows what they held before us."""
    before, added = dict(memory.get("before", {})), list(memory.get("added", []))
    for name in fields:
        if name not in before and name not in added:
            if name in holder:
                before[name] = holder[name]
            else:
                added.append(name)
    return {"before": before, "added": added}


def undone(holder: Fields, memory: Fields) -> Fields:
    """The object with what it held before."""
    added = memory.get("added", [])
    kept = {name: value for name, value in holder.items() if name not in added}
    return {**kept, **memory.get("before", {})}


def deleted(holder: Fields, at: datetime) -> Fields:
    """The object of a file that was deleted."""
    written = {"deleted": True, "deleted_at": iso(at)}
    archive = ours(holder)
    earlier = archive.get("deletion", {}) if archive else {}
    memory = remembered(holder, written if archive else [*written, ARCHIVE], earlier)
    return {**holder, **written, ARCHIVE: {**(archive or made({})), "deletion": memory}}


def undeleted(holder: Fields) -> Fields:
    """`deleted` taken back."""
    archive = ours(holder)
    if archive is None or "deletion" not in archive:
        return holder
    kept = {**holder, ARCHIVE: {name: value for name, value in archive.items() if name != "deletion"}}
    return undone(kept, archive["deletion"])
