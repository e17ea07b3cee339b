"""What is sent in one request: a file, a piece of one, or bytes; with the digests that servers may ask for."""

import base64
import hashlib
import io
import threading
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from audio_compressor.errors import CancelledError
from audio_compressor.local_files import local_errors

_READ_BYTES = 1024 * 1024


class Body(io.RawIOBase):
    """A file, or ``size_bytes`` of it from ``start_byte`` on; ends with an error once ``stopped`` is set, because boto3
    has no way to stop a request. A body of which all has been handed out does not: the server writes it, and whoever
    sent it waits for the answer, so that nothing appears behind their back.
    """

    def __init__(
        self, path: Path, stopped: threading.Event, start_byte: int = 0, size_bytes: int | None = None
    ) -> None:
        self._file = path.open("rb", buffering=0)
        self._path = path
        self._stopped = stopped
        self._start = start_byte
        self._size = self._file.seek(0, io.SEEK_END) - start_byte if size_bytes is None else size_bytes
        self.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._size}[whence]
        return self._file.seek(self._start + base + offset) - self._start

    def tell(self) -> int:
        return self._file.tell() - self._start

    def readinto(self, buffer: Any, /) -> int:
        left = max(0, self._size - self.tell())
        if left and self._stopped.is_set():
            raise CancelledError(f"{self._path} was not published: the run is being stopped")
        return self._file.readinto(memoryview(buffer)[:left]) or 0

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


@dataclass(frozen=True)
class Piece:
    """A piece of a file, or bytes (then ``start_byte`` is 0 and ``size_bytes`` their number)."""

    source: Path | bytes
    start_byte: int
    size_bytes: int

    @classmethod
    def whole(cls, source: Path | bytes) -> "Piece":
        """Raises StorageError and its kind: the file cannot be read."""
        if isinstance(source, bytes):
            return cls(source, 0, len(source))
        with local_errors(source):
            return cls(source, 0, source.stat().st_size)

    def open(self, stopped: threading.Event) -> BinaryIO | Body:
        if isinstance(self.source, bytes):
            return io.BytesIO(self.source)
        return Body(self.source, stopped, self.start_byte, self.size_bytes)

    @cached_property
    def sha256(self) -> str:
        """In hexadecimal."""
        return self._digest(hashlib.sha256()).hex()

    @cached_property
    def md5(self) -> str:
        """In hexadecimal, as in the ETag of an object that was written by one request."""
        return self._digest(hashlib.md5(usedforsecurity=False)).hex()

    @cached_property
    def crc32(self) -> str:
        return self._digest(Crc32()).hex()

    def _digest(self, digest: Any) -> bytes:
        if isinstance(self.source, bytes):
            digest.update(self.source)
        else:
            with local_errors(self.source), self.open(threading.Event()) as body:
                while data := body.read(_READ_BYTES):
                    digest.update(data)
        return bytes(digest.digest())


class Crc32:
    """With the methods of hashlib's digests."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def as_base64(hexadecimal: str) -> str:
    """As checksums are written in headers (RFC 1864 for MD5; Amazon S3 user guide, "Checking object integrity")."""
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()
