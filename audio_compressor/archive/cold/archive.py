"""The bucket that cold copies lie in: putting them there, proving that they are there, and bringing them back."""

import hashlib
import logging
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from audio_compressor.archive.cold.keys import key_for, key_of, uri_of
from audio_compressor.archive.cold.objects import READ_PIECE_BYTES, ColdObjects
from audio_compressor.archive.cold.proof import CheckedBy, DamagedCopyError, Held, digests_of
from audio_compressor.archive.cold.trust import Trust, probe_key
from audio_compressor.archive.records import Copy
from audio_compressor.closing import Closing
from audio_compressor.errors import RemoteFileMissingError, SourceChangedError, StorageError
from audio_compressor.local_files import local_errors
from audio_compressor.retries import Retry
from audio_compressor.storage.s3_body import Piece
from audio_compressor.storage.s3_client import FrozenObjectError, S3Client
from audio_compressor.storage.s3_writer import (
    DEFAULT_SIZES,
    NO_ENCRYPTION,
    Encryption,
    ObjectHeaders,
    PartSizes,
    S3Writer,
)

log = logging.getLogger(__name__)

_CONNECTIONS = 8
_CONTENT_TYPES = {".webm": "audio/webm", ".opus": "audio/ogg", ".ogg": "audio/ogg"}


@dataclass(frozen=True)
class Uploaded:
    """``checked_by`` says how it was proved that the object is whole (see proof.py)."""

    uri: str
    size_bytes: int
    checked_by: CheckedBy


