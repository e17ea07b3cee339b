"""What a store's own words prove of an object, without a byte of it being read.

With an object, the SHA-256 of the whole is written as metadata, and what the store has to say of an object with this
content: its checksum, which for an object in parts is the SHA-256 of its parts' SHA-256 (Amazon S3 user guide,
"Checking object integrity"), and its ETag, which for those is the MD5 of their MD5. All are made in one reading of the
file.

A store's SHA-256 proves something only if the store compares it with what comes (see trust.py). The ETag is an MD5 only
without encryption by AWS KMS: one that agrees proves that the content came as it was sent, one that does not proves
nothing.
"""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from audio_compressor.errors import StorageError
from audio_compressor.local_files import local_errors
from audio_compressor.storage.s3_body import Piece, as_base64
from audio_compressor.storage.s3_client import READ_BYTES, told

CheckedBy = Literal["SHA-256", "SHA-256 of the parts", "reading back", "MD5"]

_SHA256, _CHECKSUM, _ETAG = "sha256", "checksum-sha256", "etag-md5"


class DamagedCopyError(StorageError):
    """What lies in cold storage is not what was archived."""


@dataclass(frozen=True)
class Digests:
    """Of a file: the SHA-256 of the whole in hexadecimal, and the checksum and ETag of an object made of it."""

    sha256: str
    checksum: str
    etag: str

    def as_metadata(self) -> dict[str, str]:
        return {_SHA256: self.sha256, _CHECKSUM: self.checksum, _ETAG: self.etag}


@dataclass(frozen=True)
class Held:
    """What a store tells of an object; ``checksum`` is its SHA-256 as the store writes it, or empty.

    ``archive_status`` is that of an object that INTELLIGENT_TIERING has moved out of reach, or empty.
    """

    size_bytes: int
    etag: str
    checksum: str
    metadata: Mapping[str, str]
    storage_class: str
    archive_status: str
    is_thawing: bool

    def told_by_checksum(self, sha256: str) -> CheckedBy | None:
        """How the checksum, if the store compares them, proves that this is the content. None: it does not; which does
        not prove that it is another, for nobody knows of what each store makes it.
        """
        if self.checksum == as_base64(sha256):
            return "SHA-256"
        recorded = self._recorded(_CHECKSUM, sha256) or ""
        # Not every store writes the number of parts behind it.
        is_as_recorded = self.checksum in {recorded, recorded.partition("-")[0]} - {""}
        return "SHA-256 of the parts" if is_as_recorded else None

    def agrees_in_md5(self, sha256: str) -> bool:
        return self._recorded(_ETAG, sha256) == self.etag

    def _recorded(self, name: str, sha256: str) -> str | None:
        """What was written of this content, when it is this content that it was written of."""
        return self.metadata.get(name) if self.metadata.get(_SHA256) == sha256 else None


def held(head: Mapping[str, Any], uri: str) -> Held:
    """The answer to HeadObject with its checksums. Raises ConnectionLostError: it was cut off."""
    return Held(
        size_bytes=told(head, "ContentLength", uri),
        etag=str(told(head, "ETag", uri)).strip('"'),
        checksum=head.get("ChecksumSHA256", ""),
        metadata=head.get("Metadata", {}),
        storage_class=head.get("StorageClass", "STANDARD"),
        archive_status=head.get("ArchiveStatus", ""),
        is_thawing='ongoing-request="true"' in head.get("Restore", ""),
    )


def digests_of(path: Path, whole: Piece, parts: Sequence[Piece], cancel: threading.Event) -> Digests:
    """Read the file once, from its beginning to its end; ``parts`` are what it is sent in, none for one request.

    Raises:
        CancelledError: soon after ``cancel`` was set.
        StorageError and its kin: it cannot be read.
    """
    sha256 = hashlib.sha256()
    of_parts = []
    for piece in parts or [whole]:
        part_sha256, part_md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        with local_errors(path), piece.open(cancel) as body:
            while data := body.read(READ_BYTES):
                for digest in (sha256, part_sha256, part_md5):
                    digest.update(data)
        of_parts.append((part_sha256.digest(), part_md5.digest()))
    if not parts:
        return Digests(sha256.hexdigest(), as_base64(sha256.hexdigest()), of_parts[0][1].hex())
    checksum = hashlib.sha256(b"".join(each for each, _ in of_parts)).hexdigest()
    etag = hashlib.md5(b"".join(each for _, each in of_parts), usedforsecurity=False).hexdigest()
    return Digests(sha256.hexdigest(), f"{as_base64(checksum)}-{len(parts)}", f"{etag}-{len(parts)}")
