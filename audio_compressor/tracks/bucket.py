"""The bucket of tracks: raw objects in, published ladders out. What is done with each is in the files beside this."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from audio_compressor.closing import Closing
from audio_compressor.errors import AudioCompressorError, CancelledError, NotAudioError
from audio_compressor.retries import Retry
from audio_compressor.staging import Staging
from audio_compressor.storage.s3_body import Piece
from audio_compressor.storage.s3_client import SINGLE_REQUEST_BYTES, S3Client
from audio_compressor.storage.s3_copy import COPIED_PART_BYTES, S3Copier
from audio_compressor.storage.s3_multipart import abort
from audio_compressor.storage.s3_objects import S3Objects
from audio_compressor.storage.s3_writer import (
    DEFAULT_SIZES,
    NO_ENCRYPTION,
    Encryption,
    ObjectHeaders,
    PartSizes,
    S3Writer,
)
from audio_compressor.tracks.download import PIECE_BYTES, Downloaded, RawDownloader
from audio_compressor.tracks.failures import FailedTracks, note_of
from audio_compressor.tracks.folder import TrackFolder
from audio_compressor.tracks.layout import DOCUMENTED, Prefixes
from audio_compressor.tracks.pruning import GRACE_SECONDS, Prune, prune
from audio_compressor.tracks.publication import LocalTrack, plan_publication
from audio_compressor.tracks.published import Published
from audio_compressor.tracks.publishing import About, Publisher
from audio_compressor.tracks.raw import RawListing, RawObject, find_by_key, find_raw, list_raw
from audio_compressor.tracks.track import Track
from audio_compressor.tracks.verification import Difference, Verification, differences

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sizes:
    """Where one request becomes several; the defaults are right for everything but tests."""

    written: PartSizes = DEFAULT_SIZES
    read_piece_bytes: int = PIECE_BYTES
    copied_single_bytes: int = SINGLE_REQUEST_BYTES
    copied_part_bytes: int = COPIED_PART_BYTES


_SIZES = Sizes()
_PROBE_NAME = ".probe"


def _no_progress(_: int) -> None:
    pass


class TrackBucket(Closing):
    """Methods may be called from several threads. Each raises what the bucket raises as this project's errors, after
    the retries of each request; whole methods need no retry of theirs but for SourceChangedError and StorageError.
    """

    def __init__(
        self,
        bucket: str,
        prefixes: Prefixes = DOCUMENTED,
        endpoint_url: str = "",
        *,
        retry: Retry,
        encryption: Encryption = NO_ENCRYPTION,
        workers: int = 8,
        sizes: Sizes = _SIZES,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.prefixes = prefixes
        self._bucket = bucket
        self._now = now
        self._retry = retry
        self.client = S3Client(endpoint_url, connections=workers + sizes.written.workers, own_checksums=True)
        self._objects = S3Objects(self.client, bucket, retry, workers)
        writer = S3Writer(self.client, bucket, retry, encryption, sizes.written)
        copier = S3Copier(self.client, bucket, retry, encryption, sizes.copied_single_bytes, sizes.copied_part_bytes)
        self._downloader = RawDownloader(self.client, self._objects, bucket, retry, sizes.read_piece_bytes)
        self._writer = writer
        self._publisher = Publisher(writer, workers, now)
        self._failed = FailedTracks(self._objects, writer, copier, prefixes.failed)

    def close(self) -> None:
        """When nothing is under way any more; to end what is, there is ``cancel``."""
        self.client.close()

    def raw_uri(self, track: Track) -> str:
        return self._objects.uri(track.raw_key(self.prefixes.raw))

    def published_uri(self, track: Track, name: str = "") -> str:
        """Of the track's folder, or of a file in it."""
        return self._folder(track).uri(name)

    def list_raw(self, published_from: Mapping[str, str] | None = None) -> RawListing:
        """What lies below RAW_PREFIX, and which of it are no tracks (see `raw.list_raw`)."""
        return list_raw(self._objects, self.prefixes.raw, published_from or {})

    def find_raw(self, track: Track) -> RawObject | None:
        return find_raw(self._objects, self.prefixes.raw, track)

    def find_by_key(self, key: str) -> tuple[RawObject, ...]:
        """The objects of which a track with this key could be made, the oldest first."""
        return find_by_key(self._objects, self.prefixes.raw, key)

    def check_writable(self) -> str:
        """Write and remove a small object in both places that are written to; says where."""
        stop = threading.Event()
        places = (self.prefixes.processed, self.prefixes.failed)
        for prefix in places:
            self._writer.put(f"{prefix}{_PROBE_NAME}", Piece.whole(b"probe"), ObjectHeaders("text/plain", ""), stop)
            self._objects.remove([f"{prefix}{_PROBE_NAME}"], stop)
        return " and ".join(f"{self._objects.uri(prefix)}" for prefix in places) + " can be written"

    def look(self) -> None:
        """Ask for anything at all: whether the bucket answers, and lets us list."""
        self._objects.find(self.prefixes.raw)

    def download(
        self,
        raw: RawObject,
        destination: Path,
        staging: Staging,
        *,
        needed_bytes: int | None = None,
        cancel: threading.Event | None = None,
        on_bytes: Callable[[int], None] = _no_progress,
    ) -> Downloaded:
        """Bring the object as it was listed, verified, to ``destination`` in ``staging`` (see `RawDownloader`), when
        there is room for ``needed_bytes`` (its size) on that disk. ``on_bytes`` is told how many more have come.

        Raises:
            NotAudioError: it is empty.
            OutOfSpaceError: before the first byte, or when somebody else fills the disk meanwhile.
        """
        if raw.size_bytes == 0:
            raise NotAudioError(f"{self.raw_uri(raw.track)} is empty (0 bytes); was the upload interrupted?")
        cancel = cancel or threading.Event()
        staging.require_space(raw.size_bytes if needed_bytes is None else needed_bytes, cancel)
        return self._downloader.download(raw, raw.track.raw_key(self.prefixes.raw), destination, cancel, on_bytes)

    def published(self, track: Track) -> Published | None:
        """What metadata.json says of the track; None when there is none, or it is another program's."""
        folder = self._folder(track)
        return folder.published(folder.listing().objects)

    def publish(
        self,
        track: Track,
        local: LocalTrack,
        about: About,
        *,
        cancel: threading.Event | None = None,
        on_bytes: Callable[[int], None] = _no_progress,
    ) -> tuple[Published, bool]:
        """Publish, or replace, a track (see publication.py), and remove its failed copy; the second is True when the
        same was there, whole, and nothing was written.
        """
        cancel = cancel or threading.Event()
        publication = plan_publication(track, local)
        result = self._publisher.publish(self._folder(track), publication, about, cancel, on_bytes)
        try:
            self._failed.forget(track, cancel)
        except CancelledError:
            raise
        except AudioCompressorError as error:  # the track is published, and the next success tries again
            log.warning("%s is published, but its failed copy may be left: %s", track.key, error)
        return result

    def verify_published(
        self, track: Track, *, read_all: bool = False, cancel: threading.Event | None = None
    ) -> Verification:
        """Compare what lies there with metadata.json; with ``read_all``, every byte of it."""
        folder = self._folder(track)
        there = folder.listing().objects
        published = folder.published(there)
        if published is None:
            return Verification(None, (Difference("metadata.json", "it is not there, or not of this program"),))
        event = cancel or threading.Event()
        found = differences(
            published, there, lambda name: self._objects.sha256(folder.key(name), event), read_all=read_all
        )
        return Verification(published, found)

    def prune(
        self, track: Track, grace_seconds: float = GRACE_SECONDS, *, cancel: threading.Event | None = None
    ) -> Prune:
        """Remove what earlier versions and crashed publications left of a track (see pruning.py)."""
        return prune(self._folder(track), timedelta(seconds=grace_seconds), cancel or threading.Event())

    def abort_unfinished(self, grace_seconds: float = GRACE_SECONDS) -> list[str]:
        """Give up uploads in parts that killed processes left, older than the grace time; the keys of them."""
        prefixes = (self.prefixes.processed, self.prefixes.failed)
        found = [upload for prefix in prefixes for upload in self._objects.unfinished(prefix)]
        old = [upload for upload in found if upload.at - upload.begun_at >= timedelta(seconds=grace_seconds)]
        return [
            upload.key
            for upload in old
            if abort(
                self.client, {"Bucket": self._bucket, "Key": upload.key, "UploadId": upload.upload_id}, self._retry
            )
        ]

    def record_failure(self, raw: RawObject, error: BaseException, *, cancel: threading.Event | None = None) -> str:
        """Copy the raw object below FAILED_PREFIX and say why beside it; the URI of what says so."""
        note = note_of(raw, error, self._now())
        return self._failed.record(raw, raw.track.raw_key(self.prefixes.raw), note, cancel or threading.Event())

    def forget_failure(self, track: Track) -> bool:
        """Remove what `record_failure` left; False when there was nothing."""
        return self._failed.forget(track, threading.Event())

    def _folder(self, track: Track) -> TrackFolder:
        return TrackFolder(self._objects, self.prefixes.processed, track)
