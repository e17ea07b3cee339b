"""The AAC packets of an M4A file as FFmpeg writes it: reading them, and exchanging some for others in place.

Only the sizes and positions in the tables change, so tags, cover, edit list and duration stay as they are. The boxes
are those of ISO/IEC 14496-12 (clause 8), the packets those of ISO/IEC 14496-3 (subpart 4).
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class M4a:
    """One audio track; ``sizes`` are those of its packets, ``chunks`` where runs of ``chunk_packets`` of them begin.

    There is no table of sizes where all packets are of one size: of digital silence.
    """

    data: bytes
    sizes: tuple[int, ...]
    has_size_table: bool
    chunks: tuple[int, ...]
    chunk_packets: tuple[int, ...]
    _sizes_at: int
    _chunks_at: int
    _samples: _Box

    def packets(self) -> list[bytes]:
        packets, number = [], 0
        for offset, count in zip(self.chunks, self.chunk_packets, strict=True):
            for size in self.sizes[number : number + count]:
                packets.append(self.data[offset : offset + size])
                offset += size
            number += count
        return packets

    def exchanged(self, new: Mapping[int, bytes]) -> bytes:
        """The file, which must have a table of sizes, with other packets at these numbers."""
        packets = [new.get(number, packet) for number, packet in enumerate(self.packets())]
        head = bytearray(self.data[: self._samples.start])
        offset, number = self._samples.start, 0
        for chunk, count in enumerate(self.chunk_packets):
            struct.pack_into(">I", head, self._chunks_at + 4 * chunk, offset)
            offset += sum(map(len, packets[number : number + count]))
            number += count
        for index, packet in enumerate(packets):
            struct.pack_into(">I", head, self._sizes_at + 4 * index, len(packet))
        struct.pack_into(">I", head, self._samples.start - 8, 8 + offset - self._samples.start)
        return bytes(head) + b"".join(packets)


def read_m4a(path: Path) -> M4a:
    """A file that FFmpeg's ipod muxer has written, with ``faststart`` and one audio track; pictures are tags there.

    Raises:
        EncodingError: it is put together otherwise, which no FFmpeg up to 9.0 does.
        AudioCompressorError: it cannot be read.
    """
    with local_errors(path):
        data = path.read_bytes()
    boxes = {box.kind: box for box in _boxes(data, 0, len(data))}
    try:
        tables, samples = {kind: boxes[kind] for kind in (b"stsz", b"stsc", b"stco")}, boxes[b"mdat"]
    except KeyError as error:
        raise _unexpected(path, f"there is no {error.args[0].decode()} box") from error
    sizes_at, chunks_at = tables[b"stsz"].start + 12, tables[b"stco"].start + 8
    same_size, count = struct.unpack_from(">II", data, sizes_at - 8)
    sizes = (same_size,) * count if same_size else struct.unpack_from(f">{count}I", data, sizes_at)
    chunk_count = struct.unpack_from(">I", data, chunks_at - 4)[0]
    chunks = struct.unpack_from(f">{chunk_count}I", data, chunks_at)
    chunk_packets = _chunk_packets(data, tables[b"stsc"].start, chunk_count)
    # As many tracks as there are tables; a second one would have overwritten the first in `boxes`.
    if samples.end != len(data) or sum(chunk_packets) != count:
        raise _unexpected(path, "its tables are not those of one track of AAC at the end of the file")
    if sum(sizes) != samples.end - samples.start or chunks[:1] != (samples.start,):
        raise _unexpected(path, "its packets do not fill its mdat box")
    return M4a(data, sizes, not same_size, chunks, chunk_packets, sizes_at, chunks_at, samples)


def window(packet: bytes) -> int | None:
    """Which window the packet of a stereo frame was made with (sequence and shape, 0 to 7), or None where its two
    channels have windows of their own.

    Frames overlap by half: a packet fits behind another one only if their windows do (clause 4.6.11).
    """
    # id_syn_ele 3 bits, element_instance_tag 4, common_window 1, ics_reserved_bit 1, window_sequence 2, window_shape 1
    start = int.from_bytes(packet[:2], "big") if len(packet) > 1 else 0
    is_pair_in_common = start >> 13 == _CHANNEL_PAIR and start >> 8 & 1
    return start >> 4 & 0b111 if is_pair_in_common else None


def _boxes(data: bytes, start: int, end: int) -> Iterator[_Box]:
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        if size < 8 or start + size > end:
            return
        yield _Box(kind, start + 8, start + size)
        if kind in _CONTAINERS:
            yield from _boxes(data, start + 8, start + size)
        start += size


def _chunk_packets(data: bytes, start: int, chunks: int) -> tuple[int, ...]:
    """From runs of chunks of equal length (stsc) to the length of each."""
    (entries,) = struct.unpack_from(">I", data, start + 4)
    runs = [struct.unpack_from(">II", data, start + 8 + 12 * entry) for entry in range(entries)]
    ends = [first for first, _ in runs[1:]] + [chunks + 1]
    return tuple(count for (first, count), end in zip(runs, ends, strict=True) for _ in range(first, end))


def _unexpected(path: Path, why: str) -> EncodingError:
    return EncodingError(f"{path.name} is no M4A as FFmpeg has always written it: {why}; set FFMPEG_BINARY to empty")
