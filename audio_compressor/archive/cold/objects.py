"""The objects of cold storage one by one: looked at, read, thawed, removed. What they prove is not known here."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from audio_compressor.archive.cold.keys import uri_of
from audio_compressor.archive.cold.proof import Held, held
from audio_compressor.archive.cold.thawing import explain_thawing, restore_request
from audio_compressor.errors import (
    AuthenticationError,
    CancelledError,
    ConnectionLostError,
    RemoteFileMissingError,
    StorageError,
    ThawingError,
)
from audio_compressor.retries import Retry
from audio_compressor.storage.s3_client import FrozenObjectError, S3Client
from audio_compressor.storage.s3_objects import S3Objects

# One request brings at most so much and has its own retries, so that a connection that drops every few minutes still
# brings a recording of many gigabytes.
READ_PIECE_BYTES = 64 * 1024 * 1024


class ColdObjects:
    """Of one bucket; may be used by several threads. All end with CancelledError soon after ``cancel`` was set."""

    def __init__(
        self, client: S3Client, bucket: str, retry: Retry, read_piece_bytes: int, cancel: threading.Event
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._retry = retry
        self._read_piece_bytes = read_piece_bytes
        self._cancel = cancel
        self._objects = S3Objects(client, bucket, retry, workers=1)

    def uri(self, key: str) -> str:
        return uri_of(self._bucket, key)

    def remove(self, key: str) -> None:
        """One that is gone already is fine."""
        self._objects.remove([key], self._cancel)

    def read_small(self, key: str, most_bytes: int) -> bytes:
        return self._objects.read(key, most_bytes)

    def look(self, key: str) -> Held:
        """Raises RemoteFileMissingError: there is none."""
        uri = self.uri(key)

        def attempt() -> Held:
            with self._client.calls(uri) as client:
                return held(client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED"), uri)

        try:
            return self._retry.call(attempt, what=uri, cancel=self._cancel)
        except AuthenticationError as error:
            # With rights to list one prefix only, AWS says "denied" of what is missing.
            if self._objects.find(key) is None:
                raise RemoteFileMissingError(f"{uri} does not exist") from error
            raise

    def read(self, key: str, there: Held, take: Callable[[bytes], object]) -> None:
        """Hand out the object as it was looked at, piece by piece. Raises FrozenObjectError: it cannot be read."""
        uri = self.uri(key)
        position = 0

        def read_until(end: int) -> None:
            """From where the last attempt ended."""
            nonlocal position
            if position == end:  # everything came before the connection broke
                return
            request = {"Bucket": self._bucket, "Key": key, "IfMatch": f'"{there.etag}"'}
            for data in self._client.pieces(uri, Range=f"bytes={position}-{end - 1}", **request):
                if self._cancel.is_set():
                    raise CancelledError(f"{uri}: the run is being stopped")
                if len(data) > end - position:
                    raise StorageError(f"{uri}: the server sends other bytes than it was asked for")
                take(data)
                position += len(data)
            if position != end:
                raise ConnectionLostError(f"{uri} ended after {position:,} bytes instead of {end:,}")

        for start in range(0, there.size_bytes, self._read_piece_bytes):
            end = min(start + self._read_piece_bytes, there.size_bytes)
            self._retry.call(partial(read_until, end), what=f"reading of {uri}", cancel=self._cancel)

    def thaw(self, key: str, there: Held, cause: FrozenObjectError) -> NoReturn:
        """Have the store fetch up what it cannot hand out (see thawing.py). Always raises ThawingError, or what else
        goes wrong.
        """
        uri = self.uri(key)

        def ask() -> Any:
            with self._client.calls(uri) as client:
                request = restore_request(there)
                return client.restore_object(Bucket=self._bucket, Key=key, RestoreRequest=request)

        was_asked_before = there.is_thawing
        if not was_asked_before:
            try:
                self._retry.call(ask, what=f"thawing of {uri}", cancel=self._cancel)
            except StorageError:
                was_asked_before = self.look(key).is_thawing  # by somebody else, since we looked
                if not was_asked_before:
                    raise
        raise ThawingError(explain_thawing(uri, there, was_asked_before=was_asked_before)) from cause
