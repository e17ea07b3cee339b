"""Reads the header of a WAV file (RIFF, RF64, BW64, Sony Wave64) and says when its sizes are wrong, and how FFmpeg has
to be told to read everything that is there. Only looks; the file is never changed.

Recorders that crash or lose power leave a size of 0, or one from some time before; an interrupted copy leaves a header
that speaks of more than is there; writers that know only 32 bits wrap around at 4 GB.
"""

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

WavContainer = Literal["RIFF", "RF64", "W64"]

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_UNKNOWN_32 = 0xFFFFFFFF
_WRAP_BYTES = 1 << 32
# FFmpeg takes 64-bit sizes such as -1 for damage and refuses the file.
_REFUSED_BYTES = 1 << 62
# Sony Wave64: chunk ids are GUIDs, the first four bytes of which are the RIFF id in lower case.
_W64_RIFF = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
# Some recorders fill the last cluster of the card with zeros; the largest common one is 64 KiB.
_CLUSTER_BYTES = 64 * 1024
# A header has a handful of chunks before the samples; a file with more is garbage that looks like chunks.
_MAX_CHUNKS = 1000
# FFmpeg's WAV reader makes packets of 4 kB, and each is handed from thread to thread: 115 MB to 16 kHz took 0.50 s of
# CPU so, and 0.29 s in packets of 128 kB. It looks into the first packets for other codecs in disguise (DTS): into 32
# by itself, and into as many bytes with one of these.
LARGE_PACKETS = ("-max_size", "131072", "-max_probe_packets", "1")

_RAW_FORMATS: Mapping[tuple[int, int], str] = {
    (_PCM, 8): "u8",
    (_PCM, 16): "s16le",
    (_PCM, 24): "s24le",
    (_PCM, 32): "s32le",
    (_FLOAT, 32): "f32le",
    (_FLOAT, 64): "f64le",
}


@dataclass(frozen=True)
class WavHeader:
    """What the header says, and what is there.

    ``declared_data_bytes`` is None when the header gives no size (a stream). ``repair`` is a sentence on what is wrong
    and how it is read, or None; ``input_options`` are FFmpeg's options to read it so. ``format_tag`` is the one of the
    sub-format where ``is_extensible`` (WAVE_FORMAT_EXTENSIBLE, which may assign channels to speakers).
    """

    container: WavContainer
    format_tag: int
    channels: int
    sample_rate_hz: int
    bits: int
    bytes_per_second: int
    data_offset: int
    declared_data_bytes: int | None
    actual_data_bytes: int
    is_extensible: bool
    repair: str | None = None
    input_options: tuple[str, ...] = ()

    @property
    def is_pcm(self) -> bool:
        return self.format_tag == _PCM

    @property
    def is_16_bit_pcm(self) -> bool:
        return self.is_pcm and self.bits == 16


@dataclass(frozen=True)
class _Format:
    tag: int
    is_extensible: bool
    channels: int
    sample_rate_hz: int
    bytes_per_second: int
    bits: int
    is_padded: bool


@dataclass(frozen=True)
class _Data:
    offset: int
    declared_bytes: int | None


