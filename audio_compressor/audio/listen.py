"""Listens to a source for hum: to some seconds of it, or to all.

FFmpeg decodes it; but the samples of most WAV files are in it as they are, and to read a few is cheaper than to have
them decoded (0.01 s of CPU instead of 0.1 for a recording of 652 s).
"""

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.levels import NO_HUM, Hum
from audio_compressor.audio.probe import Source
from audio_compressor.audio.wav import WavHeader, inspect_wav
from audio_compressor.local_files import local_errors
from audio_compressor.processes import ChildProcesses

if TYPE_CHECKING:
    from audio_compressor.audio.hum import HumMeter

# Hum does not come and go.
_FIRST_SECONDS = 2
_STEP_SECONDS = 64
# A header may claim 64 channels of 1 MHz, and a second of them takes 660 MB. No recorder goes beyond 8 of 192 kHz.
_MOST_SAMPLES_PER_SECOND = 8 * 192_000


def listen(
    source: Source, *, to_all: bool, ffmpeg: Ffmpeg, children: ChildProcesses, timeout_seconds: float
) -> tuple[Hum, ...]:
    """The hum of each channel, heard in the first seconds and each 64th, or in all; none where there are more samples
    in a second than recorders write.

    Raises:
        EncodingError, OutOfSpaceError, FfmpegMissingError, CancelledError: see `Ffmpeg.run`.
        StorageError: the file cannot be read.
    """
    # numpy is loaded with the first recording, not with the code location.
    from audio_compressor.audio.hum import HumMeter

    stream = source.stream
    if stream.channels * stream.sample_rate_hz > _MOST_SAMPLES_PER_SECOND:
        return (NO_HUM,) * stream.channels
    meter = HumMeter(stream.channels, stream.sample_rate_hz)
    with local_errors(source.path):
        header = inspect_wav(source.path)
    if header is not None and _is_plain(header, source):
        with local_errors(source.path):
            for samples in _read(header, source, to_all):
                meter.add(samples)
    else:
        _decode(source, meter, to_all, ffmpeg, children, timeout_seconds)
    if to_all:
        meter.finish()
    return meter.hums()


def _is_plain(header: WavHeader, source: Source) -> bool:
    return header.is_pcm and header.bits in {16, 24, 32} and source.stream.codec == f"pcm_s{header.bits}le"


def _read(header: WavHeader, source: Source, to_all: bool) -> Iterator[bytes]:
    """The upper 16 bits of each sample, in pieces of a second."""
    sample_bytes = header.bits // 8
    second_bytes = header.sample_rate_hz * header.channels * sample_bytes
    end = header.data_offset + header.actual_data_bytes
    with source.path.open("rb", buffering=0) as file:
        for second in count():
            start = header.data_offset + second * second_bytes
            if start >= end:
                return
            if to_all or second < _FIRST_SECONDS or second % _STEP_SECONDS == 0:
                file.seek(start)
                data = file.read(min(second_bytes, end - start))
                yield _upper_bytes(data, sample_bytes)


def _upper_bytes(data: bytes, sample_bytes: int) -> bytes:
    if sample_bytes == 2:
        return data
    whole = len(data) - len(data) % sample_bytes
    upper = bytearray(whole // sample_bytes * 2)
    upper[0::2] = data[sample_bytes - 2 : whole : sample_bytes]
    upper[1::2] = data[sample_bytes - 1 : whole : sample_bytes]
    return bytes(upper)


def _decode(
    source: Source, meter: "HumMeter", to_all: bool, ffmpeg: Ffmpeg, children: ChildProcesses, timeout_seconds: float
) -> None:
    which = "1" if to_all else f"lt(n\\,{_FIRST_SECONDS})+not(mod(n\\,{_STEP_SECONDS}))"
    seconds = f"[0:a:0]asetnsamples=n={source.stream.sample_rate_hz}:p=0,aselect={which}[seconds]"
    ffmpeg.run(
        (*source.input_arguments, "-filter_complex", seconds, "-map", "[seconds]", "-f", "s16le", "pipe:1"),
        children=children,
        timeout_seconds=timeout_seconds,
        take_stdout=meter.add,
    )
