"""Lists, reads and removes the objects of one bucket.

Whether an object exists is always told by a listing: with rights to list some prefixes only, AWS answers "denied" and
not "missing" to everything else (Amazon S3 API reference, "HeadObject", permissions).
"""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from audio_compressor.errors import CancelledError, StorageError
from audio_compressor.retries import Retry
from audio_compressor.storage.s3_client import S3Client, told
from audio_compressor.storage.side_by_side import Task, side_by_side


@dataclass(frozen=True)
class Listed:
    """An object as a listing shows it; ``etag`` without its quotes."""

    size_bytes: int
    etag: str
    modified_at: datetime


@dataclass(frozen=True)
class Listing:
    """Objects by their name below the prefix; ``at`` is the server's time of the listing, as ``modified_at`` is."""

    objects: Mapping[str, Listed]
    at: datetime


@dataclass(frozen=True)
class Unfinished:
    """``at`` is the server's time of the listing, as ``begun_at`` is."""

    key: str
    upload_id: str
    begun_at: datetime
    at: datetime


class S3Objects:
    """Of one bucket; may be used by several threads."""

    def __init__(self, client: S3Client, bucket: str, retry: Retry, workers: int) -> None:
        self._client = client
        self._bucket = bucket
        self._retry = retry
        self._workers = workers

    def uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{quote(key)}"

    def listing(self, prefix: str, *, only_this_level: bool = False) -> Listing:
        """Everything whose key begins with ``prefix``; ``only_this_level`` leaves out what has a slash behind it."""
        return self._retry.call(lambda: self._listing(prefix, "/" if only_this_level else ""), what=self.uri(prefix))

    def _listing(self, prefix: str, delimiter: str) -> Listing:
        objects: dict[str, Listed] = {}
        at = None
        with self._client.calls(self.uri(prefix)) as client:
            pages = client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix, **({"Delimiter": delimiter} if delimiter else {})
            )
            for page in pages:
                at = at or _date_of(page)
                items = _whole(page, self.uri(prefix)).get("Contents", [])
                objects |= {item["Key"].removeprefix(prefix): _listed(item) for item in items}
        return Listing(objects, at or datetime.now(UTC))

    def find(self, key: str) -> Listed | None:
        def attempt() -> Any:
            with self._client.calls(self.uri(key)) as client:
                # Among all keys that begin with it, it is the first (in UTF-8 binary order).
                page = client.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1)
                return _whole(page, self.uri(key)).get("Contents", [])

        found = self._retry.call(attempt, what=self.uri(key))
        return next((_listed(item) for item in found if item["Key"] == key), None)

    def read(self, key: str, most_bytes: int) -> bytes:
        """A small object.

        Raises:
            RemoteFileMissingError: there is none.
            StorageError: it has more than ``most_bytes``.
        """
        return self._retry.call(lambda: self._read(key, most_bytes), what=self.uri(key))

    def _read(self, key: str, most_bytes: int) -> bytes:
        data = bytearray()
        for piece in self._client.pieces(self.uri(key), Bucket=self._bucket, Key=key):
            data += piece
            if len(data) > most_bytes:
                raise StorageError(f"{self.uri(key)} has more than {most_bytes:,} bytes; what is it?")
        return bytes(data)

    def sha256(self, key: str, cancel: threading.Event) -> str:
        """Of a whole object, read for that. Raises CancelledError and what `read` raises."""

        def attempt() -> str:
            digest = hashlib.sha256()
            for data in self._client.pieces(self.uri(key), Bucket=self._bucket, Key=key):
                if cancel.is_set():
                    raise CancelledError(f"{self.uri(key)}: the run is being stopped")
                digest.update(data)
            return digest.hexdigest()

        return self._retry.call(attempt, what=self.uri(key), cancel=cancel)

    def remove(self, keys: Sequence[str], cancel: threading.Event) -> None:
        """One request for each: servers differ in the checksum that they want with a list of keys."""

        def task(key: str) -> Task[None]:
            def attempt() -> None:
                with self._client.calls(self.uri(key)) as client:
                    client.delete_object(Bucket=self._bucket, Key=key)

            return lambda stop: self._retry.call(attempt, what=self.uri(key), cancel=stop)

        side_by_side([task(key) for key in keys], self._workers, cancel, "removal")

    def unfinished(self, prefix: str) -> list[Unfinished]:
        """Uploads in parts that were neither completed nor aborted: they run, or their process was killed."""

        def attempt() -> list[Unfinished]:
            with self._client.calls(self.uri(prefix)) as client:
                pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=prefix)
                return [
                    Unfinished(item["Key"], item["UploadId"], item["Initiated"].astimezone(UTC), _date_of(page))
                    for page in pages
                    for item in _whole(page, self.uri(prefix)).get("Uploads", [])
                ]

        return self._retry.call(attempt, what=self.uri(prefix))


def _whole(page: Mapping[str, Any], uri: str) -> Mapping[str, Any]:
    """A failed listing is never taken for an empty one."""
    told(page, "IsTruncated", uri)
    return page


def _listed(item: Mapping[str, Any]) -> Listed:
    return Listed(item["Size"], item["ETag"].strip('"'), item["LastModified"].astimezone(UTC))


def _date_of(answer: Mapping[str, Any]) -> datetime:
    """The server's clock, against which the times in its answer are compared; ours may differ (RFC 9110, 6.6.1)."""
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(date).astimezone(UTC) if date else datetime.now(UTC)
