"""Audio on its way into the store: a file, or a stream of which nobody may know yet how long it is."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from audio_compressor.errors import NotAudioError, SourceChangedError
from audio_compressor.local_files import local_errors

_BLOCK_BYTES = 1_048_576


@contextmanager
def opened(source: Path | BinaryIO) -> Iterator[BinaryIO]:
    """Somebody else's open file stays open. Raises AccessDeniedError, StorageError."""
    if not isinstance(source, Path):
        yield source
        return
    with ExitStack() as stack:
        with local_errors(source):
            file = stack.enter_context(source.open("rb"))
        yield file


def size_of(readable: BinaryIO) -> int | None:
    """How much is left to read, or None for what is still arriving."""
    if not readable.seekable():
        return None
    here = readable.tell()
    size_bytes = readable.seek(0, os.SEEK_END) - here
    readable.seek(here)
    return size_bytes


def copy(readable: BinaryIO, descriptor: int, size_bytes: int | None, name: str) -> None:
    """Write everything to an open file, and flush it to disk.

    Raises:
        SourceChangedError: it is not as much as it was to be.
        NotAudioError: there is nothing.
    """
    with os.fdopen(os.dup(descriptor), "wb") as file:
        written_bytes = 0
        while block := readable.read(_BLOCK_BYTES):
            written_bytes += file.write(block)
        file.flush()
        os.fsync(file.fileno())
    if size_bytes is not None and written_bytes != size_bytes:
        raise SourceChangedError(
            f"{name} has changed while it was read; {written_bytes:,} bytes are not {size_bytes:,}"
        )
    if not written_bytes:
        raise NotAudioError(f"{name} is empty: there is no audio in it")
