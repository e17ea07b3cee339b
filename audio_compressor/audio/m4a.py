"""The AAC packets of an M4A file as FFmpeg writes it: reading them, and exchanging some for others.

Only the sizes and positions in the tables change, so tags, cover, edit list and duration stay as they are. The boxes
are those of ISO/IEC 14496-12 (clause 8), the packets those of ISO/IEC 14496-3 (subpart 4).
"""

import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from audio_compressor.errors import EncodingError
from audio_compressor.local_files import local_errors

_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
_CHANNEL_PAIR = 1


@dataclass(frozen=True)
class _Box:
    """``start`` is where its contents begin."""

    kind: bytes
    start: int
    end: int


class Packets(Protocol):
    """Numbered from 0."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> bytes: ...


@dataclass(frozen=True)
class M4a:
    """One audio track, whose packets lie one behind the other at the end of the file.

    The file stays mapped and its packets are read when they are asked for: of an hour, all of them at once took 60 MB,
    four times over. So it must not be changed in place.

    ``sizes`` are those of its packets, ``chunk_packets`` how many of them are in each of its chunks. There is no table
    of sizes where all packets are of one size: of digital silence.
    """

    sizes: npt.NDArray[np.int64]
    has_size_table: bool
    chunk_packets: npt.NDArray[np.int64]
    _data: mmap.mmap
    _starts: npt.NDArray[np.int64]
    _sizes_at: int
    _chunks_at: int

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, number: int, /) -> bytes:
        start = int(self._starts[number])
        return self._data[start : start + int(self.sizes[number])]

    def write_exchanged(self, new: Mapping[int, bytes], destination: Path) -> None:
        """The file, which must have a table of sizes, with other packets at these numbers."""
        sizes = self.sizes.copy()
        for number, packet in new.items():
            sizes[number] = len(packet)
        begin = int(self._starts[0])
        chunks = _starts(begin, sizes)[np.cumsum(self.chunk_packets) - self.chunk_packets]
        head = bytearray(self._data[:begin])
        head[self._sizes_at : self._sizes_at + 4 * len(sizes)] = sizes.astype(">u4").tobytes()
        head[self._chunks_at : self._chunks_at + 4 * len(chunks)] = chunks.astype(">u4").tobytes()
        struct.pack_into(">I", head, begin - 8, 8 + int(sizes.sum()))
        with local_errors(destination), destination.open("wb") as file:
            file.write(head)
            position = begin
            for number in sorted(new):
                file.write(self._data[position : int(self._starts[number])])
                file.write(new[number])
                position = int(self._starts[number] + self.sizes[number])
            file.write(self._data[position:])


def read_m4a(path: Path) -> M4a:
    """A file that FFmpeg's ipod muxer has written, with ``faststart`` and one audio track; pictures are tags there.

    Raises:
        EncodingError: it is put together otherwise, which no FFmpeg up to 9.0 does.
        AudioCompressorError: it cannot be read.
    """
    with local_errors(path), path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    boxes = {box.kind: box for box in _boxes(data, 0, len(data))}
    try:
        tables, samples = {kind: boxes[kind] for kind in (b"stsz", b"stsc", b"stco")}, boxes[b"mdat"]
    except KeyError as error:
        raise _unexpected(path, f"there is no {error.args[0].decode()} box") from error
    sizes_at, chunks_at = tables[b"stsz"].start + 12, tables[b"stco"].start + 8
    same_size, count = struct.unpack_from(">II", data, sizes_at - 8)
    sizes = np.full(count, same_size, np.int64) if same_size else _numbers(data, sizes_at, count)
    chunks = _numbers(data, chunks_at, struct.unpack_from(">I", data, chunks_at - 4)[0])
    chunk_packets = _chunk_packets(data, tables[b"stsc"].start, len(chunks))
    # As many tracks as there are tables; a second one would have overwritten the first in `boxes`.
    if samples.end != len(data) or chunk_packets.sum() != count:
        raise _unexpected(path, "its tables are not those of one track of AAC at the end of the file")
    starts = _starts(samples.start, sizes)
    if sizes.sum() != samples.end - samples.start or not np.array_equal(
        chunks, starts[np.cumsum(chunk_packets) - chunk_packets]
    ):
        raise _unexpected(path, "its packets do not fill its mdat box")
    return M4a(sizes, not same_size, chunk_packets, data, starts, sizes_at, chunks_at)


def window(packet: bytes) -> int | None:
    """Which window the packet of a stereo frame was made with (sequence and shape, 0 to 7), or None where its two
    channels have windows of their own.

    Frames overlap by half: a packet fits behind another one only if their windows do (clause 4.6.11).
    """
    # id_syn_ele 3 bits, element_instance_tag 4, common_window 1, ics_reserved_bit 1, window_sequence 2, window_shape 1
    start = int.from_bytes(packet[:2], "big") if len(packet) > 1 else 0
    is_pair_in_common = start >> 13 == _CHANNEL_PAIR and start >> 8 & 1
    return start >> 4 & 0b111 if is_pair_in_common else None


def _boxes(data: mmap.mmap, start: int, end: int) -> Iterator[_Box]:
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        if size < 8 or start + size > end:
            return
        yield _Box(kind, start + 8, start + size)
        if kind in _CONTAINERS:
            yield from _boxes(data, start + 8, start + size)
        start += size


def _chunk_packets(data: mmap.mmap, start: int, chunks: int) -> npt.NDArray[np.int64]:
    """From runs of chunks of equal length (stsc) to the length of each."""
    (entries,) = struct.unpack_from(">I", data, start + 4)
    runs = _numbers(data, start + 8, 3 * entries).reshape(-1, 3)
    return np.repeat(runs[:, 1], np.diff(runs[:, 0], append=chunks + 1))


def _numbers(data: mmap.mmap, start: int, count: int) -> npt.NDArray[np.int64]:
    return np.frombuffer(data[start : start + 4 * count], ">u4").astype(np.int64)


def _starts(begin: int, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where each packet begins."""
    return begin + np.cumsum(sizes) - sizes


def _unexpected(path: Path, why: str) -> EncodingError:
    return EncodingError(f"{path.name} is no M4A as FFmpeg has always written it: {why}; set FFMPEG_BINARY to empty")
