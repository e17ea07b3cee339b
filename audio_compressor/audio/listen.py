"""Listens to a source for hum and for channels that cancel each other out: to some seconds of it, or to all.

FFmpeg decodes it; but the samples of most WAV files are in it as they are, and to read a few is cheaper than to have
them decoded (0.01 s of CPU instead of 0.1 for a recording of 652 s).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.levels import NO_HUM, Cancellation, Hum, Pair
from audio_compressor.audio.probe import Source, Stream
from audio_compressor.audio.wav import WavHeader, inspect_wav
from audio_compressor.local_files import local_errors
from audio_compressor.processes import ChildProcesses

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# Neither comes and goes from one second to the next.
_LEAST_SECONDS = 8
_MOST_STEP_SECONDS = 64
# A header may claim 64 channels of 1 MHz, and a second of them takes 660 MB. No recorder goes beyond 8 of 192 kHz.
_MOST_SAMPLES_PER_SECOND = 8 * 192_000
_FULL_SCALE = 32768


@dataclass(frozen=True)
class Heard:
    """``hums`` has one entry for each channel, ``cancellations`` one for each two; empty where there was no whole
    second.
    """

    hums: tuple[Hum, ...]
    cancellations: Mapping[Pair, Cancellation]


def listen(source: Source, *, to_all: bool, ffmpeg: Ffmpeg, children: ChildProcesses, timeout_seconds: float) -> Heard:
    """What is heard in 8 seconds, or in each 64th of a long recording; or in all. Nothing where there are more samples
    in a second than recorders write.

    Raises:
        EncodingError, OutOfSpaceError, FfmpegMissingError, CancelledError: see `Ffmpeg.run`.
        StorageError: the file cannot be read.
    """
    stream = source.stream
    if stream.channels * stream.sample_rate_hz > _MOST_SAMPLES_PER_SECOND:
        return Heard((NO_HUM,) * stream.channels, {})
    ear = Ear(stream, overlap=to_all)
    with local_errors(source.path):
        header = inspect_wav(source.path)
    if header is not None and _is_plain(header, source):
        with local_errors(source.path):
            for samples in _read(header, source, to_all):
                ear.add(samples)
    else:
        _decode(source, ear, to_all, ffmpeg, children, timeout_seconds)
    return ear.heard()


class Ear:
    """Cuts samples of 16 bits, the channels interleaved, into seconds and measures each.

    With ``overlap``, for what is listened to as a whole, each second begins in the middle of the one before and the
    last ends with the last sample: at the edge of a second next to nothing is heard.
    """

    def __init__(self, stream: Stream, *, overlap: bool) -> None:
        # numpy is loaded with the first recording, not with the code location.
        from audio_compressor.audio.hum import HumMeter
        from audio_compressor.audio.phase import PhaseMeter

        self._channels = stream.channels
        self._second_bytes = 2 * stream.channels * stream.sample_rate_hz
        self._step_bytes = 2 * stream.channels * (stream.sample_rate_hz // 2) if overlap else self._second_bytes
        self._overlap = overlap
        self._waiting = bytearray()
        self._last = b""
        self._hum = HumMeter(stream.channels, stream.sample_rate_hz)
        self._phase = PhaseMeter(stream.channels)

    def add(self, data: bytes) -> None:
        """Little-endian samples, 2 bytes each; a piece may end inside of one."""
        self._waiting += data
        while len(self._waiting) >= self._second_bytes:
            self._last = bytes(self._waiting[: self._second_bytes])
            del self._waiting[: self._step_bytes]
            self._measure(self._last)

    def heard(self) -> Heard:
        kept_bytes = self._second_bytes - self._step_bytes
        if self._overlap and self._last and (rest := bytes(self._waiting[kept_bytes:])):
            self._measure((self._last + rest)[-self._second_bytes :])
        return Heard(self._hum.hums(), self._phase.cancellations() if self._last else {})

    def _measure(self, second: bytes) -> None:
        samples = _samples(second, self._channels)
        self._hum.measure(samples)
        if self._channels > 1:
            self._phase.measure(samples)


def _samples(data: bytes, channels: int) -> "npt.NDArray[np.float64]":
    """Each channel (the first axis), with a full scale of 1."""
    import numpy as np

    interleaved = np.frombuffer(data, "<i2").reshape(-1, channels)
    # One channel after the other in memory, or each sum over it would take ten times as long.
    return np.ascontiguousarray(interleaved.T, np.float64) / _FULL_SCALE


def _is_plain(header: WavHeader, source: Source) -> bool:
    return header.is_pcm and header.bits in {16, 24, 32} and source.stream.codec == f"pcm_s{header.bits}le"


def _read(header: WavHeader, source: Source, to_all: bool) -> Iterator[bytes]:
    """The upper 16 bits of each sample, in pieces of a second."""
    sample_bytes = header.bits // 8
    second_bytes = header.sample_rate_hz * header.channels * sample_bytes
    end = header.data_offset + header.actual_data_bytes
    step = 1 if to_all else min(_MOST_STEP_SECONDS, header.actual_data_bytes // second_bytes // _LEAST_SECONDS) or 1
    with source.path.open("rb", buffering=0) as file:
        for start in range(header.data_offset, end, step * second_bytes):
            file.seek(start)
            yield _upper_bytes(file.read(min(second_bytes, end - start)), sample_bytes)


def _upper_bytes(data: bytes, sample_bytes: int) -> bytes:
    if sample_bytes == 2:
        return data
    whole = len(data) - len(data) % sample_bytes
    upper = bytearray(whole // sample_bytes * 2)
    upper[0::2] = data[sample_bytes - 2 : whole : sample_bytes]
    upper[1::2] = data[sample_bytes - 1 : whole : sample_bytes]
    return bytes(upper)


def _decode(
    source: Source, ear: Ear, to_all: bool, ffmpeg: Ffmpeg, children: ChildProcesses, timeout_seconds: float
) -> None:
    # How long it is, nobody knows before it is decoded.
    which = "1" if to_all else f"lt(n\\,{_LEAST_SECONDS})+not(mod(n\\,{_MOST_STEP_SECONDS}))"
    seconds = f"[0:a:0]asetnsamples=n={source.stream.sample_rate_hz}:p=0,aselect={which}[seconds]"
    ffmpeg.run(
        (*source.input_arguments, "-filter_complex", seconds, "-map", "[seconds]", "-f", "s16le", "pipe:1"),
        children=children,
        timeout_seconds=timeout_seconds,
        take_stdout=ear.add,
    )
