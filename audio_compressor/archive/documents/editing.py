"""Changes to the JSON beside recordings, when one of its files is archived, deleted or brought back. All are pure.

What is said of a file stands in the object of its chunk, and the top level holds the sums over the chunks that are
archived so far; for a document without a chunk that names the file, in the top level. Nothing else is touched, and
taking a change back gives the document as it was, with its fields in the same order.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from audio_compressor.archive.documents.changes import (
    ARCHIVE,
    SIZE_FIELDS,
    CopyChange,
    copy_facts,
    deleted,
    details_of,
    facts,
    is_size,
    made,
    ours,
    remembered,
    told_copy_bytes,
    undeleted,
    undone,
)
from audio_compressor.archive.documents.names import directory_of, last_part, name_in, renamed
from audio_compressor.archive.documents.reading import Fields

# Where an object may name its file, besides a chunk's ``file``. Titles and the like may read the same and are left.
_NAME_FIELDS = ("file", "filename", "file_name", "file_path", "path", "audio_file")


def with_copy(document: Fields, change: CopyChange) -> Fields:
    """The document once a file has taken another's place; the same again when it already says so."""
    position = _position(document, change.old_name)
    if position is None:
        position = _position(document, change.new_name)
    if position is None:
        return _with_sums(_of_its_own(_copied(_without_sums(document), change), change.new_name))
    chunk = document["chunks"][position]
    copied = _copied(chunk, change)
    document = _without_sums(document)
    totals = dict((ours(chunk) or {}).get("totals", {}))
    for name, difference_bytes in _total_differences(document, position, change).items():
        totals[name] = totals.get(name, 0) + difference_bytes
        document = {**document, name: document[name] + difference_bytes}
    if totals:
        copied[ARCHIVE] = {**copied[ARCHIVE], "totals": totals}
    return _with_sums(_with_chunk(document, position, copied))


def without_copy(document: Fields, name: str) -> Fields:
    """The document with the first original of a file in its place again; ``name`` is the path of what it has now."""
    position = _position(document, name, only_ours=True)
    if position is not None:
        chunk = document["chunks"][position]
        archive = chunk[ARCHIVE]
        document = _without_sums(document)
        for total, difference_bytes in archive.get("totals", {}).items():
            if is_size(document.get(total)) and is_size(document[total] - difference_bytes):
                document = {**document, total: document[total] - difference_bytes}
        return _with_sums(_with_chunk(document, position, undone(undeleted(chunk), archive)))
    if not _is_of_its_own(document, name):
        return document
    return _with_sums(undone(undeleted(document), document[ARCHIVE]))


def with_deletion(document: Fields, name: str, deleted_at: datetime) -> Fields:
    """The document once a file and its last copy were deleted; with chunks, the top level says so when all are."""
    position = _position(document, name)
    if position is None:
        return _with_sums(_of_its_own(deleted(_without_sums(document), deleted_at), name))
    chunk = deleted(document["chunks"][position], deleted_at)
    return _with_sums(_with_chunk(_without_sums(document), position, chunk))


def without_deletion(document: Fields, name: str) -> Fields:
    """The document with a deleted file again; what else happened to it stays."""
    position = _position(document, name)
    if position is None:
        return _with_sums(undeleted(document)) if _is_of_its_own(document, name) else document
    chunk = undeleted(document["chunks"][position])
    return _with_sums(_with_chunk(_without_sums(document), position, chunk))


def archived_as(document: Fields, name: str) -> Mapping[str, Any] | None:
    """The details of the last change to a file, or None when nothing happened to it."""
    position = _position(document, name)
    if position is None:
        return details_of(document[ARCHIVE]) if _is_of_its_own(document, name) else None
    archive = ours(document["chunks"][position])
    return None if archive is None else details_of(archive)


def is_gone_by_plan(chunk: Fields) -> bool:
    """Whether a file that is not there is in cold storage, or was deleted by a rule."""
    archive = ours(chunk)
    return archive is not None and (archive.get("location") == "s3" or "deletion" in archive)


def _of_its_own(document: Fields, path: str) -> Fields:
    """The document with a note of which file its top level speaks of."""
    return {**document, ARCHIVE: {"file": last_part(path), **document[ARCHIVE]}}


def _is_of_its_own(document: Fields, path: str) -> bool:
    archive = ours(document)
    return archive is not None and archive.get("file") == last_part(path)


