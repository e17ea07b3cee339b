"""What is in a source file: codec, rate, channels, sample format, found by decoding its first sample.

The wheel ships no ffprobe, and a header is a promise; FFmpeg's ashowinfo tells what really comes out of the decoder.
The promise of an ordinary WAV header is believed until the first pass over the whole file, which tells the same.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from audio_compressor.audio.ffmpeg import Ffmpeg, input_arguments, log_lines, tail
from audio_compressor.audio.wav import WavHeader, inspect_wav
from audio_compressor.errors import NotAudioError
from audio_compressor.processes import ChildProcesses

# ashowinfo: "n:0 pts:0 pts_time:0 fmt:s16 channels:1 chlayout:mono rate:16000 nb_samples:1 ..."
_FRAME = re.compile(r"fmt:(?P<format>\S+) channels:(?P<channels>\d+) chlayout:(?P<layout>.+?) rate:(?P<rate>\d+) ")
_STREAM = re.compile(r"Stream #0:\d+.*?: Audio: (?P<codec>\w+)")
# Filter text that makes ashowinfo print one line and costs nothing after it.
FIRST_SAMPLE = "atrim=end_sample=1,ashowinfo"
# What FFmpeg takes samples of 4 bytes for of which 24 or 16 bits are said to be valid. Cool Edit wrote floats so; to
# others they are integers, which become noise.
_AMBIGUOUS_CODECS = {"pcm_f24le", "pcm_f16le"}
_NOT_ON_LIST = "Format not on whitelist"
# A header that claims 1 Hz makes seconds of sound into days of it: FFmpeg wrote 32 GB for one small file.
MIN_SAMPLE_RATE_HZ = 2_000
# Recorders of bats write 500 kHz, the fastest converters 768. A header may claim 4 GHz, and a second is kept in memory.
MAX_SAMPLE_RATE_HZ = 1_000_000


@dataclass(frozen=True)
class Stream:
    """What FFmpeg decodes: ``layout`` and ``sample_format`` are FFmpeg's names, such as ``stereo`` and ``fltp``."""

    codec: str
    sample_rate_hz: int
    channels: int
    layout: str
    sample_format: str

    @property
    def is_float(self) -> bool:
        return self.sample_format.startswith(("flt", "dbl"))


@dataclass(frozen=True)
class Source:
    """A source file that decodes: how to give it to FFmpeg, and what was wrong with its header."""

    path: Path
    size_bytes: int
    stream: Stream
    input_arguments: tuple[str, ...]
    repair: str | None


def expect_source(path: Path) -> Source | None:
    """What the header of an ordinary WAV file promises, or None for any other file.

    It saves a start of FFmpeg, a fifth of the CPU time that a recording of 1 MB takes.

    Raises:
        NotAudioError: as `probe_source`.
    """
    size_bytes = _size(path)
    header = _header_with_sound(path)
    stream = _promised(header) if header else None
    if header is None or stream is None:
        return None
    _require_plausible_rate(path, stream)
    return Source(path, size_bytes, stream, input_arguments(path, header.input_options), header.repair)


def probe_source(path: Path, *, ffmpeg: Ffmpeg, children: ChildProcesses, timeout_seconds: float) -> Source:
    """Look into a source file.

    Raises:
        NotAudioError: it is empty, FFmpeg finds no sound in it, or its sample rate is none that recorders write.
        EncodingError: the time limit was reached.
    """
    size_bytes = _size(path)
    header = _header_with_sound(path)
    arguments = input_arguments(path, header.input_options if header else ())
    finished = ffmpeg.run(
        (*arguments, "-map", "0:a:0", "-af", FIRST_SAMPLE, "-f", "null", "-"),
        children=children,
        timeout_seconds=timeout_seconds,
        check=False,
    )
    stream = parse_stream(finished.stderr)
    if stream is None:
        raise NotAudioError(
            f"{path.name} ({size_bytes} bytes) holds no sound that FFmpeg can read: {_why(finished.stderr)}; "
            "check that it is an audio file and arrived whole"
        )
    if any("misdetection possible" in text for _, text in log_lines(finished.stderr)):
        raise NotAudioError(f"{path.name} ({size_bytes} bytes) only looks like audio by chance; check what it is")
    _require_plausible_rate(path, stream)
    if stream.codec in _AMBIGUOUS_CODECS:
        raise NotAudioError(
            f"{path.name} is a WAV file whose samples may be integers or floating point numbers: its header tells "
            "neither. Export it again, as WAV of 24 bits or of 32 bits float"
        )
    return Source(path, size_bytes, stream, arguments, header.repair if header else None)


def _why(stderr: str) -> str:
    """A subtitle, a picture or a playlist is recognised as one, and then not on the list of what is opened."""
    return "it is something else than audio" if _NOT_ON_LIST in stderr else tail(stderr)


def _header_with_sound(path: Path) -> WavHeader | None:
    header = inspect_wav(path)
    if header is not None and header.actual_data_bytes == 0:
        raise NotAudioError(f"{path.name} is a WAV file with a header but no sound; record or copy it again")
    return header


def _promised(header: WavHeader) -> Stream | None:
    layout = None if header.is_extensible else {1: "mono", 2: "stereo"}.get(header.channels)
    if not header.is_16_bit_pcm or layout is None:
        return None
    return Stream("pcm_s16le", header.sample_rate_hz, header.channels, layout, "s16")


def _require_plausible_rate(path: Path, stream: Stream) -> None:
    if not MIN_SAMPLE_RATE_HZ <= stream.sample_rate_hz <= MAX_SAMPLE_RATE_HZ:
        raise NotAudioError(
            f"{path.name} says that it has {stream.sample_rate_hz:,} samples a second; recorders write between "
            f"{MIN_SAMPLE_RATE_HZ:,} and {MAX_SAMPLE_RATE_HZ:,}, so its header is wrong; record or copy it again"
        )


def parse_stream(stderr: str) -> Stream | None:
    """What FFmpeg printed about the first audio stream; None when no sample came out of it."""
    frame, stream = _FRAME.search(stderr), _STREAM.search(stderr)
    if frame is None or stream is None:
        return None
    return Stream(stream["codec"], int(frame["rate"]), int(frame["channels"]), frame["layout"], frame["format"])


def _size(path: Path) -> int:
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        raise NotAudioError(f"{path.name} cannot be read: {error.strerror}") from error
    if not path.is_file():
        raise NotAudioError(f"{path.name} is not a file")
    if not size_bytes:
        raise NotAudioError(f"{path.name} is empty (0 bytes); record or copy it again")
    return size_bytes
