"""Rows of the storage table: the files of recordings in the library, and staged audio. Those of results are made in
storage_results.py.

Pure: what lies there was looked at before. Beside the files it gives what has lost its other half, as it looks now.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime

from audio_compressor.archive.orphans import Orphan
from audio_compressor.archive.survey import Survey
from audio_compressor.archive.trash import TrashEntry
from audio_compressor.reporting.storage import Piece
from audio_compressor.retention.inventory import Item
from audio_compressor.texts import visible

AS_RECORDED = "as recorded"
IN_TRASH = "in the trash"
NO_RECORD = "without a record"
UNFINISHED = "being written"


def library_pieces(survey: Survey, trash: Iterable[TrashEntry]) -> Iterator[Piece]:
    """Of a recording whose file is missing there is none: nothing was saved by losing it."""
    for file in survey.files:
        if file.standing is None:
            continue
        key, when = visible(file.key), month(file.recorded_at)
        original = file.original_stamp
        if original:
            yield Piece("library", key, when, AS_RECORDED, "library", original.size_bytes, original.size_bytes)
        if not file.standing.is_original:
            record = survey.records.get(file.key)
            tier = visible(record.copy.tier) if record and record.copy else ""
            original_bytes = 0 if original else file.original_bytes or None
            place, size_bytes = file.standing.place, file.standing.size_bytes
            yield Piece("library", key, when, tier or NO_RECORD, place, original_bytes, size_bytes, is_compressed=True)
    for tier, files in ((NO_RECORD, survey.strangers), (UNFINISHED, survey.parts)):
        for found in files:
            when = month(found.modified_at)
            yield Piece("library", visible(found.path), when, tier, "library", None, found.size_bytes)
    for entry in trash:
        record = survey.records.get(entry.key) or entry.before
        when = month(record.recorded_at if record else entry.removed_at)
        is_copy = not entry.is_original
        yield Piece("library", visible(entry.key), when, IN_TRASH, "trash", 0, entry.size_bytes, is_copy)


def library_orphans(survey: Survey) -> Iterator[Orphan]:
    """Originals need no record: they get one when they are archived."""
    for found in survey.strangers:
        yield Orphan("library", "file without a record", visible(found.path))
    for key in survey.missing:
        yield Orphan("library", "record without a file", visible(key))


def staged_pieces(items: Iterable[Item]) -> Iterator[Piece]:
    """Audio that is kept only for processing: nothing is saved there."""
    for item in items:
        at = item.state.created_at if item.state else item.modified_at
        tier = item.state.status if item.state else UNFINISHED if item.kind == "part" else NO_RECORD
        yield Piece("staged", visible(item.name), month(at), tier, "local", None, item.size_bytes)


def month(day: date | datetime) -> str:
    """As it is in the table; of a time, the month in UTC."""
    return f"{day.astimezone(UTC) if isinstance(day, datetime) else day:%Y-%m}"