def _position(document: Fields, path: str, *, only_ours: bool = False) -> int | None:
    """Where in the chunks the one stands that names a file; one that we changed before any other."""
    chunks = document.get("chunks")
    found = [
        position
        for position, chunk in enumerate(chunks if isinstance(chunks, list) else ())
        if isinstance(chunk, dict) and isinstance(chunk.get("file"), str) and _names(chunk["file"], path)
    ]
    changed = [position for position in found if ours(document["chunks"][position]) is not None]
    return next(iter(changed if only_ours else changed + found), None)


def _names(reference: str, path: str) -> bool:
    return name_in(reference, directory_of(path)) == last_part(path)


def _with_chunk(document: Fields, position: int, chunk: Fields) -> Fields:
    chunks = list(document["chunks"])
    chunks[position] = chunk
    return {**document, "chunks": chunks}


def _copied(holder: Fields, change: CopyChange) -> Fields:
    written: Fields = {
        name: renamed(holder[name], change.new_name)
        for name in _NAME_FIELDS
        if isinstance(holder.get(name), str) and _names(holder[name], change.old_name)
    }
    if not change.is_of_same_file:
        written |= {name: change.copy_bytes for name in SIZE_FIELDS if is_size(holder.get(name))}
        written |= copy_facts(holder, change)
    memory = remembered(holder, [*written, ARCHIVE], ours(holder) or {})
    return {**holder, **written, ARCHIVE: made(change.details, **memory)}


def _total_differences(document: Fields, position: int, change: CopyChange) -> dict[str, int]:
    """By how many bytes the sizes at the top level change. They are sums of the chunks' or they are left alone."""
    chunks = [chunk for chunk in document["chunks"] if isinstance(chunk, dict) and isinstance(chunk.get("file"), str)]
    chunk = document["chunks"][position]
    if change.is_of_same_file:
        return {}
    sizes = [_size_of(each) for each in chunks]
    size_bytes = _size_of(chunk)
    differences: dict[str, int] = {}
    for name in (name for name in SIZE_FIELDS if is_size(document.get(name))):
        if len(chunks) == 1:
            difference_bytes = change.copy_bytes - document[name]
        elif size_bytes is None:  # nothing to compare the sum with
            earlier_bytes = told_copy_bytes(chunk)
            difference_bytes = change.copy_bytes - (change.original_bytes if earlier_bytes is None else earlier_bytes)
        elif sum(size or 0 for size in sizes) == document[name]:
            difference_bytes = change.copy_bytes - size_bytes
        else:
            continue
        if difference_bytes and is_size(document[name] + difference_bytes):
            differences[name] = difference_bytes
    return differences


def _size_of(chunk: Fields) -> int | None:
    return next((chunk[name] for name in SIZE_FIELDS if is_size(chunk.get(name))), None)


def _without_sums(document: Fields) -> Fields:
    archive = ours(document)
    return undone(document, archive) if archive is not None and "chunks" in archive else document


def _with_sums(document: Fields) -> Fields:
    """The document, with what its chunks say together in the top level, unless that speaks of a file of its own."""
    document = _without_sums(document)
    listed = document.get("chunks")
    chunks = [chunk for chunk in listed if isinstance(chunk, dict)] if isinstance(listed, list) else []
    changed = [chunk for chunk in chunks if ours(chunk) is not None]
    if not changed or ours(document) is not None:
        return document
    written = _names_in_top(document, changed) | _sums(changed) | _deletion_of_all(chunks)
    memory = remembered(document, [*written, ARCHIVE], {})
    details = details_of(changed[0][ARCHIVE]) if len(chunks) == 1 else {}
    return {**document, **written, ARCHIVE: made(details, chunks=len(changed), **memory)}


def _names_in_top(document: Fields, changed: Iterable[Fields]) -> Fields:
    return {
        name: renamed(document[name], chunk["file"])
        for chunk in changed
        for name in _NAME_FIELDS
        if isinstance(document.get(name), str)
        and isinstance(was := chunk[ARCHIVE].get("before", {}).get("file"), str)
        and last_part(was) == last_part(document[name])
    }


def _sums(changed: Iterable[Fields]) -> Fields:
    copied = [chunk for chunk in changed if told_copy_bytes(chunk) is not None and is_size(chunk.get("original_size"))]
    if not copied:
        return {}
    return facts(
        sum(chunk["original_size"] for chunk in copied),
        sum(chunk["compressed_size"] for chunk in copied),
        max(str(chunk.get("compression_date", "")) for chunk in copied),
    )


def _deletion_of_all(chunks: Iterable[Fields]) -> Fields:
    files = [chunk for chunk in chunks if isinstance(chunk.get("file"), str)]
    if not files or not all("deletion" in (ours(chunk) or {}) for chunk in files):
        return {}
    return {"deleted": True, "deleted_at": max(str(chunk.get("deleted_at", "")) for chunk in files)}
