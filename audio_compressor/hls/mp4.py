"""Reads what matters here of MP4 (ISO/IEC 14496-12): an M4A's frames, an initialisation section, a fragmented segment.

Data that is not what the standard says raises NotAudioError, whatever is wrong with it.
"""

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from audio_compressor.errors import NotAudioError
from audio_compressor.hls.aac import AacStream, parse_audio_specific_config
from audio_compressor.local_files import local_errors

# A day of AAC has a table of 4 million frames of 4 bytes each, and covers are pictures.
_MOST_MOOV_BYTES = 128_000_000
# Bits of what may be in `tfhd` and `trun` (8.8.7, 8.8.8).
_BASE_OFFSET, _DESCRIPTION, _DURATION, _BASE_IS_MOOF = 0x1, 0x2, 0x8, 0x020000
_SIZE = 0x10
_DATA_OFFSET, _FIRST_FLAGS, _EACH_DURATION, _EACH_SIZE = 0x1, 0x4, 0x100, 0x200
_EACH = (_EACH_DURATION, _EACH_SIZE, 0x400, 0x800)
# What an AudioSampleEntry has before its boxes, and what is before the entries of tables.
_SAMPLE_ENTRY_BYTES = 28
_DESCRIPTORS = {0x03, 0x04, 0x05}


@dataclass(frozen=True)
class M4a:
    """The first sound of an M4A. ``samples`` is what its frames last, encoder delay included."""

    stream: AacStream
    frames: int
    samples: int


@dataclass(frozen=True)
class Track:
    """``stream`` is None for what is not AAC; ``frames`` are those in the header itself."""

    track_id: int
    timescale: int
    stream: AacStream | None
    frames: int


@dataclass(frozen=True)
class InitSection:
    """A Media Initialization Section (RFC 8216, 3.3)."""

    brands: frozenset[str]
    begins_with_ftyp: bool
    is_for_fragments: bool
    tracks: tuple[Track, ...]


@dataclass(frozen=True)
class Fragment:
    """One track fragment. Times are in the track's timescale; ``base_time`` is None without a ``tfdt``."""

    track_id: int
    base_time: int | None
    base_is_moof: bool
    frames: int
    duration: int
    payload_bytes: int


@dataclass(frozen=True)
class FragmentedSegment:
    """``media_bytes`` is what lies in its ``mdat`` boxes."""

    fragments: tuple[Fragment, ...]
    media_bytes: int


@dataclass(frozen=True)
class _Box:
    kind: str
    body: bytes


def read_m4a(path: Path) -> M4a:
    """Reads the tables only.

    Raises:
        NotAudioError: it is no MP4 file, or has no AAC in it.
        StorageError: it cannot be read.
    """
    with local_errors(path), path.open("rb") as file:
        moov = _find_moov(file)
    try:
        with _no_audio_when_cut_off():
            for trak in _all(_boxes(moov), "trak"):
                mdia = _boxes(_one(_boxes(trak), "mdia"))
                stbl = _boxes(_one(_boxes(_one(mdia, "minf")), "stbl"))
                if stream := _aac(stbl):
                    stts = _one(stbl, "stts")
                    runs = struct.iter_unpack(">II", stts[8 : 8 + 8 * _number(stts, 4)])
                    return M4a(stream, _number(_one(stbl, "stsz"), 8), sum(count * delta for count, delta in runs))
    except NotAudioError as error:
        raise NotAudioError(f"{path.name} cannot be read as M4A ({error}); encode it again") from error
    raise NotAudioError(f"{path.name} is no M4A with AAC in it; encode it again")


def parse_init_section(data: bytes) -> InitSection:
    """Raises NotAudioError when it is malformed."""
    with _no_audio_when_cut_off():
        top = _boxes(data)
        ftyp, moov = _one(top, "ftyp"), _boxes(_one(top, "moov"))
        brands = {ftyp[:4], *(ftyp[start : start + 4] for start in range(8, len(ftyp), 4))}
        return InitSection(
            brands=frozenset(brand.decode("latin-1") for brand in brands),
            begins_with_ftyp=top[0].kind == "ftyp",
            is_for_fragments=any(box.kind == "mvex" for box in moov),
            tracks=tuple(_track(_boxes(trak)) for trak in _all(moov, "trak")),
        )


def parse_fragmented_segment(data: bytes) -> FragmentedSegment:
    """Raises NotAudioError when it is malformed."""
    with _no_audio_when_cut_off():
        top = _boxes(data)
        fragments = [_fragment(_boxes(traf)) for moof in _all(top, "moof") for traf in _all(_boxes(moof), "traf")]
        if not fragments:
            raise NotAudioError("it has no fragment of a track")
        return FragmentedSegment(tuple(fragments), sum(len(body) for body in _all(top, "mdat")))


