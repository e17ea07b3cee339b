"""Carries out a publication, stage by stage (see publication.py for the order and why it is safe)."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from audio_compressor.errors import AudioError, StorageError
from audio_compressor.storage.s3_body import Piece
from audio_compressor.storage.s3_objects import Listed
from audio_compressor.storage.s3_writer import S3Writer, Written
from audio_compressor.storage.side_by_side import Task, side_by_side
from audio_compressor.tracks.folder import TrackFolder
from audio_compressor.tracks.publication import PlannedFile, Publication
from audio_compressor.tracks.published import Published, PublishedFile, Source
from audio_compressor.tracks.track import METADATA_NAME
from audio_compressor.tracks.verification import differences


@dataclass(frozen=True)
class About:
    """What metadata.json tells beside the files; ``details`` must be fit for JSON."""

    source: Source
    settings_fingerprint: str
    details: Mapping[str, Any] = field(default_factory=dict)


class Publisher:
    """``workers`` requests at once; of one folder only one publisher should be at work at a time. Two are no harm to
    players, but one of them ends with an error.
    """

    def __init__(self, writer: S3Writer, workers: int, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._writer = writer
        self._workers = workers
        self._now = now

    def publish(
        self,
        folder: TrackFolder,
        publication: Publication,
        about: About,
        cancel: threading.Event,
        on_bytes: Callable[[int], None],
    ) -> tuple[Published, bool]:
        """What is published now, and whether it was there already, whole, so that nothing was written.

        Raises:
            AudioError: players would get other bytes under a name that must never change its meaning.
            CancelledError, StorageError and its kind: what was there before can still be played, or the new.
        """
        there = folder.listing().objects
        files = {file.name: PublishedFile(file.piece.size_bytes, file.piece.sha256) for file in publication.files}
        new = Published(
            folder.track.key, about.source, about.settings_fingerprint, self._now(), files, dict(about.details)
        )
        current = folder.published(there)
        if current is not None and current.says_the_same(new) and not _differences(folder, current, there, cancel):
            return current, True
        self._require_names_keep_their_meaning(folder, publication, current, there, cancel)
        writing = _Writing(self._writer, self._workers, folder, cancel, on_bytes)
        writing.stage(publication.segments)
        writing.stage(publication.versioned_playlists)
        writing.require_all_there()
        writing.stage(publication.playlists)
        writing.stage([publication.audio])
        etags = {name: replace(file, etag=writing.etag_of(name)) for name, file in files.items()}
        new = replace(new, files=etags)
        writing.stage([PlannedFile(METADATA_NAME, Piece.whole(new.to_json()))])
        writing.stage([publication.master])
        writing.require_all_there()
        return new, False

    @staticmethod
    def _require_names_keep_their_meaning(
        folder: TrackFolder,
        publication: Publication,
        current: Published | None,
        there: Mapping[str, Listed],
        cancel: threading.Event,
    ) -> None:
        """Segments that another program named without their content (``segment_000.ts``) would be exchanged under the
        players of the version that is there. What no playlist names is left of a crash, and is written again.
        """
        try:
            visible = folder.visible(there)
        except AudioError:  # not of ours, so it may name anything
            visible = frozenset(there)
        known = {} if current is None else {name: file.sha256 for name, file in current.files.items()}
        for file in (*publication.segments, *publication.versioned_playlists):
            if (
                file.name in visible
                and file.name in there
                and known.get(file.name) != file.piece.sha256
                and folder.objects.sha256(folder.key(file.name), cancel) != file.piece.sha256
            ):
                raise AudioError(
                    f"{folder.uri(file.name)} is played and would become another file; a segment's name must tell its "
                    "content, or nothing is written"
                )


class _Writing:
    """What was written so far of one publication."""

    def __init__(
        self,
        writer: S3Writer,
        workers: int,
        folder: TrackFolder,
        cancel: threading.Event,
        on_bytes: Callable[[int], None],
    ) -> None:
        self._writer = writer
        self._workers = workers
        self._folder = folder
        self._cancel = cancel
        self._on_bytes = on_bytes
        self._written: dict[str, Written] = {}

    def stage(self, files: Sequence[PlannedFile]) -> None:
        def task(file: PlannedFile) -> Task[Written]:
            def write(stop: threading.Event) -> Written:
                written = self._writer.put(self._folder.key(file.name), file.piece, file.headers, stop)
                self._on_bytes(written.size_bytes)
                return written

            return write

        results = side_by_side([task(file) for file in files], self._workers, self._cancel, self._folder.uri())
        self._written |= {file.name: written for file, written in zip(files, results, strict=True)}

    def etag_of(self, name: str) -> str | None:
        return self._written[name].etag if name in self._written else None

    def require_all_there(self) -> None:
        """By a listing, which needs one request for a thousand files."""
        there = self._folder.listing().objects
        wrong = [
            name
            for name, written in self._written.items()
            if (listed := there.get(name)) is None
            or (listed.size_bytes, listed.etag) != (written.size_bytes, written.etag)
        ]
        if wrong:
            raise StorageError(
                f"{self._folder.uri()}: {len(wrong)} of {len(self._written)} files are not there as they were written, "
                f"such as {wrong[0]}; does somebody else write to this folder?"
            )


def _differences(
    folder: TrackFolder, published: Published, there: Mapping[str, Listed], cancel: threading.Event
) -> bool:
    found = differences(published, there, lambda name: folder.objects.sha256(folder.key(name), cancel), read_all=False)
    return bool(found)