class ColdArchive(Closing):
    """Methods may be called from several threads. Each raises what the bucket raises as this project's errors, after
    the retries of each request; all end with CancelledError soon after ``cancel`` was set.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        endpoint_url: str = "",
        *,
        retry: Retry,
        encryption: Encryption = NO_ENCRYPTION,
        sizes: PartSizes = DEFAULT_SIZES,
        read_piece_bytes: int = READ_PIECE_BYTES,
        cancel: threading.Event | None = None,
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._cancel = cancel or threading.Event()
        self._client = S3Client(endpoint_url, connections=_CONNECTIONS + sizes.workers, own_checksums=True)
        self._objects = ColdObjects(self._client, bucket, retry, read_piece_bytes, self._cancel)
        self._writer = S3Writer(self._client, bucket, retry, encryption, sizes)
        self._trust = Trust(self._client, bucket, prefix, retry, encryption)

    def close(self) -> None:
        """When nothing is under way any more; to end what is, there is ``cancel``."""
        self._client.close()

    def uri(self, name: str, sha256: str) -> str:
        """Where this content of this name lies, or would."""
        return uri_of(self._bucket, key_for(self._prefix, name, sha256))

    def put(self, path: Path, name: str, sha256: str, storage_class: str) -> Uploaded:
        """Send a file, unless it is there already, and prove that it is there.

        Raises:
            SourceChangedError: the file has another content, or got it meanwhile.
            DamagedCopyError: under its key lies something else, over which nothing is written; or something on the way
                changes what is sent, and what came of it was removed.
            StorageError and its kin: nothing is proved. There may be an object, which the next call recognises.
        """
        key = key_for(self._prefix, name, sha256)
        whole = Piece.whole(path)
        digests = digests_of(path, whole, self._writer.parts_of(whole), self._cancel)
        if digests.sha256 != sha256:
            raise _changed(path)
        try:
            there = self._objects.look(key)
        except RemoteFileMissingError:
            headers = ObjectHeaders(
                _CONTENT_TYPES.get(PurePosixPath(name).suffix.lower(), "application/octet-stream"),
                storage_class="" if storage_class == "STANDARD" else storage_class,
                metadata=digests.as_metadata(),
            )
            return self._send(key, path, whole, sha256, headers)
        try:
            checked_by = self._prove(key, there, sha256, whole.size_bytes)
        except DamagedCopyError as error:
            raise DamagedCopyError(
                f"{error}. Nothing is written over it, and {path.name} stays where it is: look at the object, and "
                "remove it if it is of no use"
            ) from error
        return Uploaded(self._objects.uri(key), whole.size_bytes, checked_by)

    def confirm(self, copy: Copy) -> None:
        """Prove that a copy is there, whole: by the SHA-256 of a store that compares them, else by reading it back. In
        a class from which nothing can be read, the store's MD5 has to do.

        Raises:
            RemoteFileMissingError: it is gone.
            DamagedCopyError: it is there, and is something else.
            LibraryError: its record names no object that was written here.
            StorageError and its kin: nothing is proved.
        """
        key = key_of(self._bucket, copy)
        checked_by = self._prove(key, self._look_for(copy, key), copy.sha256, copy.size_bytes)
        log.info("%s is whole in cold storage, proved by %s", copy.uri, checked_by)

    def fetch(self, copy: Copy, destination: Path) -> None:
        """Bring a copy to ``destination``, flushed to the disk; nothing is left there after an error.

        Raises:
            ThawingError: it has to be thawed first; the store was asked for that.
            RemoteFileMissingError, DamagedCopyError, LibraryError: as with `confirm`.
            StorageError and its kin: it could not be brought here.
        """
        key = key_of(self._bucket, copy)
        there = self._look_for(copy, key)
        self._require_size(key, there, copy.size_bytes)
        digest = hashlib.sha256()
        try:
            with local_errors(destination):
                destination.unlink(missing_ok=True)
                with destination.open("xb") as file:  # whatever a link of this name leads to is left alone

                    def take(data: bytes) -> None:
                        file.write(data)
                        digest.update(data)

                    self._objects.read(key, there, take)
                    file.flush()
                    os.fsync(file.fileno())
            self._require_content(key, digest.hexdigest(), copy.sha256)
        except BaseException as error:
            with suppress(OSError):
                destination.unlink(missing_ok=True)
            if isinstance(error, FrozenObjectError):
                self._objects.thaw(key, there, error)
            raise

    def remove(self, copy: Copy) -> None:
        """For good; one that is gone already is fine. Raises LibraryError as `confirm` does, and nothing is removed."""
        self._objects.remove(key_of(self._bucket, copy))

    def check_writable(self) -> str:
        """Write, read and remove a small object; says where, and whether the store compares checksums."""
        key, content = probe_key(self._prefix), b"probe"
        self._writer.put(key, Piece.whole(content), ObjectHeaders("text/plain"), self._cancel)
        try:
            found = self._objects.read_small(key, len(content))
        finally:
            self._objects.remove(key)
        place = uri_of(self._bucket, self._prefix)
        if found != content:
            raise DamagedCopyError(f"{place} does not give back what was written; something on the way changes it")
        compares = self._trust.compares_checksums(self._cancel)
        how = "checksums are compared" if compares else "checksums are not compared, so all that is sent is read back"
        return f"{place} can be written and read; {how}"

    def _send(self, key: str, path: Path, whole: Piece, sha256: str, headers: ObjectHeaders) -> Uploaded:
        uri = self._objects.uri(key)
        try:
            written = self._writer.put(key, whole, headers, self._cancel)
        except FrozenObjectError as error:
            raise _unproved(uri, headers.storage_class) from error
        if written.sha256 != sha256:
            self._objects.remove(key)
            raise _changed(path)
        try:
            checked_by = self._prove(key, self._objects.look(key), sha256, whole.size_bytes)
        except DamagedCopyError:
            self._objects.remove(key)
            raise
        return Uploaded(uri, whole.size_bytes, checked_by)

    def _prove(self, key: str, there: Held, sha256: str, size_bytes: int) -> CheckedBy:
        self._require_size(key, there, size_bytes)
        if there.checksum and self._trust.compares_checksums(self._cancel):
            checked_by = there.told_by_checksum(sha256)
            if checked_by:
                return checked_by
        digest = hashlib.sha256()
        try:
            self._objects.read(key, there, digest.update)
        except FrozenObjectError as error:
            if there.agrees_in_md5(sha256):
                return "MD5"
            raise _unproved(self._objects.uri(key), there.storage_class) from error
        self._require_content(key, digest.hexdigest(), sha256)
        return "reading back"

    def _require_size(self, key: str, there: Held, size_bytes: int) -> None:
        if there.size_bytes != size_bytes:
            raise DamagedCopyError(
                f"{self._objects.uri(key)} is not what was archived: it has {there.size_bytes:,} bytes instead of "
                f"{size_bytes:,}"
            )

    def _require_content(self, key: str, found_sha256: str, sha256: str) -> None:
        if found_sha256 != sha256:
            raise DamagedCopyError(
                f"{self._objects.uri(key)} is not what was archived: read to its end, its SHA-256 is "
                f"{found_sha256} instead of {sha256}"
            )

    def _look_for(self, copy: Copy, key: str) -> Held:
        try:
            return self._objects.look(key)
        except RemoteFileMissingError as error:
            raise RemoteFileMissingError(
                f"{copy.uri}, which stands for {copy.path}, does not exist any more; look for an older version of "
                "it in the bucket, or for a backup"
            ) from error


def _unproved(uri: str, storage_class: str) -> StorageError:
    return StorageError(
        f"{uri} is there, but nothing proves that it is whole: it cannot be read in {storage_class} before it is "
        "thawed, and the store tells no checksum that would do. What it stands for is kept. Use a storage class that "
        "can be read at once, such as GLACIER_IR"
    )


def _changed(path: Path) -> SourceChangedError:
    return SourceChangedError(
        f"{path.name} was changed while it was being sent to cold storage; it stays as it is until the next run"
    )
