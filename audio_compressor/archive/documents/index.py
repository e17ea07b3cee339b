"""Changes to a library's master index, of which nothing is known but that it is JSON and names files in its objects.

An entry is any object with a field that names the file by its whole path, or by its bare name where that can mean no
other file. It gets the new name and, if it carries sizes, the new size. Totals that were the sum of entries' sizes
stay that.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from audio_compressor.archive.documents.changes import (
    ARCHIVE,
    SIZE_FIELDS,
    CopyChange,
    copy_facts,
    deleted,
    is_size,
    made,
    ours,
    told_copy_bytes,
    undeleted,
)
from audio_compressor.archive.documents.names import (
    APPLICATION_DIRECTORY,
    directory_of,
    is_full_path,
    last_part,
    parts_of,
    renamed,
    shown,
)
from audio_compressor.archive.documents.reading import Fields

_TOTAL_FIELDS = ("total_size", "total_size_bytes", "total_bytes", *SIZE_FIELDS)
_FACTS = ("compressed", "original_size", "compressed_size")
# Fields that may read like a file's name and are not where the file is looked for: texts, and what is written here.
_TEXT_FIELDS = frozenset({"title", "description", "text", "transcript", "original_name", "original_filename"})
_NO_NAMES = _TEXT_FIELDS | {*_FACTS, ARCHIVE, "deleted", "deleted_at"}
# Far above any path; longer texts are what was said in a recording.
_MAX_NAME_CHARACTERS = 1_024


class IndexEditor:
    """Applies any number of changes to one parsed index, in place; the tree is read through once.

    Args:
        root: what `read_index` gave.
        library_files: the paths of all recordings that the library holds or held, as far as they are known: a bare name
            that two of them share is ambiguous.
    """

    def __init__(self, root: Fields | list[Any], library_files: Iterable[str]) -> None:
        self.root = root
        self.remarks: list[str] = []
        """Sentences on what was left as it is."""
        # By what names them, then by the object's id, as all of them live as long as the tree; with their place in it.
        self._named: dict[str, dict[int, tuple[int, Fields]]] = {}
        # By the object's id and its field of a size.
        self._totals_of: dict[tuple[int, str], list[tuple[Fields, str]]] = {}
        # Recordings named by their whole path, without the suffix; and the directories that hold one of a name.
        self._named_in_full: set[str] = set()
        self._places: dict[str, set[str]] = {}
        for path in library_files:
            self._places.setdefault(_stem(last_part(path)), set()).add(directory_of(path))
        for order, entry in enumerate(_objects(root)):
            for field in entry:
                self._note_name(order, entry, field)
            self._note_totals(entry)

    def apply(self, change: CopyChange) -> bool:
        """Put a copy in a file's place. Whether anything had to be changed."""
        changed = False
        for order, entry in self._entries(change.old_name):
            changed |= self._rename(order, entry, change.old_name, change.new_name)
            changed |= not change.is_of_same_file and self._set_copy(entry, change)
        return changed

    def revert(self, change: CopyChange) -> bool:
        """Put the first original back in the place of a copy. Whether anything had to be changed."""
        changed = False
        for order, entry in self._entries(change.new_name):
            changed |= self._rename(order, entry, change.new_name, change.old_name)
            changed |= not change.is_of_same_file and self._take_copy_back(entry)
        return changed

    def mark_deleted(self, path: str, deleted_at: datetime) -> bool:
        """Say that a file was deleted; its sizes stay, as what it had. Whether anything had to be changed."""
        changed = False
        for _, entry in self._entries(path):
            changed |= _replace(entry, deleted(entry, deleted_at))
        return changed

    def unmark_deleted(self, path: str) -> bool:
        """Take `mark_deleted` back. Whether anything had to be changed."""
        changed = False
        for _, entry in self._entries(path):
            changed |= _replace(entry, undeleted(entry))
        return changed

    def _note_name(self, order: int, entry: Fields, field: str) -> None:
        parts = _parts_in(entry, field)
        if parts is not None:
            self._named.setdefault("/".join(parts), {})[id(entry)] = (order, entry)
            if len(parts) > 1:
                stem = _stem("/".join(parts))
                self._named_in_full |= {stem, stem.removeprefix(f"{APPLICATION_DIRECTORY}/")}

    def _note_totals(self, owner: Fields) -> None:
        """Find the sizes of an object that are sums of those in a list, or in an object of objects, beside them."""
        for total in (name for name in _TOTAL_FIELDS if is_size(owner.get(name)) and owner[name] > 0):
            for children in (_children(value) for value in owner.values() if isinstance(value, dict | list)):
                field = _summed_field(children, owner[total])
                if field is not None:
                    for child in children:
                        self._totals_of.setdefault((id(child), field), []).append((owner, total))
                    break

    def _entries(self, path: str) -> list[tuple[int, Fields]]:
        """The objects that name a file, inner ones first: what they change in the sums around them is done then."""
        name = last_part(path)
        found = dict(self._named.get(f"{APPLICATION_DIRECTORY}/{path}", {}))
        bare = self._named.get(name, {})
        if "/" in path:
            found |= self._named.get(path, {})
            if _stem(path) in self._named_in_full:
                bare = {}
        if bare and self._is_ambiguous(path):
            remark = f"The index names {shown(name)} without its directory, and others have that name: it is left so."
            if remark not in self.remarks:
                self.remarks.append(remark)
        elif bare:
            found |= bare
        return sorted(found.values(), key=itemgetter(0), reverse=True)

    def _is_ambiguous(self, path: str) -> bool:
        """Whether the bare name of a file may mean another; for one in the root it is its whole path as well."""
        stem = _stem(last_part(path))
        others = self._places.get(stem, set()) - {directory_of(path)}
        if "/" in path:
            return bool(others)
        return not all(f"{other}/{stem}" in self._named_in_full for other in others)

    def _rename(self, order: int, entry: Fields, old_path: str, new_path: str) -> bool:
        changed = False
        for field in entry:
            parts = _parts_in(entry, field)
            if parts is None or not (is_full_path(parts, old_path) or parts == (last_part(old_path),)):
                continue
            new_name = renamed(entry[field], new_path)
            if new_name != entry[field]:
                self._named.get("/".join(parts), {}).pop(id(entry), None)
                entry[field] = new_name
                self._note_name(order, entry, field)
                changed = True
        return changed

    def _set_copy(self, entry: Fields, change: CopyChange) -> bool:
        sizes = _sizes_of(entry)
        if not sizes:
            return False
        facts = {name: value for name, value in copy_facts(entry, change).items() if name in _FACTS}
        written = facts | dict.fromkeys(sizes, change.copy_bytes)
        if all(name in entry and entry[name] == value for name, value in written.items()):
            return False
        if told_copy_bytes(entry) != entry[sizes[0]]:
            _remember(entry, change.original_bytes)
        for name in sizes:
            self._set_size(entry, name, change.copy_bytes)
        entry |= facts
        return True

    def _take_copy_back(self, entry: Fields) -> bool:
        original_bytes = entry.get("original_size")
        if told_copy_bytes(entry) is None or not is_size(original_bytes):
            return False
        archive = ours(entry) or {}
        before = archive.get("before", {})
        for name in _sizes_of(entry):
            size_bytes = before.get(name)
            self._set_size(entry, name, size_bytes if is_size(size_bytes) else original_bytes)
        rest = {name: value for name, value in archive.items() if name != "before"}
        names = _FACTS if len(rest) > 1 or "before" not in archive else (*_FACTS, ARCHIVE)
        for name in names:
            if name in before:
                entry[name] = before[name]
            else:
                del entry[name]
        if names == _FACTS and "before" in archive:
            entry[ARCHIVE] = rest
        return True

    def _set_size(self, entry: Fields, name: str, size_bytes: int) -> None:
        difference_bytes = size_bytes - entry[name]
        entry[name] = size_bytes
        for owner, total in self._totals_of.get((id(entry), name), ()) if difference_bytes else ():
            if is_size(owner.get(total)):
                self._set_size(owner, total, owner[total] + difference_bytes)


