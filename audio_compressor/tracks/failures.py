"""Tracks that failed: a copy of the raw object below FAILED_PREFIX, and beside it a file that says why.

The raw object itself stays where it is; a later success removes both.
"""

import json
import threading
from dataclasses import asdict, dataclass
from datetime import datetime

from audio_compressor.errors import AudioCompressorError, PermanentError
from audio_compressor.hls.delivery import delivery_of
from audio_compressor.storage.s3_body import Piece
from audio_compressor.storage.s3_copy import CopySource, S3Copier
from audio_compressor.storage.s3_objects import S3Objects
from audio_compressor.storage.s3_writer import ObjectHeaders, S3Writer
from audio_compressor.tracks.raw import RawObject
from audio_compressor.tracks.track import Track

_MOST_REASON_CHARACTERS = 4_000
_MOST_NOTE_BYTES = 1_000_000


@dataclass(frozen=True)
class FailureNote:
    """``is_permanent``: trying again without changing something gives the same."""

    file_name: str
    size_bytes: int
    etag: str
    error: str
    reason: str
    is_permanent: bool
    failed_at: str


def note_of(raw: RawObject, error: BaseException, at: datetime) -> FailureNote:
    """Only this project's errors are quoted: their texts hold no secrets. Of any other the name is told, for a text
    from a library may hold whatever it was given; it is in the log of the run.
    """
    if isinstance(error, AudioCompressorError):
        reason = str(error)[:_MOST_REASON_CHARACTERS]
    else:
        reason = f"unexpected {type(error).__name__}; the log of the run says more"
    return FailureNote(
        raw.track.file_name,
        raw.size_bytes,
        raw.etag,
        type(error).__name__,
        reason,
        isinstance(error, PermanentError),
        at.isoformat(timespec="seconds"),
    )


class FailedTracks:
    """What lies below FAILED_PREFIX."""

    def __init__(self, objects: S3Objects, writer: S3Writer, copier: S3Copier, prefix: str) -> None:
        self._objects = objects
        self._writer = writer
        self._copier = copier
        self._prefix = prefix

    def record(self, raw: RawObject, raw_key: str, note: FailureNote, cancel: threading.Event) -> str:
        """Copy the raw object, unless this version of it lies there already, and then write the note; gives the URI of
        the note.

        Raises:
            SourceChangedError: the raw object was replaced meanwhile, so what failed is not there any more.
            AudioCompressorError: after all retries.
        """
        name, error_name = raw.track.file_name, raw.track.error_name
        there = self._objects.listing(f"{self._prefix}{name}").objects  # names behind that of the copy
        copied = there.get("")
        suffix = error_name.removeprefix(name)
        if (
            copied is None
            or copied.size_bytes != raw.size_bytes
            or self._etag_in(error_name, suffix in there) != raw.etag
        ):
            source = CopySource(raw_key, raw.size_bytes, raw.etag)
            self._copier.copy(source, f"{self._prefix}{name}", cancel)
        text = json.dumps(asdict(note), ensure_ascii=False, indent=1).encode() + b"\n"
        delivery = delivery_of(error_name)
        headers = ObjectHeaders(delivery.content_type, delivery.cache_control)
        self._writer.put(f"{self._prefix}{error_name}", Piece.whole(text), headers, cancel)
        return self._objects.uri(f"{self._prefix}{error_name}")

    def forget(self, track: Track, cancel: threading.Event) -> bool:
        """Remove what `record` left; False when there was nothing. Nothing is removed that is not there: where versions
        are kept, that would leave a mark each time.
        """
        there = self._objects.listing(f"{self._prefix}{track.file_name}").objects
        wanted = (track.file_name, track.error_name)
        keys = [f"{self._prefix}{name}" for name in wanted if name.removeprefix(track.file_name) in there]
        self._objects.remove(keys, cancel)
        return bool(keys)

    def _etag_in(self, error_name: str, is_there: bool) -> str | None:
        """Of the raw object whose failure was recorded last."""
        if not is_there:
            return None
        try:
            note = json.loads(self._objects.read(f"{self._prefix}{error_name}", _MOST_NOTE_BYTES))
        except ValueError:
            return None
        etag = note.get("etag") if isinstance(note, dict) else None
        return etag if isinstance(etag, str) else None
