"""Is everything in a WebM file what belongs there? FFmpeg does not always tell.

Where it meets bytes that it does not know, it may look for the next cluster, find none, and end as if the file were
over: of 5 s of sound with 10 kB of noise in the middle it decoded 1.2 s without an error. So all elements are walked
through here, as RFC 8794 and RFC 9559 describe them: clusters, the blocks in them, and what lies beside the clusters.
What is inside of a block is for the decoder.
"""

import mmap
from dataclasses import dataclass
from pathlib import Path

from audio_compressor.local_files import local_errors

_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_VOID, _CRC_32 = 0xEC, 0xBF
# SeekHead, Info, Tracks, Chapters, Cluster, Cues, Attachments, Tags.
_IN_SEGMENT = {0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1043A770, _CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1254C367}
# Timestamp, SilentTracks, Position, PrevSize, SimpleBlock, BlockGroup, EncryptedBlock.
_IN_CLUSTER = {0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF}
_ANYWHERE = {_VOID, _CRC_32}


@dataclass(frozen=True)
class _Head:
    """Where the contents of an element begin and end; those of unknown size end with what they are in."""

    id: int
    body: int
    end: int


def why_not_whole(path: Path) -> str | None:
    """What in a Matroska file does not belong there, and where, or None; also for a file of another kind.

    Raises:
        StorageError, AccessDeniedError: it cannot be read.
    """
    with local_errors(path), path.open("rb") as file:
        if file.read(4) != _EBML.to_bytes(4):
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            strange = _strange(data)
            size_bytes = len(data)
    if strange is None:
        return None
    return f"from byte {strange:,} of {size_bytes:,} on it holds something that does not belong there, or half of it"


def _strange(data: mmap.mmap) -> int | None:
    """Where the first element begins that is none, does not belong there, or is longer than what it lies in."""
    first = _head(data, 0, len(data))
    if first is None:
        return 0
    segment = _head(data, first.end, len(data))
    if segment is None or segment.id != _SEGMENT:
        return first.end
    if segment.end != len(data):
        return segment.end
    at, cluster_end = segment.body, segment.body
    while at < segment.end:
        # In a cluster of unknown size, what belongs beside clusters ends it.
        head = _head(data, at, segment.end)
        if head is None:
            return at
        is_inside = at < cluster_end and head.id in _IN_CLUSTER | _ANYWHERE
        if is_inside and head.end > cluster_end:
            return at
        if not is_inside and (head.id not in _IN_SEGMENT | _ANYWHERE or (at < cluster_end != segment.end)):
            return at
        if not is_inside:
            cluster_end = head.end if head.id == _CLUSTER else at
        at = head.body if head.id == _CLUSTER else head.end
    return None


def _head(data: mmap.mmap, at: int, end: int) -> _Head | None:
    """The element at ``at``; None when there is none, or when it does not fit."""
    id_length = _length(data, at, end)
    size_length = _length(data, at + id_length, end) if id_length else 0
    body = at + id_length + size_length
    if not size_length or id_length > 4 or body > end:
        return None
    bits = 7 * size_length
    size = int.from_bytes(data[at + id_length : body]) & ((1 << bits) - 1)
    until = end if size == (1 << bits) - 1 else body + size
    return _Head(int.from_bytes(data[at : at + id_length]), body, until) if until <= end else None


def _length(data: mmap.mmap, at: int, end: int) -> int:
    """Of the number that begins at ``at``: one more than the zero bits before its first one; 0 when there is none."""
    return 9 - data[at].bit_length() if at < end and data[at] else 0
