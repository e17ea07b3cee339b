"""Brings a raw object to staging, and proves that what arrived is what the bucket holds, and one version of it."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from audio_compressor.errors import (
    AuthenticationError,
    CancelledError,
    ConnectionLostError,
    PermanentError,
    RemoteFileMissingError,
    SourceChangedError,
    StorageError,
)
from audio_compressor.local_files import local_errors
from audio_compressor.retries import Retry
from audio_compressor.storage.s3_body import as_base64
from audio_compressor.storage.s3_client import READ_BYTES, ConditionFailedError, S3Client, told
from audio_compressor.storage.s3_objects import S3Objects
from audio_compressor.tracks.checksums import Digest, Expected, digest_for, expected_checksum
from audio_compressor.tracks.raw import RawObject

# One request brings at most so much and has its own retries, so that a connection that drops every few minutes still
# brings an object of many gigabytes.
PIECE_BYTES = 64 * 1024 * 1024

OnBytes = Callable[[int], None]


@dataclass(frozen=True)
class Downloaded:
    """``checked_by``: the checksum of the object, kept by the bucket, that was compared (see `checksums`)."""

    raw: RawObject
    sha256: str
    checked_by: str


class RawDownloader:
    """Of one bucket; may be used by several threads."""

    def __init__(
        self, client: S3Client, objects: S3Objects, bucket: str, retry: Retry, piece_bytes: int = PIECE_BYTES
    ) -> None:
        self._client = client
        self._objects = objects
        self._bucket = bucket
        self._retry = retry
        self._piece_bytes = piece_bytes

    def download(
        self, raw: RawObject, key: str, destination: Path, cancel: threading.Event, on_bytes: OnBytes
    ) -> Downloaded:
        """Write ``raw`` to ``destination``; nothing is left there after an error.

        Raises:
            SourceChangedError: the object was replaced before or while it was read.
            RemoteFileMissingError: it was removed.
            StorageError: what arrived is not what the bucket's checksum says.
            CancelledError: soon after ``cancel`` was set.
        """
        fetch = _Fetch(raw, key, destination, cancel, on_bytes)
        try:
            expected = expected_checksum(self._head(fetch))
            sha256, found = self._read(fetch, expected)
            checked_by = expected.name
            if found != expected.value and checked_by == "MD5":
                # Some ETags only look like an MD5 (S3 Express has such). Two readings are not wrong in the same way.
                again, _ = self._read(fetch, Expected("size", None))
                if again == sha256:
                    found, checked_by = expected.value, "reading twice"
        except _ReplacedError as error:
            raise SourceChangedError(f"{self._uri(key)} was replaced meanwhile; take what is there now") from error
        if found != expected.value:
            destination.unlink(missing_ok=True)
            raise StorageError(
                f"{self._uri(key)} arrived with the {expected.name} {found}, and the bucket says {expected.value}; if "
                "that stays so, upload it again"
            )
        return Downloaded(raw, sha256, checked_by)

    def _read(self, fetch: "_Fetch", expected: Expected) -> tuple[str, str | None]:
        """SHA-256 in hexadecimal, and what is to be compared with ``expected``."""
        sha256, other = hashlib.sha256(), digest_for(expected)
        digests = [sha256] if other is None else [sha256, other]
        try:
            with local_errors(fetch.destination), fetch.destination.open("wb") as file:
                for start in range(0, fetch.raw.size_bytes, self._piece_bytes):
                    end = min(start + self._piece_bytes, fetch.raw.size_bytes)
                    read = partial(self._read_until, end, file, digests, fetch)
                    self._retry.call(read, what=f"download of {self._uri(fetch.key)}", cancel=fetch.cancel)
            self._head(fetch)
        except BaseException:
            fetch.destination.unlink(missing_ok=True)
            raise
        return sha256.hexdigest(), None if other is None else as_base64(other.digest().hex())

    def _read_until(self, end: int, file: BinaryIO, digests: Sequence[Digest], fetch: "_Fetch") -> None:
        """From where the last attempt ended."""
        start = file.tell()
        if start == end:  # everything came before the connection broke
            return
        with self._calls(fetch) as client:
            answer = client.get_object(
                Bucket=self._bucket, Key=fetch.key, Range=f"bytes={start}-{end - 1}", IfMatch=f'"{fetch.raw.etag}"'
            )
            with answer["Body"] as body:
                if not answer.get("ContentRange", "").startswith(f"bytes {start}-{end - 1}/"):
                    raise StorageError(f"{self._uri(fetch.key)}: the server sends other bytes than it was asked for")
                while data := body.read(READ_BYTES):
                    if fetch.cancel.is_set():
                        raise CancelledError(f"{self._uri(fetch.key)}: the run is being stopped")
                    file.write(data)
                    for digest in digests:
                        digest.update(data)
                    fetch.on_bytes(len(data))
        if file.tell() != end:
            raise ConnectionLostError(f"{self._uri(fetch.key)} ended after {file.tell():,} bytes instead of {end:,}")

    def _head(self, fetch: "_Fetch") -> Mapping[str, Any]:
        def attempt() -> Mapping[str, Any]:
            with self._calls(fetch) as client:
                return client.head_object(  # type: ignore[no-any-return]
                    Bucket=self._bucket, Key=fetch.key, IfMatch=f'"{fetch.raw.etag}"', ChecksumMode="ENABLED"
                )

        answer = self._retry.call(attempt, what=self._uri(fetch.key), cancel=fetch.cancel)
        if told(answer, "ContentLength", self._uri(fetch.key)) != fetch.raw.size_bytes:
            raise _ReplacedError(fetch.key)
        return answer

    @contextmanager
    def _calls(self, fetch: "_Fetch") -> Iterator[Any]:
        try:
            with self._client.calls(self._uri(fetch.key)) as client:
                yield client
        except ConditionFailedError as error:
            raise _ReplacedError(fetch.key) from error
        except AuthenticationError as error:
            # With rights to list some prefixes only, AWS says "denied" of what is missing.
            if self._objects.find(fetch.key) is None:
                raise RemoteFileMissingError(f"{self._uri(fetch.key)} does not exist any more") from error
            raise

    def _uri(self, key: str) -> str:
        return self._objects.uri(key)


@dataclass(frozen=True)
class _Fetch:
    raw: RawObject
    key: str
    destination: Path
    cancel: threading.Event
    on_bytes: OnBytes


class _ReplacedError(PermanentError):
    """There is another object under this key; no further attempt changes that."""