def _find_moov(file: BinaryIO) -> bytes:
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        body_bytes = size - 8
        if size == 1:
            body_bytes = int.from_bytes(file.read(8)) - 16
        if kind == b"moov" and 0 < body_bytes <= _MOST_MOOV_BYTES:
            return file.read(body_bytes)
        if body_bytes < 0:  # 0 means to the end of the file
            break
        file.seek(body_bytes, 1)
    return b""


def _track(trak: Sequence[_Box]) -> Track:
    mdia = _boxes(_one(trak, "mdia"))
    stbl = _boxes(_one(_boxes(_one(mdia, "minf")), "stbl"))
    tkhd, mdhd = _one(trak, "tkhd"), _one(mdia, "mdhd")
    return Track(
        track_id=_number(tkhd, 20 if tkhd[0] else 12),
        timescale=_number(mdhd, 20 if mdhd[0] else 12),
        stream=_aac(stbl),
        frames=sum(_number(_one(stbl, kind), 4) for kind in ("stts", "stsc", "stco")) + _number(_one(stbl, "stsz"), 8),
    )


def _aac(stbl: Sequence[_Box]) -> AacStream | None:
    entries = _boxes(_one(stbl, "stsd")[8:])
    if len(entries) != 1 or entries[0].kind != "mp4a":
        return None
    esds = _one(_boxes(entries[0].body[_SAMPLE_ENTRY_BYTES:]), "esds")
    return parse_audio_specific_config(_decoder_config(esds[4:]))


def _decoder_config(data: bytes) -> bytes:
    """The innermost of three descriptors: of the stream, its decoder, and what the decoder needs to know (ISO/IEC
    14496-1, 7.2.6)."""
    while data and data[0] in _DESCRIPTORS:
        tag, position, size = data[0], 1, 0
        while True:
            byte = data[position]
            position, size = position + 1, size << 7 | byte & 0x7F
            if byte < 0x80:
                break
        body = data[position : position + size]
        if tag == 0x05:
            return body
        data = body[3:] if tag == 0x03 else body[13:]
    raise NotAudioError("the description of its decoder is missing")


def _fragment(traf: Sequence[_Box]) -> Fragment:
    tfhd = _one(traf, "tfhd")
    flags = _number(tfhd, 0) & 0xFFFFFF
    position = 8 + 8 * bool(flags & _BASE_OFFSET) + 4 * bool(flags & _DESCRIPTION)
    default_duration = _number(tfhd, position) if flags & _DURATION else 0
    position += 4 * bool(flags & _DURATION)
    default_size = _number(tfhd, position) if flags & _SIZE else 0
    frames = duration = payload_bytes = 0
    for trun in _all(traf, "trun"):
        count, run_duration, run_bytes = _run(trun, default_duration, default_size)
        frames, duration, payload_bytes = frames + count, duration + run_duration, payload_bytes + run_bytes
    times = [int.from_bytes(tfdt[4 : 12 if tfdt[0] else 8]) for tfdt in _all(traf, "tfdt")]
    base_time = times[0] if times else None
    return Fragment(_number(tfhd, 4), base_time, bool(flags & _BASE_IS_MOOF), frames, duration, payload_bytes)


def _run(trun: bytes, default_duration: int, default_size: int) -> tuple[int, int, int]:
    flags, count = _number(trun, 0) & 0xFFFFFF, _number(trun, 4)
    position = 8 + 4 * bool(flags & _DATA_OFFSET) + 4 * bool(flags & _FIRST_FLAGS)
    fields = sum(bool(flags & each) for each in _EACH)
    numbers = struct.unpack_from(f">{fields * count}I", trun, position)
    duration = sum(numbers[::fields]) if flags & _EACH_DURATION else default_duration * count
    first_size = bool(flags & _EACH_DURATION)
    payload_bytes = sum(numbers[first_size::fields]) if flags & _EACH_SIZE else default_size * count
    return count, duration, payload_bytes


def _boxes(data: bytes) -> list[_Box]:
    return list(_iterate(data))


def _iterate(data: bytes) -> Iterator[_Box]:
    position = 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        head = 8
        if size == 1:
            (size,), head = struct.unpack_from(">Q", data, position + 8), 16
        elif size == 0:
            size = len(data) - position
        if not head <= size <= len(data) - position:
            raise NotAudioError(f"the box {kind.decode('latin-1')!r} does not end where it should")
        yield _Box(kind.decode("latin-1"), data[position + head : position + size])
        position += size


def _all(boxes: Sequence[_Box], kind: str) -> list[bytes]:
    return [box.body for box in boxes if box.kind == kind]


def _one(boxes: Sequence[_Box], kind: str) -> bytes:
    found = _all(boxes, kind)
    if len(found) != 1:
        raise NotAudioError(f"it has {len(found)} boxes {kind!r} where one is needed")
    return found[0]


def _number(data: bytes, position: int) -> int:
    number: int = struct.unpack_from(">I", data, position)[0]
    return number


@contextmanager
def _no_audio_when_cut_off() -> Iterator[None]:
    try:
        yield
    except (struct.error, IndexError) as error:
        raise NotAudioError("a box is cut off") from error
