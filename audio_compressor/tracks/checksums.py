"""Which checksum of an object, as the bucket keeps it, is compared with what was read of it."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from audio_compressor.storage.s3_body import Crc32, as_base64


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


@dataclass(frozen=True)
class Expected:
    """``value`` is in base64, as the bucket writes it; None with "size", when there is nothing to compare."""

    name: str
    value: str | None


def expected_checksum(head: Mapping[str, Any]) -> Expected:
    """The best checksum in the answer to HEAD: SHA256, SHA1, CRC64NVME (which AWS makes of whatever comes without one)
    or CRC32; else the ETag, where that is the MD5; else nothing but the size. CRC32C is
    left out: few choose it, and Python has none.

    Those of objects that came in parts are of their parts' checksums and end with ``-`` and a number, unless they are
    of the whole (Amazon S3 user guide, "Checking object integrity").
    """
    for name in _DIGESTS:
        value = head.get(f"Checksum{name}")
        if value and "-" not in value:
            return Expected(name, value)
    etag = head["ETag"].strip('"')
    if _MD5.fullmatch(etag) and head.get("ServerSideEncryption", "AES256") == "AES256":
        return Expected("MD5", as_base64(etag))
    return Expected("size", None)


def digest_for(expected: Expected) -> Digest | None:
    """A new one of the kind to compare with."""
    if expected.value is None:
        return None
    return _md5() if expected.name == "MD5" else _DIGESTS[expected.name]()


_MD5 = re.compile(r"[0-9a-f]{32}")


def _md5() -> Digest:
    return hashlib.md5(usedforsecurity=False)


def _sha1() -> Digest:
    return hashlib.sha1(usedforsecurity=False)


def _crc64nvme() -> Digest:
    from audio_compressor.tracks.crc64 import Crc64Nvme  # numpy takes a while, and most objects have better

    return Crc64Nvme()


_DIGESTS: Mapping[str, Callable[[], Digest]] = {
    "SHA256": hashlib.sha256,
    "SHA1": _sha1,
    "CRC64NVME": _crc64nvme,
    "CRC32": Crc32,
}
