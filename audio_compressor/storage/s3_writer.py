"""Writes objects so that what the server has is known to be what was sent: in one request, or in parts.

Every write is confirmed by a checksum that the server compared, by the ETag, or by reading back.
"""

import hashlib
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from audio_compressor.errors import CancelledError, StorageError
from audio_compressor.retries import Retry
from audio_compressor.storage.s3_body import Piece
from audio_compressor.storage.s3_checksums import Algorithm, CheckedBy, Negotiation, confirmed_by, header
from audio_compressor.storage.s3_client import S3Client, told
from audio_compressor.storage.s3_multipart import Part, in_parts

# Amazon S3 user guide, "Amazon S3 multipart upload limits": parts of 5 MiB to 5 GiB but for the last, at most 10,000.
_MOST_PARTS = 10_000


@dataclass(frozen=True)
class ObjectHeaders:
    """Values of Content-Type and Cache-Control, the storage class if it is not the bucket's usual one, and metadata."""

    content_type: str
    cache_control: str = ""
    storage_class: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    def parameters(self) -> dict[str, Any]:
        optional = {"CacheControl": self.cache_control, "StorageClass": self.storage_class, "Metadata": self.metadata}
        return {"ContentType": self.content_type, **{name: value for name, value in optional.items() if value}}


@dataclass(frozen=True)
class Encryption:
    """On the server's side; ``key_id`` is for ``aws:kms`` and may be empty for the account's own key."""

    kind: Literal["none", "AES256", "aws:kms"] = "none"
    key_id: str = ""

    def parameters(self) -> dict[str, str]:
        if self.kind == "none":
            return {}
        key = {"SSEKMSKeyId": self.key_id} if self.kind == "aws:kms" and self.key_id else {}
        return {"ServerSideEncryption": self.kind, **key}


NO_ENCRYPTION = Encryption()


@dataclass(frozen=True)
class PartSizes:
    """Above ``single_bytes`` in parts of ``part_bytes``, ``workers`` of them at once."""

    single_bytes: int = 32 * 1024 * 1024
    part_bytes: int = 16 * 1024 * 1024
    workers: int = 4


DEFAULT_SIZES = PartSizes()


@dataclass(frozen=True)
class Written:
    key: str
    size_bytes: int
    sha256: str
    etag: str
    checked_by: CheckedBy


class S3Writer:
    """Of one bucket; may be used by several threads. ``client`` must leave checksums to its users."""

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        retry: Retry,
        encryption: Encryption = NO_ENCRYPTION,
        sizes: PartSizes = DEFAULT_SIZES,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._retry = retry
        self._encryption = encryption
        self._sizes = sizes
        # Some servers take a checksum with whole objects only.
        self._in_one, self._in_parts = Negotiation(), Negotiation()

    def put(self, key: str, piece: Piece, headers: ObjectHeaders, stop: threading.Event) -> Written:
        """Write an object, or replace one; other readers see the old one until the new one is whole.

        Raises:
            CancelledError: soon after ``stop`` was set.
            AudioCompressorError: after all retries; there may be an object, but never a part of one.
        """
        common = {
            "Bucket": self._bucket,
            "Key": key,
            **headers.parameters(),
            **self._encryption.parameters(),
        }
        is_small = not self.parts_of(piece)
        negotiation, attempt = (self._in_one, self._at_once) if is_small else (self._in_parts, self._part_by_part)
        return self._retry.call(
            lambda: negotiation.call(lambda algorithm: attempt(piece, common, algorithm, stop)),
            what=self._uri(key),
            cancel=stop,
        )

    def _at_once(self, piece: Piece, common: Mapping[str, str], algorithm: Algorithm, stop: threading.Event) -> Written:
        with self._client.calls(self._uri(common["Key"])) as client, piece.open(stop) as body:
            answer = client.put_object(Body=body, **common, **header(algorithm, piece))
        return self._confirmed(common["Key"], piece, answer, confirmed_by(answer, algorithm, piece), stop)

    def _part_by_part(
        self, piece: Piece, common: Mapping[str, str], algorithm: Algorithm, stop: threading.Event
    ) -> Written:
        proofs: list[CheckedBy | None] = []

        def task(number: int, part: Piece) -> Part:
            def send(upload: Mapping[str, str], stop: threading.Event) -> dict[str, Any]:
                entry, proof = self._part(upload, number, part, algorithm, stop)
                proofs.append(proof)
                return entry

            return send

        create = common if algorithm == "MD5" else {**common, "ChecksumAlgorithm": algorithm}
        parts = [task(number, part) for number, part in enumerate(self.parts_of(piece), start=1)]
        answer = in_parts(self._client, create, parts, self._sizes.workers, self._retry, stop)
        return self._confirmed(common["Key"], piece, answer, None if None in proofs else proofs[0], stop)

    def parts_of(self, piece: Piece) -> list[Piece]:
        """In what it is sent; none when that is one request."""
        if piece.size_bytes <= self._sizes.single_bytes:
            return []
        step = max(self._sizes.part_bytes, math.ceil(piece.size_bytes / _MOST_PARTS))
        starts = range(0, piece.size_bytes, step)
        return [Piece(piece.source, start, min(step, piece.size_bytes - start)) for start in starts]

    def _part(
        self, upload: Mapping[str, str], number: int, piece: Piece, algorithm: Algorithm, stop: threading.Event
    ) -> tuple[dict[str, Any], CheckedBy | None]:
        checks = header(algorithm, piece)

        def attempt() -> Any:
            with self._client.calls(self._uri(upload["Key"])) as client, piece.open(stop) as body:
                return client.upload_part(Body=body, PartNumber=number, **upload, **checks)

        answer = self._retry.call(attempt, what=f"part {number} of {self._uri(upload['Key'])}", cancel=stop)
        etag = told(answer, "ETag", self._uri(upload["Key"]))
        proof = confirmed_by(answer, algorithm, piece)
        # Without the checksum in the list, AWS refuses to complete what was begun with one.
        listed = {} if algorithm == "MD5" else checks
        return {"PartNumber": number, "ETag": etag, **listed}, proof

    def _confirmed(
        self, key: str, piece: Piece, answer: Mapping[str, Any], proof: CheckedBy | None, stop: threading.Event
    ) -> Written:
        etag = told(answer, "ETag", self._uri(key))
        if proof is None:
            self._read_back(key, piece, etag, stop)
            proof = "reading back"
        return Written(key, piece.size_bytes, piece.sha256, etag.strip('"'), proof)

    def _read_back(self, key: str, piece: Piece, etag: str, stop: threading.Event) -> None:
        digest = hashlib.sha256()
        for data in self._client.pieces(self._uri(key), Bucket=self._bucket, Key=key, IfMatch=etag):
            if stop.is_set():
                raise CancelledError(f"{self._uri(key)}: the run is being stopped")
            digest.update(data)
        if digest.hexdigest() != piece.sha256:
            raise StorageError(f"{self._uri(key)} does not hold what was sent; something on the way changes it")

    def _uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{quote(key)}"