def _remember(entry: Fields, original_bytes: int) -> None:
    """Keep what an entry held and what could not be told from the original's size when the copy is taken back."""
    before = {name: entry[name] for name in _FACTS if name in entry}
    before |= {name: entry[name] for name in _sizes_of(entry) if entry[name] != original_bytes}
    if before:
        archive = ours(entry)
        if archive is None and ARCHIVE in entry:
            before[ARCHIVE] = entry[ARCHIVE]
        entry[ARCHIVE] = {**(archive or made({})), "before": before}


def _replace(entry: Fields, new: Fields) -> bool:
    """Make an object of the tree another, in its place."""
    if entry == new:
        return False
    entry.clear()
    entry.update(new)
    return True


def _objects(root: Any) -> Iterator[Fields]:
    """All objects of the tree, outer ones first."""
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
        children = value.values() if isinstance(value, dict) else value
        waiting.extend(child for child in children if isinstance(child, dict | list))


def _parts_in(entry: Fields, field: str) -> tuple[str, ...] | None:
    """What a field names if it may name a file."""
    value = entry[field]
    if not isinstance(value, str) or field in _NO_NAMES or "." not in value or len(value) > _MAX_NAME_CHARACTERS:
        return None
    return parts_of(value)


def _children(value: Fields | list[Any]) -> Sequence[Fields]:
    return [item for item in (value.values() if isinstance(value, dict) else value) if isinstance(item, dict)]


def _summed_field(children: Sequence[Fields], total_bytes: int) -> str | None:
    """The field of which a total is the sum over the children, or None."""
    for name in SIZE_FIELDS:
        sizes = (child.get(name) for child in children)
        if sum(size for size in sizes if is_size(size)) == total_bytes:
            return name
    return None


def _sizes_of(entry: Fields) -> list[str]:
    return [name for name in SIZE_FIELDS if is_size(entry.get(name))]


def _stem(path: str) -> str:
    """The path without the suffix, which tells a recording from its copy."""
    stem, dot, suffix = path.rpartition(".")
    return stem if dot and "/" not in suffix else path
