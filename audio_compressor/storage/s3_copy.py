"""Copies an object inside a bucket, without its bytes coming here."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from audio_compressor.errors import PermanentError, SourceChangedError
from audio_compressor.retries import Retry
from audio_compressor.storage.s3_client import SINGLE_REQUEST_BYTES, ConditionFailedError, S3Client, told
from audio_compressor.storage.s3_multipart import Part, in_parts
from audio_compressor.storage.s3_writer import NO_ENCRYPTION, Encryption

COPIED_PART_BYTES = 500_000_000
_WORKERS = 4


@dataclass(frozen=True)
class CopySource:
    """The copy is of this very version, or none is made."""

    key: str
    size_bytes: int
    etag: str


class S3Copier:
    """Of one bucket. Tags stay with the source: lifecycle rules may go by them, and reading them is a right more."""

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        retry: Retry,
        encryption: Encryption = NO_ENCRYPTION,
        single_request_bytes: int = SINGLE_REQUEST_BYTES,
        part_bytes: int = COPIED_PART_BYTES,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._retry = retry
        self._encryption = encryption
        self._single_request_bytes = single_request_bytes
        self._part_bytes = part_bytes

    def copy(self, source: CopySource, key: str, cancel: threading.Event) -> None:
        """Copy, or replace what is under ``key``.

        Raises:
            SourceChangedError: the source is another one by now.
            AudioCompressorError: after all retries.
        """
        copy = self._at_once if source.size_bytes <= self._single_request_bytes else self._part_by_part
        what = f"copy of {source.key} to {key}"
        try:
            self._retry.call(lambda: copy(source, key, cancel), what=what, cancel=cancel)
        except _ReplacedError as error:
            raise SourceChangedError(f"{what}: {source.key} was replaced meanwhile") from error

    def _at_once(self, source: CopySource, key: str, _: threading.Event) -> None:
        answer = self._request("copy_object", source, {"TaggingDirective": "REPLACE", **self._written_to(key)})
        told(answer, "CopyObjectResult", key)

    def _part_by_part(self, source: CopySource, key: str, cancel: threading.Event) -> None:
        starts = range(0, source.size_bytes, self._part_bytes)

        def task(number: int, start: int) -> Part:
            last = min(start + self._part_bytes, source.size_bytes) - 1
            range_ = {"PartNumber": number, "CopySourceRange": f"bytes={start}-{last}"}

            def copy(upload: Mapping[str, str], stop: threading.Event) -> dict[str, Any]:
                answer = self._retry.call(
                    lambda: self._request("upload_part_copy", source, {**upload, **range_}),
                    what=f"part {number} of {key}",
                    cancel=stop,
                )
                return {"PartNumber": number, "ETag": told(answer, "CopyPartResult", key)["ETag"]}

            return copy

        parts = [task(number, start) for number, start in enumerate(starts, start=1)]
        in_parts(self._client, self._written_to(key), parts, _WORKERS, self._retry, cancel)

    def _written_to(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": key, **self._encryption.parameters()}

    def _request(self, operation: str, source: CopySource, parameters: Mapping[str, Any]) -> Any:
        try:
            with self._client.calls(f"s3://{self._bucket}/{quote(parameters['Key'])}") as client:
                return getattr(client, operation)(
                    CopySource={"Bucket": self._bucket, "Key": source.key},
                    CopySourceIfMatch=f'"{source.etag}"',
                    **parameters,
                )
        except ConditionFailedError as error:
            raise _ReplacedError(str(error)) from error


class _ReplacedError(PermanentError):
    """The source is another one; no further attempt changes that."""
