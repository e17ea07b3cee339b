"""Makes WebM files as browsers and their crashes leave them, right and wrong ones; for all tests.

FFmpeg encodes and packs; what it never writes (segments and clusters of unknown size, files without an index or a codec
delay, files that end early) is made of that by moving bytes. Element ids are those of RFC 9559.
"""

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal

import imageio_ffmpeg
import numpy as np

import audio_compressor.demo
from audio_compressor_tests.wav_files import Sound

SAMPLE_RATE_HZ = 48_000
RECORDED_AT = datetime(2025, 10, 17, 9, 30, tzinfo=UTC)
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
_CLIPS = Path(audio_compressor.demo.__file__).with_name("clips")
_COMMAND = (FFMPEG, "-nostdin", "-v", "error", "-y")

_SEGMENT, _CLUSTER = bytes.fromhex("18538067"), bytes.fromhex("1f43b675")
_INFO, _TRACKS, _TRACK_ENTRY = bytes.fromhex("1549a966"), bytes.fromhex("1654ae6b"), b"\xae"
_DURATION, _CODEC_DELAY, _SEEK_PRE_ROLL = b"\x44\x89", b"\x56\xaa", b"\x56\xbb"
_UNKNOWN_SIZE = bytes.fromhex("01ffffffffffffff")

Codec = Literal["opus", "vorbis"]


# -- sounds


@lru_cache(maxsize=16)
def voice(name: str) -> Sound:
    """One of the demo's clips, such as ``anna-1``: 7 to 11 s of talk, one channel."""
    argv = [*_COMMAND, "-i", str(_CLIPS / f"{name}.opus"), "-ar", str(SAMPLE_RATE_HZ), "-f", "f32le", "-"]
    raw = subprocess.run(argv, capture_output=True, check=True).stdout
    return np.frombuffer(raw, "<f4").astype(np.float64).reshape(-1, 1)