def inspect_wav(path: Path) -> WavHeader | None:
    """The header of a WAV file, or None when this is none or has no usable ``fmt`` and ``data`` chunk.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        file_bytes = os.fstat(file.fileno()).st_size
        head = file.read(40)
        container = _container(head)
        if container is None:
            return None
        parsed = _w64_chunks(file) if container == "W64" else _riff_chunks(file, container)
        if parsed is None:
            return None
        return _header(file, file_bytes, container, *parsed)


def _container(head: bytes) -> WavContainer | None:
    if head[:16] == _W64_RIFF and head[24:40] == b"wave" + _W64_TAIL:
        return "W64"
    if head[8:12] != b"WAVE":
        return None
    if head[:4] in {b"RF64", b"BW64"}:
        return "RF64"
    return "RIFF" if head[:4] == b"RIFF" else None


def _riff_chunks(file: BinaryIO, container: WavContainer) -> tuple[_Format, _Data] | None:
    audio_format: _Format | None = None
    long_data_bytes: int | None = None
    offset = 12
    for _ in range(_MAX_CHUNKS):
        file.seek(offset)
        head = file.read(8)
        if len(head) < 8:
            return None
        chunk_id, size = head[:4], struct.unpack("<I", head[4:])[0]
        if chunk_id == b"data":
            declared = None if size == _UNKNOWN_32 else size
            if container == "RF64" and long_data_bytes is not None:
                declared = long_data_bytes
            return (audio_format, _Data(offset + 8, declared)) if audio_format else None
        if chunk_id == b"fmt ":
            audio_format = _parse_format(file.read(min(size, 40)))
        elif chunk_id == b"ds64":  # EBU Tech 3306: sizes of the file and of the samples, 64 bits each
            body = file.read(min(size, 16))
            long_data_bytes = struct.unpack("<Q", body[8:16])[0] if len(body) == 16 else None
        offset += 8 + size + size % 2
    return None


def _w64_chunks(file: BinaryIO) -> tuple[_Format, _Data] | None:
    audio_format: _Format | None = None
    offset = 40
    for _ in range(_MAX_CHUNKS):
        file.seek(offset)
        head = file.read(24)
        if len(head) < 24:
            return None
        size = struct.unpack("<Q", head[16:])[0]  # with these 24 bytes
        if head[:16] == b"data" + _W64_TAIL:
            return (audio_format, _Data(offset + 24, max(0, size - 24))) if audio_format else None
        if head[:16] == b"fmt " + _W64_TAIL:
            audio_format = _parse_format(file.read(min(max(0, size - 24), 40)))
        offset += max(24, size + -size % 8)
        if offset > _WRAP_BYTES:
            return None
    return None


def _parse_format(body: bytes) -> _Format | None:
    if len(body) < 16:
        return None
    tag, channels, sample_rate_hz, bytes_per_second, _, bits = struct.unpack("<HHIIHH", body[:16])
    is_extensible = tag == _EXTENSIBLE
    if is_extensible and len(body) >= 26:
        tag = struct.unpack("<H", body[24:26])[0]
    if not channels or not sample_rate_hz:
        return None
    if tag in {_PCM, _FLOAT} and bits >= 8:  # this field is what careless writers get wrong
        bytes_per_second = sample_rate_hz * channels * ((bits + 7) // 8)
    # Fewer valid bits than a sample has, which are its upper ones (Microsoft, WAVEFORMATEXTENSIBLE).
    is_padded = is_extensible and tag == _PCM and 0 < struct.unpack("<H", body[18:20])[0] < bits
    return _Format(tag, is_extensible, channels, sample_rate_hz, bytes_per_second, bits, is_padded)


def _header(file: BinaryIO, file_bytes: int, container: WavContainer, audio_format: _Format, data: _Data) -> WavHeader:
    present = max(0, file_bytes - data.offset)
    declared = data.declared_bytes
    repair: str | None = None
    actual = present
    is_plain = container != "W64" and audio_format.tag in {_PCM, _FLOAT}
    options: tuple[str, ...] = LARGE_PACKETS if is_plain else ()
    if declared is None or declared >= _REFUSED_BYTES:
        options = options if declared is None else _read_everything(audio_format, data.offset)
        repair = "the header gives no length, as a stream's does; read to the end of the file"
    elif declared > present:
        repair = (
            f"the file is cut short: its header declares {_seconds(declared, audio_format)} and "
            f"{_seconds(present, audio_format)} are present; read to the end of the file"
        )
    elif present - declared > 1 and not _is_trailer(file, data.offset + declared, file_bytes, container, declared):
        options = _read_everything(audio_format, data.offset)
        repair = _too_small(declared, present, audio_format)
    else:
        actual = declared
    if audio_format.is_padded and (audio_format.tag, audio_format.bits) in _RAW_FORMATS:
        # FFmpeg takes 24 valid bits of 32 for a floating point number of 24 bits: the recording became noise.
        options = _read_everything(audio_format, data.offset)
        if actual < present:
            options += ("-t", f"{actual / audio_format.bytes_per_second:.6f}")
    return WavHeader(
        container,
        audio_format.tag,
        audio_format.channels,
        audio_format.sample_rate_hz,
        audio_format.bits,
        audio_format.bytes_per_second,
        data.offset,
        declared,
        actual,
        audio_format.is_extensible,
        repair,
        options,
    )


def _too_small(declared: int, present: int, audio_format: _Format) -> str:
    there = _seconds(present, audio_format)
    if declared == 0:
        return (
            f"the header says that there are 0 bytes of sound, as after a crash; read to the end of the file: {there}"
        )
    if present >= _WRAP_BYTES and (present - declared) % _WRAP_BYTES <= _CLUSTER_BYTES:
        return f"the header's size wrapped around at 4 GB; read to the end of the file: {there}"
    return (
        f"the header declares {_seconds(declared, audio_format)}, but sound goes on behind it, as after a crash; "
        f"read to the end of the file: {there}"
    )


def _read_everything(audio_format: _Format, data_offset: int) -> tuple[str, ...]:
    """FFmpeg's options to read the samples as what they are, raw PCM behind a header, to the end of the file.

    `-ignore_length` is only for what is not PCM: FFmpeg's W64 reader does not know it, and its WAV reader still looks
    for chunks behind the declared size. In digital silence it goes on 8 bytes at a time: over 2 minutes for 4 GB.
    """
    raw = _RAW_FORMATS.get((audio_format.tag, audio_format.bits))
    if raw is None:
        return ("-ignore_length", "1")
    return (
        *("-f", raw, "-ar", str(audio_format.sample_rate_hz), "-ac", str(audio_format.channels)),
        *("-skip_initial_bytes", str(data_offset)),
    )


def _is_trailer(file: BinaryIO, end: int, file_bytes: int, container: WavContainer, declared: int) -> bool:
    """Whether what follows the declared samples is something other than sound: chunks, or the padding of a card."""
    if container == "W64":
        return _is_w64_chunk(file, end + -end % 8, file_bytes)
    # Some writers leave the padding byte after an odd number of bytes out.
    if any(_are_chunks(file, start, file_bytes) for start in {end, end + end % 2}):
        return True
    rest = file_bytes - end
    if declared == 0 or rest > _CLUSTER_BYTES:
        return False
    file.seek(end)
    return not any(file.read(rest))


def _are_chunks(file: BinaryIO, offset: int, file_bytes: int) -> bool:
    """Whether chunks follow each other from here to the end; the last one may be cut short or lack its padding."""
    for _ in range(_MAX_CHUNKS):
        file.seek(offset)
        head = file.read(8)
        if len(head) < 8:
            return not any(head)
        if not all(0x20 <= byte < 0x7F for byte in head[:4]) or head[:4] in _SOUND_CHUNKS:
            return False
        size = struct.unpack("<I", head[4:])[0]
        offset += 8 + size + size % 2
        if offset >= file_bytes:
            return offset - file_bytes <= 1 or head[:4] in _KNOWN_CHUNKS
    return False


# More sound: of recorders that write several chunks of it, and of files put one behind the other.
_SOUND_CHUNKS = {b"data", b"RIFF", b"RF64"}
# What is found behind the samples (EBU Tech 3285 and its supplements, Microsoft's RIFF, ID3 in WAV).
_KNOWN_CHUNKS = {b"LIST", b"bext", b"iXML", b"cue ", b"smpl", b"fact", b"id3 ", b"ID3 ", b"PEAK", b"_PMX", b"axml"}


def _is_w64_chunk(file: BinaryIO, offset: int, file_bytes: int) -> bool:
    if offset + 24 > file_bytes:
        return True
    file.seek(offset)
    head = file.read(24)
    size = struct.unpack("<Q", head[16:])[0]
    # Sony's marker and summary lists have GUIDs of their own; all that can be said is that it fits to the byte.
    return head[4:16] == _W64_TAIL or 0 <= file_bytes - (offset + size) < 8


def _seconds(size_bytes: int, audio_format: _Format) -> str:
    if not audio_format.bytes_per_second:
        return f"{size_bytes} bytes"
    return f"{size_bytes / audio_format.bytes_per_second:.1f} s"
