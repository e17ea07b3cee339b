"""Which checksum a server takes with what is sent, found out once, and whether its answer confirms it."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from audio_compressor.storage.s3_body import Piece, as_base64
from audio_compressor.storage.s3_client import UnsupportedError

log = logging.getLogger(__name__)
Result = TypeVar("Result")

# MD5 travels as `Content-MD5` (RFC 1864), which servers know that refuse every `x-amz-checksum-…` header.
Algorithm = Literal["SHA256", "CRC32", "MD5"]
CheckedBy = Literal["SHA256", "CRC32", "ETag", "reading back"]
_IN_ORDER: tuple[Algorithm, ...] = ("SHA256", "CRC32", "MD5")


class Negotiation:
    """Remembers the first checksum that the server did not refuse."""

    def __init__(self) -> None:
        self._agreed: Algorithm | None = None
        self._asking = threading.Lock()

    def call(self, attempt: Callable[[Algorithm], Result]) -> Result:
        """``attempt`` with the checksum that the server takes; while none is known, one thread finds it out.

        Raises:
            UnsupportedError: the server refuses all of them, which means that it is something else that it refuses.
        """
        if self._agreed is None:
            with self._asking:
                if self._agreed is None:
                    return self._ask(attempt)
        return attempt(self._agreed)

    def _ask(self, attempt: Callable[[Algorithm], Result]) -> Result:
        refusals: list[UnsupportedError] = []
        for algorithm in _IN_ORDER:
            try:
                result = attempt(algorithm)
            except UnsupportedError as error:
                refusals.append(error)
            else:
                if refusals:
                    log.warning("%s; files are sent with %s from now on", refusals[0], algorithm)
                self._agreed = algorithm
                return result
        raise refusals[0]


def header(algorithm: Algorithm, piece: Piece) -> dict[str, str]:
    """What goes with the request of boto3, so that the server compares."""
    if algorithm == "SHA256":
        return {"ChecksumSHA256": as_base64(piece.sha256)}
    if algorithm == "CRC32":
        return {"ChecksumCRC32": as_base64(piece.crc32)}
    return {"ContentMD5": as_base64(piece.md5)}


def confirmed_by(answer: Mapping[str, Any], algorithm: Algorithm, piece: Piece) -> CheckedBy | None:
    """What in the answer proves that the server has these bytes, or None.

    A server that does not know the header may ignore it, so silence is no proof. The ETag is the MD5 of what was
    written, but with SSE-KMS (Amazon S3 API reference, "Object").
    """
    if algorithm != "MD5" and answer.get(f"Checksum{algorithm}") == header(algorithm, piece)[f"Checksum{algorithm}"]:
        return algorithm
    return "ETag" if str(answer.get("ETag", "")).strip('"') == piece.md5 else None
