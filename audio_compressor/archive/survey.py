"""One look at a library: what lies in it, what its documents and our records say, and what does not fit together."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from audio_compressor.archive import doubts
from audio_compressor.archive.dates import Dated, recorded_at, told_by
from audio_compressor.archive.documents.finding import Survey as Documents
from audio_compressor.archive.documents.finding import find_document, survey_directory
from audio_compressor.archive.documents.reading import Document, Index, Trouble, read_document, read_index
from audio_compressor.archive.layout import Layout, copy_path, is_part, why_unusable_path
from audio_compressor.archive.model import LibraryFile, Stamp, Standing
from audio_compressor.archive.records import Copy, Record, Records
from audio_compressor.archive.walking import Listed, walk
from audio_compressor.archive.webm_date import read_webm_date
from audio_compressor.errors import AudioCompressorError
from audio_compressor.texts import visible

_DOCUMENT = ".json"
# More than a year, in any unit, is no duration of a recording.
_MOST_SECONDS = 366 * 86_400
# What people hear; among it, what nobody has a record of.
_SOUNDS = frozenset({".opus", ".ogg", ".oga", ".m4a", ".mp3", ".wav", ".flac"})


@dataclass(frozen=True)
class Found:
    """A file below the root."""

    path: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True)
class Survey:
    """``strangers`` are sound files of which there is no record, ``missing`` the keys of records without a file;
    ``parts`` are what interrupted runs left or others are making. ``problems`` are sentences for people.
    """

    at: datetime
    files: tuple[LibraryFile, ...]
    records: Mapping[str, Record]
    strangers: tuple[Found, ...]
    missing: tuple[str, ...]
    parts: tuple[Found, ...]
    problems: tuple[str, ...]


def survey(layout: Layout, now: datetime) -> Survey:
    """
    Raises:
        LibraryError: the library cannot be listed.
        AudioCompressorError: our records cannot be read.
    """
    records, unreadable = Records(layout).read_all()
    look = _Look(layout, now, records, unreadable)
    for listed in walk(layout):
        look.into(listed)
    found = look.survey()
    return _all_in_doubt(found, index.reason) if isinstance(index := _index(layout), Trouble) else found


def _index(layout: Layout) -> Index | Trouble | None:
    has_index = layout.collection.has_documents and layout.index_name
    return read_index(layout.root / layout.index_name) if has_index else None


def _all_in_doubt(found: Survey, reason: str) -> Survey:
    """It could not be told what became of any of them."""
    trouble = f"the master index {reason}"
    files = tuple(replace(file, trouble=file.trouble or trouble) for file in found.files)
    return replace(
        found, files=files, problems=(f"{trouble}; nothing is archived until it is put right", *found.problems)
    )


class _Look:
    """Goes through a library, directory by directory."""

    def __init__(
        self, layout: Layout, now: datetime, records: Mapping[str, Record], unreadable: Mapping[str, str]
    ) -> None:
        self._layout = layout
        self._now = now
        self._records = records
        self._unreadable = unreadable
        standing = [record for record in records.values() if record.deleted_at is None]
        self._by_copy = {record.copy.path: record for record in standing if record.copy}
        self._in_cold_storage: defaultdict[str, list[Record]] = defaultdict(list)
        for record in standing:
            if record.copy and record.copy.place == "cold":
                self._in_cold_storage[_directory(record.key)].append(record)
        self._files: dict[str, LibraryFile] = {}
        self._strangers: list[Found] = []
        self._parts: list[Found] = []
        self._problems = [f"{key}: {reason}" for key, reason in unreadable.items()]
        self._unlisted: list[str] = []

    def into(self, listed: Listed) -> None:
        if listed.problem:
            self._unlisted.append(listed.path)
            self._problems.append(f"{visible(listed.path)} cannot be listed: {listed.problem}")
            return
        self._problems += [
            f"{visible(listed.path_of(name))} is a link or no file at all; it is not looked at"
            for name in listed.others
        ]
        self._parts += [_found(listed.path_of(name), stamp) for name, stamp in listed.hidden.items() if is_part(name)]
        documents = self._documents(listed)
        where = f"{visible(listed.path)}: " if listed.path else ""
        self._problems += [f"{where}{problem}" for problem in documents.problems]
        for name, stamp in sorted(listed.files.items()):
            self._look_at(listed, documents, name, stamp)
        for record in self._in_cold_storage.get(listed.path, ()):
            if record.key not in self._files and record.copy:
                document = find_document(documents, PurePosixPath(record.copy.path).name)
                self._files[record.key] = self._without_original(record, document, None)

    def survey(self) -> Survey:
        missing = [
            record
            for key, record in self._records.items()
            if key not in self._files and record.deleted_at is None and record.copy
        ]
        for record in missing:
            self._files[record.key] = self._without_file(record)
        for key, reason in doubts.of_shared_copies(self._files).items():
            self._files[key] = replace(self._files[key], trouble=self._files[key].trouble or reason)
        return Survey(
            self._now,
            tuple(self._files[key] for key in sorted(self._files)),
            self._records,
            tuple(self._strangers),
            tuple(sorted(record.key for record in missing if self._is_known_to_be_gone(record))),
            tuple(self._parts),
            tuple(self._problems),
        )

    def _documents(self, listed: Listed) -> Documents:
        if not self._layout.collection.has_documents:
            return survey_directory(listed.path, (), {})
        index = self._layout.index_name
        names = [
            name
            for name in (*listed.files, *listed.others)  # a document that is a link is one in doubt, and not none
            if name.casefold().endswith(_DOCUMENT) and listed.path_of(name) != index
        ]
        directory = self._layout.root / listed.path
        return survey_directory(listed.path, listed.files, {name: read_document(directory / name) for name in names})

    def _look_at(self, listed: Listed, documents: Documents, name: str, stamp: Stamp) -> None:
        path = listed.path_of(name)
        suffix = PurePosixPath(name).suffix.casefold()
        record = self._by_copy.get(path)
        if record is not None and (record.key != path or _is_in_place(record)):
            if record.key == path or PurePosixPath(record.key).name not in listed.files:
                self._files[record.key] = self._without_original(record, find_document(documents, name), stamp)
        elif self._layout.collection.is_original(path):
            if reason := why_unusable_path(path):
                self._problems.append(f"{visible(path)} is passed over: {reason}")
            else:
                self._files[path] = self._original(listed, self._document_of(path, name, documents), name, stamp)
        elif suffix in _SOUNDS:
            self._strangers.append(_found(path, stamp))

    def _document_of(self, key: str, name: str, documents: Documents) -> Document | Trouble | None:
        """That of an original which was kept speaks of its copy."""
        record = self._records.get(key)
        if record and record.original_is_kept and record.copy and name not in documents.claims:
            name = PurePosixPath(record.copy.path).name
        return find_document(documents, name)

    def _original(self, listed: Listed, document: Document | Trouble | None, name: str, stamp: Stamp) -> LibraryFile:
        key = listed.path_of(name)
        record = self._records.get(key)
        copy = record.copy if record and record.deleted_at is None else None
        copy_stamp = listed.files.get(PurePosixPath(copy.path if copy else copy_path(key)).name)
        fields = document.fields if isinstance(document, Document) else {}
        standing = Standing("library", key, stamp.size_bytes, stamp.modified_at, stamp=stamp)
        if record and copy and record.original_is_kept and (copy_stamp or copy.place == "cold"):
            standing = _standing(copy, copy_stamp)
        dated, unreadable = self._dated(key, fields, stamp)
        return LibraryFile(
            key=key,
            recorded_at=dated.at,
            dated_by=dated.by,
            standing=standing,
            fields=fields,
            original_bytes=stamp.size_bytes,
            original_stamp=stamp,
            duration_seconds=_duration(fields),
            trouble=self._unreadable.get(key)
            or unreadable
            or (None if stamp.size_bytes else "it is empty (0 bytes)")
            or _doubt(document)
            or doubts.beside(key, record, copy, stamp, copy_stamp),
            refusals=_refusals(record, standing),
        )

    def _dated(self, key: str, fields: Mapping[str, Any], stamp: Stamp) -> tuple[Dated, str | None]:
        """When it was recorded; and why the file, where it was asked, cannot be read."""
        problems: list[str] = []

        def container_date() -> datetime | None:
            try:
                return read_webm_date(self._layout.root / key)
            except AudioCompressorError as error:
                problems.append(str(error))
                return None

        dated = recorded_at(fields, key, container_date, stamp.modified_at, self._now)
        return dated, problems[0] if problems else None

    def _without_original(
        self, record: Record, document: Document | Trouble | None, stamp: Stamp | None
    ) -> LibraryFile:
        """A recording of which only the copy is there, in the library or in cold storage."""
        copy = record.copy
        trouble = self._unreadable.get(record.key) or _doubt(document)
        if copy and stamp and copy.place == "cold":
            trouble = trouble or f"{copy.path} lies in the library, and in cold storage: move one of them away"
        elif copy and stamp and stamp.size_bytes != copy.size_bytes:
            trouble = trouble or f"{copy.path} was changed since it was made"
        if record.has_document and document is None:
            trouble = trouble or "its document is gone, by which it may be on hold"
        fields = document.fields if isinstance(document, Document) else {}
        known = _known(record, _standing(copy, stamp) if copy else None, trouble, fields)
        dated = told_by(fields, self._now)
        is_put_right = dated is not None and dated.at > record.recorded_at  # an older one might be a mistake
        return replace(known, recorded_at=dated.at, dated_by=dated.by) if dated and is_put_right else known

    def _without_file(self, record: Record) -> LibraryFile:
        path = record.copy.path if record.copy else record.key
        if record.copy and record.copy.place == "cold":
            # A hold may be about what its document says.
            trouble = None if self._is_listed(path) else "its document may lie in a directory that cannot be listed"
            return _known(record, _standing(record.copy, None), trouble, {})
        if not self._is_listed(path):
            return _known(record, None, f"{path} lies in a directory that cannot be listed", {})
        return _known(record, None, f"{path} is missing; `audio-compressor archive restore` may have another copy", {})

    def _is_known_to_be_gone(self, record: Record) -> bool:
        if record.copy and record.copy.place == "cold":
            return False
        return self._is_listed(record.copy.path if record.copy else record.key)

    def _is_listed(self, path: str) -> bool:
        """A directory that cannot be listed is not taken for an empty one."""
        return not any(path.startswith(f"{directory}/") for directory in self._unlisted)


def _known(record: Record, standing: Standing | None, trouble: str | None, fields: Mapping[str, Any]) -> LibraryFile:
    return LibraryFile(
        key=record.key,
        recorded_at=record.recorded_at,
        dated_by=record.dated_by,
        standing=standing,
        fields=fields,
        original_bytes=record.original.size_bytes if record.original else 0,
        duration_seconds=record.original.duration_seconds if record.original else None,
        trouble=trouble,
        refusals=_refusals(record, standing),
    )


def _standing(copy: Copy, stamp: Stamp | None) -> Standing:
    return Standing(
        place=copy.place,
        path=copy.path,
        size_bytes=copy.size_bytes,
        modified_at=stamp.modified_at if stamp else copy.made_at,
        bitrate_kbps=copy.bitrate_kbps,
        sha256=copy.sha256,
        stamp=stamp if copy.place == "library" else None,
    )


def _is_in_place(record: Record) -> bool:
    """Whether its copy has the name of its original: a result in Opus, at a lower bitrate."""
    return record.copy is not None and record.copy.place == "library"


def _doubt(document: Document | Trouble | None) -> str | None:
    return document.reason if isinstance(document, Trouble) else None


def _refusals(record: Record | None, standing: Standing | None) -> dict[str, str]:
    if record is None or standing is None or standing.stamp is None:
        return {}
    stamp = standing.stamp
    return {
        refusal.action: refusal.reason
        for refusal in record.refusals
        if (refusal.size_bytes, refusal.modified_ns) == (stamp.size_bytes, stamp.modified_ns)
    }


def _duration(fields: Mapping[str, Any]) -> float | None:
    value = fields.get("duration")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MOST_SECONDS:
        return None
    return float(value)


def _found(path: str, stamp: Stamp) -> Found:
    return Found(path, stamp.size_bytes, stamp.modified_at)


def _directory(path: str) -> str:
    return path.rpartition("/")[0]
