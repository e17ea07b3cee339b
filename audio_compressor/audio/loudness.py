"""How loud stereo sound is: integrated loudness and loudness range by EBU R 128 (FFmpeg's ebur128), and its true peaks.

One pass does both: FFmpeg decodes and measures loudness, and hands on the samples whose peaks are looked at here.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio_compressor.audio.ffmpeg import Ffmpeg, ending, input_arguments, problems, tail
from audio_compressor.audio.stereo import CHANNELS, SAMPLE_RATE_HZ, Stereo
from audio_compressor.audio.true_peak import Floats, PeakMeter, dbtp
from audio_compressor.errors import EncodingError, NotAudioError, VerificationError
from audio_compressor.processes import ChildProcesses, Finished, TakeOutput

# The absolute gate, and the length of the blocks that it is about (ITU-R BS.1770-5, annex 1).
GATE_LUFS = -70.0
LEAST_SECONDS = 0.4
# Loudness range is about blocks of 3 s (EBU Tech 3342).
LEAST_RANGE_SECONDS = 3.0
# ebur128 prints its figures to 0.1 LU at the end, and to 0.001 with each 100 ms; the last of these are enough.
_LAST_SECONDS = 0.5
_FIGURE = re.compile(
    r"^\[Parsed_ametadata_\d+ @ [^]]*] \[info] lavfi\.r128\.(?P<name>\w+)=(?P<value>\S+)$", re.MULTILINE
)


@dataclass(frozen=True)
class Loudness:
    """``integrated_lufs`` is None for silence (nothing is louder than -70 LUFS) and for less than 0.4 s of sound,
    ``range_lu`` also for less than 3 s: the standards define no figures for these.
    """

    integrated_lufs: float | None
    true_peak_dbtp: float
    range_lu: float | None
    duration_seconds: float


@dataclass(frozen=True)
class Measured:
    """``peaks`` are the highest points of the blocks of `true_peak.BLOCK` frames, with a full scale of 1."""

    loudness: Loudness
    peaks: Floats
    frames: int


def measure_loudness(sound: Stereo, *, ffmpeg: Ffmpeg, children: ChildProcesses, timeout_seconds: float) -> Measured:
    """Measure decoded sound.

    Raises:
        NotAudioError: some of its samples are no numbers.
        EncodingError, OutOfSpaceError, FfmpegMissingError, CancelledError: see `Ffmpeg.run`.
    """
    meter = PeakMeter(CHANNELS)
    graph, output = _graph(sound.duration_seconds), ("-map", "[samples]", "-f", "f32le", "pipe:1")
    stderr = ffmpeg.run(
        (*sound.input_arguments, "-filter_complex", graph, *output),
        children=children,
        timeout_seconds=timeout_seconds,
        take_stdout=meter.add,
    ).stderr
    measured = _measured(meter, stderr)
    if not np.isfinite(measured.peaks).all():
        raise NotAudioError(
            f"{sound.source.path.name} holds samples that are no numbers (NaN or infinity); export it again"
        )
    return measured


def measure_output(
    path: Path,
    expected_seconds: float,
    limit_dbtp: float,
    *,
    ffmpeg: Ffmpeg,
    children: ChildProcesses,
    timeout_seconds: float,
) -> Measured:
    """Decode an encoded file to its end and measure it; blocks that stay below ``limit_dbtp`` may read too low.

    Raises:
        VerificationError: it does not decode without an error.
        EncodingError: FFmpeg was killed, or reached the time limit.
    """
    meter = PeakMeter(CHANNELS, limit_dbtp)
    finished = _decode(path, _graph(expected_seconds), meter.add, ffmpeg, children, timeout_seconds)
    if finished.returncode < 0:  # says nothing about the file
        raise EncodingError(f"FFmpeg {ending(finished.returncode)} while it decoded {path.name}")
    if finished.returncode or problems(finished.stderr):
        raise VerificationError(
            f"The output {path.name} does not decode to its end: FFmpeg {ending(finished.returncode)}, "
            f"{tail(finished.stderr)}",
            check="decodes_to_end",
        )
    return _measured(meter, finished.stderr)


def _graph(seconds: float) -> str:
    """Samples leave it by the second: in frames of 1024, FFmpeg's threads take as long to hand them on as to decode."""
    last = max(0.0, seconds - _LAST_SECONDS)
    return (
        "[0:a:0]asplit=2[heard][all];[all]asetnsamples=n=44100:p=0[samples];"
        f"[heard]ebur128=metadata=1:framelog=quiet,aselect='gte(t,{last:.3f})',ametadata=mode=print,anullsink"
    )


def _decode(
    path: Path, graph: str, take: TakeOutput, ffmpeg: Ffmpeg, children: ChildProcesses, timeout_seconds: float
) -> Finished:
    return ffmpeg.run(
        (*input_arguments(path), "-filter_complex", graph, "-map", "[samples]", "-f", "f32le", "pipe:1"),
        children=children,
        timeout_seconds=timeout_seconds,
        check=False,
        take_stdout=take,
    )


def _measured(meter: PeakMeter, stderr: str) -> Measured:
    peaks = meter.peaks()
    seconds = meter.frames / SAMPLE_RATE_HZ
    figures = {match["name"]: float(match["value"]) for match in _FIGURE.finditer(stderr)}
    integrated_lufs = figures.get("I", GATE_LUFS)
    is_defined = integrated_lufs > GATE_LUFS  # where there is no block, ebur128 prints the gate
    loudness = Loudness(
        integrated_lufs=integrated_lufs if is_defined else None,
        true_peak_dbtp=dbtp(float(peaks.max(initial=0.0))),
        range_lu=figures.get("LRA") if is_defined and seconds >= LEAST_RANGE_SECONDS else None,
        duration_seconds=seconds,
    )
    return Measured(loudness, peaks, meter.frames)
