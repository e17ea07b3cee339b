"""Keeps the documents of a library true to what we know of its recordings: the JSON beside each, and the master index.

What a document has to say follows from the record alone: whatever it says now, every trace of an earlier copy is taken
back, and then what holds is written. So a change can be said twice, and taken back, without harm.
"""

import hashlib
import logging
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from audio_compressor.archive.documents import editing
from audio_compressor.archive.documents.changes import CopyChange
from audio_compressor.archive.documents.finding import find_document, survey_directory
from audio_compressor.archive.documents.form import serialise
from audio_compressor.archive.documents.index import IndexEditor
from audio_compressor.archive.documents.names import own_document
from audio_compressor.archive.documents.reading import Document, Fields, Trouble, read_document, read_index
from audio_compressor.archive.documents.writing import recover_document, replace_document
from audio_compressor.archive.layout import Layout
from audio_compressor.archive.locks import wait_for_lock
from audio_compressor.archive.protocol import OnStep, Step
from audio_compressor.archive.records import Copy, Record
from audio_compressor.archive.walking import walk
from audio_compressor.errors import DocumentChangedError, LibraryError
from audio_compressor.local_files import local_errors

log = logging.getLogger(__name__)

_DOCUMENT = ".json"
# What a killed run of ours has left beside a document.
_LEFT = re.compile(r"\.(?P<document>.+\.json)\.[0-9a-f]{16}\.part", re.IGNORECASE)
# Somebody else writes to the same document again and again.
_MOST_ATTEMPTS = 20


class Paperwork:
    """Of one library."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def update(self, before: Record | None, after: Record | None, on_step: OnStep) -> None:
        """Make the documents say ``after``, whatever of the two they say now.

        Raises:
            LibraryError: a document cannot be understood, or which one speaks of the recording.
            DocumentChangedError: somebody else goes on writing to it.
            AudioCompressorError: it cannot be written.
        """
        known = after or before
        if known is None or not self._layout.collection.has_documents:
            return
        # Two runs of ours would exchange each other's work.
        with wait_for_lock(self._layout.locks / "documents"):
            self._update_document(known.key, before, after)
            on_step(Step.METADATA_UPDATED)
            self._update_index(known.key, before, after)
            on_step(Step.INDEX_UPDATED)

    def _update_document(self, key: str, before: Record | None, after: Record | None) -> None:
        directory = self._layout.inside(key).parent
        if not directory.is_dir():
            return  # somebody has removed it, and its document with it
        names = [PurePosixPath(path).name for path in _paths(key, before, after)]

        def attempt() -> None:
            document = self._document(directory, names)
            if document is None:
                return
            fields = _told(document.fields, key, before, after)
            if fields != document.fields:
                text = serialise(fields, document.form)
                replace_document(directory / document.name, document.sha256, text)

        _again_and_again(attempt)

    def _document(self, directory: Path, names: Sequence[str]) -> Document | None:
        """The document that speaks of one of these files. Its own by its name, where it has one: a look at the library
        has found that no other does. Else all of the directory are read.
        """
        own = own_document(names[0])
        if (directory / own).exists():
            recover_document(directory / own)
            files = [own]
        else:
            files = self._files(directory)
        documents = {name: read_document(directory / name) for name in files if self._is_document(directory / name)}
        where = self._layout.relative(directory) if directory != self._layout.root else ""
        survey = survey_directory(where, [*names, *files], documents)
        # It is the name by which one of them speaks of the recording now; where none does, the stem of any.
        name = next((name for name in names if name in survey.claims), names[0])
        found = find_document(survey, name)
        if isinstance(found, Trouble):
            raise LibraryError(f"{directory / name} stays as it is: {found.reason}")
        return found

    def _files(self, directory: Path) -> list[str]:
        """After whatever a killed run of ours has left halfway is put right."""
        with local_errors(directory), os.scandir(directory) as entries:
            files = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        for name in files:
            if left := _LEFT.fullmatch(name):
                recover_document(directory / left["document"])
        return [name for name in files if not name.startswith(".")]

    def _is_document(self, path: Path) -> bool:
        return path.suffix.casefold() == _DOCUMENT and path != self._layout.root / self._layout.index_name

    def _update_index(self, key: str, before: Record | None, after: Record | None) -> None:
        if not self._layout.index_name:
            return
        path = self._layout.inside(self._layout.index_name)

        def attempt() -> None:
            recover_document(path)
            index = read_index(path)
            if index is None:
                return
            if isinstance(index, Trouble):
                raise LibraryError(f"the master index {path} {index.reason}; put it right, for nothing is archived so")
            editor = IndexEditor(index.root, self._recordings)
            _tell(editor, key, before, after)
            for remark in editor.remarks:
                log.warning("%s: %s", path, remark)
            text = serialise(editor.root, index.form)
            if hashlib.sha256(text.encode()).hexdigest() != index.sha256:
                replace_document(path, index.sha256, text)

        _again_and_again(attempt)

    @cached_property
    def _recordings(self) -> frozenset[str]:
        """What a bare name in the index may mean. Looked up once: what came since is too young to matter."""
        lying = (listed.path_of(name) for listed in walk(self._layout) for name in listed.files)
        known = (key for key, _ in self._layout.record_paths())
        return frozenset([*known, *(path for path in lying if self._layout.collection.is_original(path))])


def _again_and_again(attempt: Callable[[], None]) -> None:
    for number in range(1, _MOST_ATTEMPTS + 1):
        try:
            attempt()
        except DocumentChangedError:
            if number == _MOST_ATTEMPTS:
                raise
        else:
            return


def _told(fields: Fields, key: str, before: Record | None, after: Record | None) -> Fields:
    for path in _paths(key, before, after):
        fields = editing.without_deletion(fields, path)
    for path in _paths(key, before, after):
        fields = editing.without_copy(fields, path)
    if after is not None and after.copy is not None:
        fields = editing.with_copy(fields, _change(after, after.copy))
    if after is not None and after.deleted_at is not None:
        fields = editing.with_deletion(fields, after.copy.path if after.copy else key, after.deleted_at)
    return fields


def _tell(editor: IndexEditor, key: str, before: Record | None, after: Record | None) -> None:
    for path in _paths(key, before, after):
        editor.unmark_deleted(path)
    for record in (before, after):
        if record is not None and record.copy is not None:
            editor.revert(_change(record, record.copy))
    if after is not None and after.copy is not None:
        editor.apply(_change(after, after.copy))
    if after is not None and after.deleted_at is not None:
        editor.mark_deleted(after.copy.path if after.copy else key, after.deleted_at)


def _paths(key: str, *records: Record | None) -> list[str]:
    """The names by which a document may speak of the recording now."""
    copies = [record.copy.path for record in records if record is not None and record.copy is not None]
    return list(dict.fromkeys([*copies, key]))


def _change(record: Record, copy: Copy) -> CopyChange:
    original = record.original
    details: dict[str, Any] = {
        name: value
        for name, value in asdict(copy).items()
        if name in {"tier", "sha256", "made_from", "bitrate_kbps", "codec", "uri", "storage_class"} and value
    }
    details["location"] = "s3" if copy.place == "cold" else "local"
    if original is not None:
        details["source_sha256"] = original.sha256
    return CopyChange(
        old_name=record.key,
        new_name=copy.path,
        original_bytes=original.size_bytes if original else copy.size_bytes,
        copy_bytes=copy.size_bytes,
        changed_at=copy.made_at,
        details=details,
    )
