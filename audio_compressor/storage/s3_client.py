"""The client of an S3 endpoint, Amazon's or another that speaks its protocol, and its errors as this project's.

What is stored where belongs to those who use it: `storage/s3.py` for recordings, `tracks/` for tracks.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal
from urllib.parse import urlsplit

from audio_compressor.errors import (
    AudioCompressorError,
    AuthenticationError,
    CancelledError,
    ConfigurationError,
    ConnectionLostError,
    CredentialsError,
    PermanentError,
    RemoteFileMissingError,
    StorageError,
    TimedOutError,
)

# The largest object that one request may write or copy (Amazon S3 user guide, "Uploading objects" and "Copying
# objects"), taken as decimal to stay below either reading of "5 GB".
SINGLE_REQUEST_BYTES = 5_000_000_000

READ_BYTES = 1024 * 1024

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
_CONDITION_FAILED = {"412", "PreconditionFailed"}
# What servers answer that do not know a header or a condition.
_UNSUPPORTED = {"501", "NotImplemented", "InvalidArgument"}
# What Amazon answers to a checksum that is not of what came, and what MinIO does.
_OTHER_CHECKSUM = {"BadDigest", "XAmzContentChecksumMismatch"}


class S3Client:
    """Credentials and region are those of boto3's usual chain; the client is made when it is first needed.

    Methods may be called from several threads; ``connections`` is how many of them can talk at once. With
    ``own_checksums``, boto3 adds none by itself to what is sent: servers that do not know them refuse the request.
    """

    def __init__(self, endpoint_url: str = "", *, connections: int = 10, own_checksums: bool = False) -> None:
        self._endpoint_url = endpoint_url
        self._connections = connections
        self._checksums: Literal["when_required", "when_supported"] = (
            "when_required" if own_checksums else "when_supported"
        )
        self._made: Any = None
        self._making = threading.Lock()
        self.closed = threading.Event()

    @contextmanager
    def calls(self, uri: str) -> Iterator[Any]:
        """boto3's client; every library error of the block becomes one of ours, whose text begins with ``uri``."""
        # Imported here, because boto3 takes half a second and most installations never use it.
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError

        try:
            self.raise_if_closed(uri)
            yield self._client()
        except ClientError as error:
            raise _answer(error.response, uri) from error
        except (BotoCoreError, Boto3Error) as error:
            self.raise_if_closed(uri, error)
            raise _failure(error, uri) from error
        except (HTTPError, ConnectionError) as error:  # what boto3 lets through while an answer is read
            self.raise_if_closed(uri, error)
            raise ConnectionLostError(f"{uri}: {error}") from error

    def pieces(self, uri: str, **request: Any) -> Iterator[bytes]:
        """What `get_object` brings, to its very end: a connection that breaks is an error and no shorter object."""
        with self.calls(uri) as client:
            answer = client.get_object(**request)
            with answer["Body"] as body:
                told(answer, "ContentLength", uri)
                while data := body.read(READ_BYTES):
                    yield data

    def close(self) -> None:
        """For good. What is being read or sent in another thread ends with its next piece, if it looks at ``closed``,
        or else with its answer (at most 60 s); boto3 cannot be torn from a request.
        """
        self.closed.set()
        with self._making:
            if self._made is not None:
                self._made.close()

    def raise_if_closed(self, uri: str, cause: Exception | None = None) -> None:
        """Raises CancelledError."""
        if self.closed.is_set():
            raise CancelledError(f"{uri}: the run is being stopped") from cause

    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        with self._making:
            if self._made is None:
                config = Config(
                    connect_timeout=15,
                    read_timeout=60,
                    retries={"total_max_attempts": 2},
                    max_pool_connections=self._connections,
                    request_checksum_calculation=self._checksums,
                )
                session = boto3.session.Session()
                made = session.client("s3", endpoint_url=self._endpoint_url or None, config=config)
                made.meta.events.register_last("before-call.s3", _send_at_once)
                self._made = made
            return self._made


def _send_at_once(params: dict[str, Any], **_: object) -> None:
    """Without asking for a "100 Continue" first. A connection that breaks inside that answer keeps botocore 1.44 busy
    for ever (seen in the tests), and one answer of another kind spoils the connection for the next request, which then
    stalls for 60 s (https://github.com/boto/botocore/issues/3755).
    """
    params["headers"].pop("Expect", None)


def told(answer: Mapping[str, Any], member: str, uri: str) -> Any:
    """What every answer of its kind holds. A connection that breaks inside the headers leaves an answer that looks
    whole and empty, such as a listing of nothing (seen in the tests). Raises ConnectionLostError.
    """
    if member not in answer:
        raise ConnectionLostError(f"{uri}: the answer was cut off: it has no {member}")
    return answer[member]


class ConditionFailedError(StorageError):
    """The condition of a request did not hold: an object is there, or is not the one that was expected."""


class UnsupportedError(StorageError):
    """The server does not know something of the request, such as a condition or a checksum."""


class OtherChecksumError(StorageError):
    """The server has compared: what came does not have the checksum that came with it."""


class FrozenObjectError(PermanentError):
    """The object is there, but in a storage class that it cannot be read from before it is thawed."""


def _answer(response: Any, uri: str) -> AudioCompressorError:
    code = str(response.get("Error", {}).get("Code", ""))
    text = f"{uri}: {code}: {response.get('Error', {}).get('Message', 'no message')}"
    if code in _MISSING:
        return RemoteFileMissingError(f"{uri} does not exist")
    if code == "NoSuchBucket":
        return ConfigurationError([f"{text}; create the bucket, or correct S3_BUCKET (TRACKS_BUCKET, COLD_BUCKET)"])
    if code in _UNAUTHENTICATED:
        return AuthenticationError(f"{text}; check the AWS credentials")
    if code in _DENIED:
        # Rights are given for a bucket or a prefix: to other objects there is as little access as to this one.
        return AuthenticationError(
            f"{text}; the AWS account may not do this: it needs s3:PutObject, s3:GetObject, s3:DeleteObject and "
            "s3:ListBucket on this bucket"
        )
    if code in _CONDITION_FAILED:
        return ConditionFailedError(text)
    if code in _UNSUPPORTED:
        return UnsupportedError(text)
    if code in _OTHER_CHECKSUM:
        return OtherChecksumError(text)
    if code == "InvalidObjectState":
        return FrozenObjectError(text)
    return StorageError(text)


def _failure(error: Exception, uri: str) -> AudioCompressorError:
    from botocore import exceptions

    text = f"{uri}: {error}"
    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return CredentialsError(
            f"{uri}: there are no AWS credentials; give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if isinstance(error, exceptions.EndpointConnectionError):
        endpoint = urlsplit(str(error.kwargs.get("endpoint_url"))).netloc  # of the request, which nobody needs to see
        return ConnectionLostError(f"{uri}: cannot connect to {endpoint}; check S3_ENDPOINT_URL and the network")
    if isinstance(error, exceptions.ConnectTimeoutError | exceptions.ReadTimeoutError):
        return TimedOutError(text)
    if isinstance(error, exceptions.HTTPClientError | exceptions.ConnectionError | exceptions.IncompleteReadError):
        return ConnectionLostError(text)
    return StorageError(text)
