"""Encoding decoded sound to AAC: all of it or excerpts, made louder or quieter and limited on the way."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio_compressor.audio.ffmpeg import Ffmpeg, file_url, input_arguments
from audio_compressor.audio.ladder import AacCoder, RenditionProfile
from audio_compressor.audio.limiter import multipliers
from audio_compressor.audio.progress import Report
from audio_compressor.audio.stereo import CHANNELS, FRAME_BYTES, SAMPLE_RATE_HZ, Stereo, raw_input_arguments
from audio_compressor.audio.treatment import Treatment
from audio_compressor.audio.true_peak import BLOCK, Floats
from audio_compressor.local_files import local_errors
from audio_compressor.processes import ChildProcesses

_PIECE_FRAMES = 8192 * BLOCK
# The curve is written in 16 bits: its steps lie 90 dB below the sound, those of AAC 15 to 20.
_FULL = 32767
_PROGRESS_KEY = b"out_time_us="

# Where in the sound an excerpt begins, and how many frames it takes.
Span = tuple[int, int]


@dataclass(frozen=True)
class AacEncoder:
    """Encodes with one coder; every file in work lies beside its destination."""

    coder: AacCoder
    ffmpeg: Ffmpeg
    children: ChildProcesses
    timeout_seconds: float

    def encode(
        self, sound: Stereo, destination: Path, profile: RenditionProfile, treatment: Treatment, report: Report
    ) -> str:
        """All of ``sound``, with the tags and the cover of its source; returns the command. ``report`` is told the
        seconds that are done.
        """
        curve = destination.with_suffix(".curve")
        try:
            return self._encode(sound, destination, profile, treatment, curve, report)
        finally:
            curve.unlink(missing_ok=True)

    def encode_excerpts(
        self,
        sound: Stereo,
        destination: Path,
        profile: RenditionProfile,
        treatment: Treatment,
        spans: Sequence[Span],
    ) -> None:
        """The excerpts one after the other, as one sound."""
        raw = destination.with_suffix(".excerpts")
        try:
            write_excerpts(sound, raw, spans, treatment)
            self.encode_raw(raw, destination, profile)
        finally:
            raw.unlink(missing_ok=True)

    def encode_raw(self, raw: Path, destination: Path, profile: RenditionProfile) -> None:
        """A file of floats as it is."""
        self._run((*raw_input_arguments(raw), "-map", "0:a", *profile.encoder_arguments(self.coder)), destination)

    def _encode(
        self,
        sound: Stereo,
        destination: Path,
        profile: RenditionProfile,
        treatment: Treatment,
        curve: Path,
        report: Report,
    ) -> str:
        inputs, graph = sound.input_arguments, f"[0:a:0]volume={treatment.gain_db:.6f}dB:precision=float"
        if treatment.limited_db:
            _write_curve(curve, sound.frames, treatment)
            inputs += input_arguments(curve, ("-f", "s16le", "-ar", str(SAMPLE_RATE_HZ), "-ac", "1"))
            both_sides = "aformat=sample_fmts=fltp,pan=stereo|c0=c0|c1=c0"
            graph = f"{graph}[loud];[1:a:0]{both_sides}[curve];[loud][curve]amultiply"
        carried_over: tuple[str, ...] = ()
        if profile.is_download:
            carried_over = tuple(_carried_over(inputs.count("-i"), sound.picture_stream))
            inputs += sound.source.input_arguments
        arguments = (
            *(*inputs, "-filter_complex", f"{graph}[out]", "-map", "[out]"),
            *(*carried_over, *profile.encoder_arguments(self.coder)),
        )
        self._run(("-progress", "pipe:1", *arguments), destination, report)
        # People want to repeat it with their own files, so it is told without the staging directories.
        names = {file_url(path): path.name for path in (sound.path, curve, sound.source.path)}
        return shlex.join(["ffmpeg", *(names.get(argument, argument) for argument in arguments), destination.name])

    def _run(self, arguments: tuple[str, ...], destination: Path, report: Report | None = None) -> None:
        self.ffmpeg.run(
            (*arguments, file_url(destination)),
            children=self.children,
            timeout_seconds=self.timeout_seconds,
            take_stdout=None if report is None else _Progress(report).take,
        )


def write_excerpts(sound: Stereo, destination: Path, spans: Sequence[Span], treatment: Treatment) -> None:
    """The treated samples of the excerpts, raw as those of ``sound``."""
    gain = np.float32(10 ** (treatment.gain_db / 20))
    with local_errors(destination), destination.open("wb") as file:
        for first_frame, frames in spans:
            for start in range(first_frame, first_frame + frames, _PIECE_FRAMES):
                samples = _read(sound, start, min(_PIECE_FRAMES, first_frame + frames - start))
                curve = multipliers(treatment.edges_db, start, len(samples))
                file.write((samples * (gain * curve)[:, None]).astype("<f4", copy=False).tobytes())


def _read(sound: Stereo, first_frame: int, frames: int) -> Floats:
    with local_errors(sound.path):
        samples = np.fromfile(sound.path, "<f4", frames * CHANNELS, offset=first_frame * FRAME_BYTES)
    return samples.reshape(-1, CHANNELS)


def _write_curve(path: Path, frames: int, treatment: Treatment) -> None:
    with local_errors(path), path.open("wb") as file:
        for first_frame in range(0, frames, _PIECE_FRAMES):
            count = min(_PIECE_FRAMES, frames - first_frame)
            curve = multipliers(treatment.edges_db, first_frame, count)
            file.write(np.floor(curve * _FULL).astype("<i2").tobytes())


def _carried_over(number: int, picture_stream: int | None) -> Iterator[str]:
    """Tags of input ``number`` and of its sound (where Ogg keeps them), but nothing that a video might bring.

    FFmpeg leaves out what M4A has no tag for, such as the gains of ReplayGain, which would be wrong now.
    """
    if picture_stream is not None:
        yield from ("-map", f"{number}:{picture_stream}?", "-c:v", "copy", "-disposition:v:0", "attached_pic")
    yield from ("-map_metadata:g", f"{number}:g", "-map_metadata:g", f"{number}:s:a:0", "-map_chapters", "-1")


class _Progress:
    """Reads what FFmpeg's ``-progress`` prints, line by line."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._line = b""

    def take(self, data: bytes) -> None:
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            time_us = line.removeprefix(_PROGRESS_KEY)
            if time_us != line and time_us.isdigit():
                self._report(int(time_us) / 1e6)
