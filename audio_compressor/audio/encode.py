"""The FFmpeg passes over a source: encode it while measuring each of its channels, and find the true peak of a mix."""

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations, pairwise
from pathlib import Path

from audio_compressor.audio.ffmpeg import Ffmpeg, file_url, problems
from audio_compressor.audio.levels import Levels, Pair, cancellation_db, parse_volumedetect
from audio_compressor.audio.listen import Heard, listen
from audio_compressor.audio.mixdown import Mixdown
from audio_compressor.audio.probe import FIRST_SAMPLE, Source, Stream, parse_stream
from audio_compressor.audio.profiles import Profile
from audio_compressor.errors import NotAudioError
from audio_compressor.processes import ChildProcesses

# What is left below full scale when a source is turned down: codecs overshoot (EBU R 128 asks for at most -1 dBTP).
_HEADROOM_DB = 1.0
# No codec of speech needs as little as 2 kbit/s (AMR 4.75, Opus 6), but FLAC packs hours of digital silence into next
# to nothing.
_LEAST_BYTES_PER_SECOND = 250
_SILENCE_SECONDS = 4 * 3600
_MOST_CHANNELS = 64
_MOST_CHANNELS_OF_ALL_PAIRS = 8
_PEAK = re.compile(r"Peak level dB: (?P<peak>\S+)")


@dataclass(frozen=True)
class SourceLevels:
    """What was measured at the source's rate: each channel, and how far the mix of two of them cancels out.

    ``stream`` is what really was decoded.
    """

    stream: Stream | None
    channels: tuple[Levels, ...]
    cancellations_db: Mapping[Pair, float]
    problems: tuple[str, ...]

    def duration_seconds(self, sample_rate_hz: int) -> float:
        return self.channels[0].samples / sample_rate_hz


@dataclass(frozen=True)
class Encoder:
    """Runs the passes over a source."""

    destination: Path
    profile: Profile
    ffmpeg: Ffmpeg
    children: ChildProcesses
    timeout_seconds: float

    def encode_and_measure(self, source: Source, mixdown: Mixdown) -> tuple[SourceLevels, str]:
        """Encode in one pass that also measures; returns the command as well.

        One pass over 652 s of stereo took 0.27 s of CPU with these branches and 0.22 s without; astats takes 0.9 s.
        """
        channels = source.stream.channels
        if channels > _MOST_CHANNELS:
            raise NotAudioError(
                f"{source.path.name} has {channels} channels, and {_MOST_CHANNELS} can be mixed; check what it is"
            )
        pairs = _pairs(channels)
        taps = [f"pan=mono|c0=c{index}" for index in range(channels)]
        taps += [f"pan=mono|c0=0.5*c{first}+0.5*c{second}" for first, second in pairs]
        labels = [f"[tap{index}]" for index in range(len(taps))]
        branches = [f"{label}{tap},volumedetect,anullsink" for label, tap in zip(labels, taps, strict=True)]
        split = f"[0:a:0]asplit={len(taps) + 2}[mix][look]{''.join(labels)}"
        look = f"[look]{FIRST_SAMPLE},anullsink"
        stderr, command = self._encode(
            source, ";".join([split, f"[mix]{self._mix(source, mixdown)}[out]", look, *branches])
        )
        measured = parse_volumedetect(stderr)
        if not measured or not measured[0].samples:
            raise NotAudioError(f"{source.path.name} holds no sound: not one sample could be decoded")
        each = measured[:channels]
        cancellations_db = {
            (first, second): cancellation_db((each[first], each[second]), mix)
            for (first, second), mix in zip(pairs, measured[channels:], strict=True)
        }
        return SourceLevels(parse_stream(stderr), each, cancellations_db, problems(stderr)), command

    def listen(self, source: Source) -> Heard:
        """What some seconds say of the channels; where there seems to be nothing but hum in one, what all say."""
        listen_here = partial(
            listen, source, ffmpeg=self.ffmpeg, children=self.children, timeout_seconds=self.timeout_seconds
        )
        some = listen_here(to_all=False)
        return listen_here(to_all=True) if any(hum.is_all for hum in some.hums) else some

    def encode(self, source: Source, mixdown: Mixdown, gain_db: float) -> str:
        """Encode, turned up or down by ``gain_db``; returns the command."""
        gain = f",volume={gain_db:.1f}dB" if gain_db else ""
        _, command = self._encode(source, f"[0:a:0]{self._mix(source, mixdown)}{gain}[out]")
        return command

    def gain_to_full_scale(self, source: Source, mixdown: Mixdown) -> float:
        """0, or how many dB down the mix has to go so that no sample is over full scale.

        Measured after resampling, which may raise peaks. Samples that are no numbers (NaN, infinity) cannot be saved.
        """
        graph = f"[0:a:0]{self._mix(source, mixdown)},aformat=sample_fmts=flt,astats=measure_perchannel=none[out]"
        arguments = (*source.input_arguments, "-filter_complex", graph, "-map", "[out]", "-f", "null", "-")
        finished = self._run(arguments)
        peaks = [float(match["peak"]) for match in _PEAK.finditer(finished)]
        peak_dbfs = max(peaks, default=0.0)
        if not math.isfinite(peak_dbfs) or peak_dbfs <= 0:
            return 0.0
        return -math.ceil((peak_dbfs + _HEADROOM_DB) * 10) / 10

    def _mix(self, source: Source, mixdown: Mixdown) -> str:
        return mixdown.filters(source.stream.layout, self.profile.sample_rate_hz)

    def _encode(self, source: Source, graph: str) -> tuple[str, str]:
        output = file_url(self.destination)
        arguments = (
            *source.input_arguments,
            *("-filter_complex", graph, "-map", "[out]"),
            *self.profile.encoder_arguments(),
            output,
        )
        # People want to repeat it with their own files, so it is told without the staging directories.
        names = {file_url(source.path): source.path.name, output: self.destination.name}
        command = shlex.join(["ffmpeg", *(names.get(argument, argument) for argument in arguments)])
        return self._run(arguments, most_output_bytes(source.size_bytes, self.profile)), command

    def _run(self, arguments: tuple[str, ...], most_bytes: int | None = None) -> str:
        return self.ffmpeg.run(
            arguments, children=self.children, timeout_seconds=self.timeout_seconds, most_output_bytes=most_bytes
        ).stderr


def _pairs(channels: int) -> list[Pair]:
    """Whose mix is measured: all, or of many channels those that lie side by side, as those of one microphone do."""
    if channels <= _MOST_CHANNELS_OF_ALL_PAIRS:
        return list(combinations(range(channels), 2))
    return list(pairwise(range(channels)))


def most_output_bytes(source_bytes: int, profile: Profile) -> int:
    """The size beyond which an output is no recording: a small file that decodes to days fills the disk for all."""
    seconds = _SILENCE_SECONDS + source_bytes / _LEAST_BYTES_PER_SECOND
    if profile.honours_bitrate:
        return round(seconds * 2 * profile.bitrate_kbps * 1000 / 8)
    return round(seconds * 3 * profile.sample_rate_hz * profile.channels)  # FLAC may hold 24 bits
