"""Results in an S3 bucket, Amazon's or another that speaks its protocol.

An object appears whole or not at all, so there are no part files. The SHA-256 travels with the request, so that the
server compares it with what it received, and stays in the object's metadata.
"""

import base64
import io
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from audio_compressor.errors import (
    AudioCompressorError,
    AuthenticationError,
    CancelledError,
    ConfigurationError,
    ConnectionLostError,
    CredentialsError,
    RemoteFileMissingError,
    StorageError,
    TimedOutError,
)
from audio_compressor.local_files import local_errors, sha256_of
from audio_compressor.storage.base import HIDDEN, NewFile, OnExisting, PublishingStorage, StoredFile, versions_among

# The largest object that one request may write (Amazon S3 user guide, "Uploading objects").
_SINGLE_REQUEST_BYTES = 5_000_000_000
_SHA256_KEY = "sha256"

_MISSING = {"404", "NoSuchKey", "NotFound"}
_DENIED = {"403", "AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden"}
_UNAUTHENTICATED = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "401",
    "NotSignedUp",
}
_TAKEN = {"412", "PreconditionFailed"}
# What servers answer that do not know conditional writes.
_UNCONDITIONAL = {"501", "NotImplemented", "InvalidArgument"}


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
        single_request_bytes: int = _SINGLE_REQUEST_BYTES,
    ) -> None:
        super().__init__(on_existing, now)
        self._bucket = bucket
        self._prefix = prefix
        self._endpoint_url = endpoint_url
        self._single_request_bytes = single_request_bytes
        self._made: Any = None
        self._closed = threading.Event()

    def uri(self, name: str) -> str:
        return f"s3://{self._bucket}/{quote(self._key(name))}"

    def fetch(self, name: str, destination: Path) -> None:
        with local_errors(destination), self._client(self.uri(name)) as client:
            client.download_file(self._bucket, self._key(name), str(destination))

    def find(self, name: str) -> StoredFile | None:
        found = self._head(name)
        return None if found is None else StoredFile(found["ContentLength"], int(found["LastModified"].timestamp()))

    def entries(self) -> Mapping[str, StoredFile]:
        return self._list(self._prefix)

    def remove(self, name: str) -> None:
        with self._client(self.uri(name)) as client:
            client.delete_object(Bucket=self._bucket, Key=self._key(name))

    def check_writable(self) -> str:
        name = f"{HIDDEN}probe"
        with self._client(self.uri(name)) as client:
            client.put_object(Bucket=self._bucket, Key=self._key(name), Body=b"probe")
            client.delete_object(Bucket=self._bucket, Key=self._key(name))
        return f"s3://{self._bucket}/{quote(self._prefix)} can be written"

    def close(self) -> None:
        """A ``publish`` in another thread ends with its next request, or its next piece that is sent of an object in
        one request. What boto3 cannot be torn from: waiting for the server's answer (at most 60 s), and an upload in
        several parts, for objects over 5 GB.
        """
        self._closed.set()
        if self._made is not None:
            self._made.close()

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
            with local_errors(file.path), self._client(uri) as client:
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
                _Body(file.path, self._closed) as body,
                self._client(self.uri(target)) as client,
            ):
                client.put_object(
                    Bucket=self._bucket,
                    Key=self._key(target),
                    Body=body,
                    Metadata={_SHA256_KEY: file.sha256},
                    ChecksumSHA256=base64.b64encode(bytes.fromhex(file.sha256)).decode(),
                    **condition,
                )
        except _TakenError:
            return False
        except _UnconditionalError:
            if replace or self._head(target) is not None:
                return False
            return self._put_at_once(file, target, replace=True)
        return True

    def _head(self, name: str) -> Any:
        try:
            with self._client(self.uri(name)) as client:
                return client.head_object(Bucket=self._bucket, Key=self._key(name))
        except RemoteFileMissingError:
            return None

    def _list(self, start: str) -> dict[str, StoredFile]:
        files = {}
        with self._client(f"s3://{self._bucket}/{quote(start)}") as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=start, Delimiter="/")
            for page in pages:
                for item in page.get("Contents", []):
                    name = item["Key"].removeprefix(self._prefix)
                    if name and not name.startswith(HIDDEN):
                        files[name] = StoredFile(item["Size"], int(item["LastModified"].timestamp()))
        return files

    @contextmanager
    def _client(self, uri: str) -> Iterator[Any]:
        """The client; every library error of the block becomes one of ours."""
        # Imported here, because boto3 takes half a second and most installations never use it.
        import boto3
        from boto3.exceptions import Boto3Error
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._raise_if_closed(uri)
            if self._made is None:
                config = Config(connect_timeout=15, read_timeout=60, retries={"total_max_attempts": 2})
                session = boto3.session.Session()
                self._made = session.client("s3", endpoint_url=self._endpoint_url or None, config=config)
            yield self._made
        except ClientError as error:
            raise _answer(error.response, uri) from error
        except (BotoCoreError, Boto3Error) as error:
            self._raise_if_closed(uri, error)
            raise _failure(error, uri) from error

    def _raise_if_closed(self, uri: str, cause: Exception | None = None) -> None:
        if self._closed.is_set():
            raise CancelledError(f"{uri}: the run is being stopped") from cause


class _Body(io.FileIO):
    """What is sent; ends with an error once ``stopped`` is set, because boto3 has no way to stop a request."""

    def __init__(self, path: Path, stopped: threading.Event) -> None:
        super().__init__(path)
        self._stopped = stopped

    def read(self, size: int | None = -1, /) -> bytes:
        if self._stopped.is_set():
            raise CancelledError(f"{self.name} was not published: the run is being stopped")
        return super().read(-1 if size is None else size) or b""


class _TakenError(StorageError):
    """There is an object under this key."""


class _UnconditionalError(StorageError):
    """The server does not know the condition "only if there is none"."""


def _answer(response: Any, uri: str) -> AudioCompressorError:
    code = str(response.get("Error", {}).get("Code", ""))
    text = f"{uri}: {code}: {response.get('Error', {}).get('Message', 'no message')}"
    if code in _MISSING:
        return RemoteFileMissingError(f"{uri} does not exist")
    if code == "NoSuchBucket":
        return ConfigurationError([f"{text}; create the bucket, or correct S3_BUCKET"])
    if code in _UNAUTHENTICATED:
        return AuthenticationError(f"{text}; check the AWS credentials")
    if code in _DENIED:
        # Rights are given for a bucket or a prefix: to other objects there is as little access as to this one.
        return AuthenticationError(
            f"{text}; the AWS account may not do this: it needs s3:PutObject, s3:GetObject, s3:DeleteObject and "
            "s3:ListBucket on this bucket"
        )
    if code in _TAKEN:
        return _TakenError(text)
    if code in _UNCONDITIONAL:
        return _UnconditionalError(text)
    return StorageError(text)


def _failure(error: Exception, uri: str) -> AudioCompressorError:
    from botocore import exceptions

    text = f"{uri}: {error}"
    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return CredentialsError(
            f"{uri}: there are no AWS credentials; give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if isinstance(error, exceptions.ConnectTimeoutError | exceptions.ReadTimeoutError):
        return TimedOutError(text)
    if isinstance(error, exceptions.HTTPClientError | exceptions.ConnectionError):
        return ConnectionLostError(text)
    return StorageError(text)
