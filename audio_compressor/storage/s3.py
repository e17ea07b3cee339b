"""Results in an S3 bucket, Amazon's or another that speaks its protocol.

An object appears whole or not at all, so there are no part files. The SHA-256 travels with the request, so that the
server compares it with what it received, and stays in the object's metadata.
"""

import base64
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from audio_compressor.errors import RemoteFileMissingError, StorageError
from audio_compressor.local_files import local_errors, sha256_of
from audio_compressor.storage.base import HIDDEN, NewFile, OnExisting, PublishingStorage, StoredFile, versions_among
from audio_compressor.storage.s3_body import Body
from audio_compressor.storage.s3_client import (
    SINGLE_REQUEST_BYTES,
    ConditionFailedError,
    S3Client,
    UnsupportedError,
    told,
)

_SHA256_KEY = "sha256"


class S3Storage(PublishingStorage):
    """Credentials and region are those of boto3's usual chain; the client is made when it is first needed."""

    location = "s3"

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        endpoint_url: str = "",
        on_existing: OnExisting = "timestamp",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        single_request_bytes: int = SINGLE_REQUEST_BYTES,
    ) -> None:
        super().__init__(on_existing, now)
        self._bucket = bucket
        self._prefix = prefix
        self._single_request_bytes = single_request_bytes
        self._client = S3Client(endpoint_url)

    def uri(self, name: str) -> str:
        return f"s3://{self._bucket}/{quote(self._key(name))}"

    def fetch(self, name: str, destination: Path) -> None:
        with local_errors(destination), self._client.calls(self.uri(name)) as client:
            client.download_file(self._bucket, self._key(name), str(destination))

    def find(self, name: str) -> StoredFile | None:
        found = self._head(name)
        return None if found is None else StoredFile(found["ContentLength"], int(found["LastModified"].timestamp()))

    def entries(self) -> Mapping[str, StoredFile]:
        return self._list(self._prefix)

    def remove(self, name: str) -> None:
        with self._client.calls(self.uri(name)) as client:
            client.delete_object(Bucket=self._bucket, Key=self._key(name))

    def check_writable(self) -> str:
        name = f"{HIDDEN}probe"
        with self._client.calls(self.uri(name)) as client:
            client.put_object(Bucket=self._bucket, Key=self._key(name), Body=b"probe")
            client.delete_object(Bucket=self._bucket, Key=self._key(name))
        return f"s3://{self._bucket}/{quote(self._prefix)} can be written"

    def close(self) -> None:
        """A ``publish`` in another thread ends with its next request, or its next piece that is sent of an object in
        one request. What boto3 cannot be torn from: waiting for the server's answer (at most 60 s), and an upload in
        several parts, for objects over 5 GB.
        """
        self._client.close()

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _versions(self, name: str) -> Mapping[str, StoredFile]:
        return versions_among(name, self._list(self._key(name.rpartition(".")[0])))

    def _sha256(self, name: str) -> str:
        found = self._head(name)
        recorded = None if found is None else found["Metadata"].get(_SHA256_KEY)
        if recorded is not None:
            return str(recorded)
        # Put there by another program.
        with tempfile.TemporaryDirectory() as directory:
            copy = Path(directory, "copy")
            self.fetch(name, copy)
            return sha256_of(copy)

    def _put(self, file: NewFile, target: str, *, replace: bool) -> bool:
        uri = self.uri(target)
        if file.size_bytes > self._single_request_bytes:
            if not replace and self._head(target) is not None:
                return False
            with local_errors(file.path), self._client.calls(uri) as client:
                extra = {"Metadata": {_SHA256_KEY: file.sha256}, "ChecksumAlgorithm": "SHA256"}
                client.upload_file(str(file.path), self._bucket, self._key(target), ExtraArgs=extra)
        elif not self._put_at_once(file, target, replace=replace):
            return False
        found = self.find(target)
        if found is None or found.size_bytes != file.size_bytes:
            raise StorageError(f"{uri} is not there with its {file.size_bytes:,} bytes after the upload")
        return True

    def _put_at_once(self, file: NewFile, target: str, *, replace: bool) -> bool:
        condition: dict[str, Any] = {} if replace else {"IfNoneMatch": "*"}
        try:
            with (
                local_errors(file.path),
                Body(file.path, self._client.closed) as body,
                self._client.calls(self.uri(target)) as client,
            ):
                client.put_object(
                    Bucket=self._bucket,
                    Key=self._key(target),
                    Body=body,
                    Metadata={_SHA256_KEY: file.sha256},
                    ChecksumSHA256=base64.b64encode(bytes.fromhex(file.sha256)).decode(),
                    **condition,
                )
        except ConditionFailedError:
            return False
        except UnsupportedError:
            if replace:  # it was not the condition that the server does not know
                raise
            if self._head(target) is not None:
                return False
            return self._put_at_once(file, target, replace=True)
        return True

    def _head(self, name: str) -> Any:
        try:
            with self._client.calls(self.uri(name)) as client:
                return client.head_object(Bucket=self._bucket, Key=self._key(name))
        except RemoteFileMissingError:
            return None

    def _list(self, start: str) -> dict[str, StoredFile]:
        files = {}
        with self._client.calls(f"s3://{self._bucket}/{quote(start)}") as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=start, Delimiter="/")
            for page in pages:
                told(page, "IsTruncated", self.uri(""))  # or it is no listing at all
                for item in page.get("Contents", []):
                    name = item["Key"].removeprefix(self._prefix)
                    if name and not name.startswith(HIDDEN):
                        files[name] = StoredFile(item["Size"], int(item["LastModified"].timestamp()))
        return files