def music(seconds: float = 8.0, seed: int = 1) -> Sound:
    """Plucked chords, four a second, and a soft drum; one channel."""
    random = np.random.default_rng(seed)
    times = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    sound = np.zeros(round(seconds * SAMPLE_RATE_HZ))
    for start in range(0, len(sound), SAMPLE_RATE_HZ // 4):
        until = min(SAMPLE_RATE_HZ, len(sound) - start)
        for note in 110 * 2 ** (random.integers(0, 36, 3) / 12):
            for harmonic in range(1, 7):
                plucked = np.sin(2 * np.pi * note * harmonic * times) * np.exp(-3 * times * harmonic**0.5) / harmonic
                sound[start : start + until] += 0.08 * plucked[:until]
        drum = 0.1 * random.standard_normal(SAMPLE_RATE_HZ) * np.exp(-40 * times)
        sound[start : start + until] += drum[:until]
    return 0.5 / float(np.max(np.abs(sound))) * sound.reshape(-1, 1)


def hiss(seconds: float = 8.0, *, level_dbfs: float = -26.0, seed: int = 1) -> Sound:
    """White noise; ``level_dbfs`` is its RMS."""
    noise = np.random.default_rng(seed).standard_normal((round(seconds * SAMPLE_RATE_HZ), 1))
    return noise * 10 ** (level_dbfs / 20)


def side_by_side(left: Sound, right: Sound) -> Sound:
    """Two channels, as long as the shorter one."""
    frames = min(len(left), len(right))
    return np.hstack([left[:frames], right[:frames]])


# -- files


def encode(path: Path, sound: Sound, *arguments: str) -> Path:
    """What FFmpeg makes of a sound; the arguments are those of its output."""
    raw = ("-f", "f32le", "-ar", str(SAMPLE_RATE_HZ), "-ac", str(sound.shape[1]), "-i", "pipe:0")
    argv = [*(word for word in _COMMAND if word != "-nostdin"), *raw, *arguments, f"file:{path}"]
    subprocess.run(argv, input=sound.astype("<f4").tobytes(), check=True)
    return path


def make_webm(
    path: Path,
    sound: Sound,
    *,
    codec: Codec = "opus",
    bitrate_kbps: int = 128,
    audio_tracks: int = 1,
    with_video: bool = False,
    recorded_at: datetime | None = None,
    options: Sequence[str] = (),
) -> Path:
    """A whole file with duration, cues and tags, as FFmpeg writes it.

    ``audio_tracks``: the same sound as often. ``with_video``: VP8 of 64x48 beside it. ``recorded_at``: DateUTC.
    ``options``: more of FFmpeg's, for its output.
    """
    sources = ["-f", "lavfi", "-i", f"testsrc=size=64x48:rate=5:duration={len(sound) / SAMPLE_RATE_HZ}"]
    maps = [*["-map", "0:a"] * audio_tracks, *(["-map", "1:v", "-c:v", "libvpx"] if with_video else [])]
    date = ["-metadata", f"creation_time={recorded_at.isoformat()}"] if recorded_at else []
    encoder = ["-c:a", f"lib{codec}", "-b:a", f"{bitrate_kbps}k"]
    inputs = sources if with_video else []
    return encode(path, sound, *inputs, *maps, *encoder, *date, *options, "-f", "webm")


def as_a_browser_writes(path: Path, *, keep_codec_delay: bool = True) -> Path:
    """Turns a file of `make_webm` into what MediaRecorder streams: a segment and clusters of unknown size, no duration,
    no index, no tags; DateUTC stays.
    """
    data = path.read_bytes()
    dropped = {_DURATION} if keep_codec_delay else {_DURATION, _CODEC_DELAY, _SEEK_PRE_ROLL}
    written = bytearray()
    for element in _elements(data, 0, len(data)):
        if element.id != _SEGMENT:
            written += data[element.start : element.end]
            continue
        written += _SEGMENT + _UNKNOWN_SIZE
        for child in _elements(data, element.body, element.end):
            if child.id == _CLUSTER:
                written += _CLUSTER + _UNKNOWN_SIZE + data[child.body : child.end]
            elif child.id in {_INFO, _TRACKS}:
                written += _without(data, child, dropped)
    path.write_bytes(written)
    return path


def cut_inside_a_frame(path: Path, keep: float = 0.6) -> Path:
    """The recorder was killed: the file ends anywhere."""
    data = path.read_bytes()
    path.write_bytes(data[: round(len(data) * keep)])
    return path


def cut_between_frames(path: Path, keep: float = 0.6) -> Path:
    """The recorder crashed after a block was written: of a file of `as_a_browser_writes`, every element is whole."""
    data = path.read_bytes()
    most = round(len(data) * keep)
    ends = [0]
    for start in _cluster_bodies(data):
        for block in _elements(data, start, len(data)):
            if block.id == _CLUSTER or block.end > most:
                break
            ends.append(block.end)
    path.write_bytes(data[: max(ends)])
    return path


@dataclass(frozen=True)
class _Element:
    id: bytes
    start: int
    body: int
    end: int


def _elements(data: bytes, start: int, end: int) -> Iterator[_Element]:
    """Those that lie side by side from ``start`` to ``end``; one of unknown size takes the rest."""
    while start < end:
        id_length = _length(data[start])
        size_at = start + id_length
        size_length = _length(data[size_at])
        body = size_at + size_length
        bits = 7 * size_length
        size = int.from_bytes(data[size_at:body]) & ((1 << bits) - 1)
        until = end if size == (1 << bits) - 1 else body + size
        yield _Element(data[start:size_at], start, body, until)
        start = until


def _length(first_byte: int) -> int:
    """Of a number with a variable length: one more than the zeros that it begins with."""
    return 9 - first_byte.bit_length()


def _cluster_bodies(data: bytes) -> list[int]:
    """Where the contents of clusters of unknown size begin."""
    mark, found = _CLUSTER + _UNKNOWN_SIZE, []
    at = data.find(mark)
    while at >= 0:
        found.append(at + len(mark))
        at = data.find(mark, at + 1)
    return found


def _without(data: bytes, element: _Element, dropped: set[bytes]) -> bytes:
    """The element without some of its children, and without those of its track entries."""
    body = b"".join(
        _without(data, child, dropped) if child.id == _TRACK_ENTRY else data[child.start : child.end]
        for child in _elements(data, element.body, element.end)
        if child.id not in dropped
    )
    return element.id + (len(body) | 1 << 56).to_bytes(8) + body


def packets_hash(path: Path) -> str:
    """Of the bytes of all packets of sound, as they are."""
    argv = [*_COMMAND, "-i", str(path), "-map", "0:a:0", "-c", "copy", "-f", "streamhash", "-"]
    return subprocess.run(argv, capture_output=True, check=True, text=True).stdout.strip()
