"""Sound evened out by loudnorm's dynamic mode: quiet passages come up, loud ones down, within a loudness range."""

from dataclasses import replace
from pathlib import Path

from audio_compressor.audio.ffmpeg import Ffmpeg, file_url
from audio_compressor.audio.normalization import LoudnessTarget
from audio_compressor.audio.stereo import SAMPLE_RATE_HZ, Stereo
from audio_compressor.processes import ChildProcesses


def evened_out(
    sound: Stereo,
    target: LoudnessTarget,
    destination: Path,
    *,
    ffmpeg: Ffmpeg,
    children: ChildProcesses,
    timeout_seconds: float,
) -> Stereo:
    """``sound`` as raw floats at ``destination``, of the same number of frames.

    loudnorm works at 192 kHz and looks 3 s ahead: 31 s for 652 s. It comes to about 1 LU of its target; what is missing
    is left to the caller.

    Raises:
        EncodingError, OutOfSpaceError, FfmpegMissingError, CancelledError: see `Ffmpeg.run`.
    """
    # loudnorm refuses figures outside of these.
    loudness_lufs = min(max(target.integrated_lufs, -70.0), -5.0)
    peak_dbtp = min(max(target.true_peak_dbtp, -9.0), 0.0)
    range_lu = min(max(target.range_lu, 1.0), 50.0)
    # Resampling there and back may lose or add a few samples at the end.
    graph = (
        f"[0:a:0]loudnorm=I={loudness_lufs}:TP={peak_dbtp}:LRA={range_lu},aresample={SAMPLE_RATE_HZ},"
        f"aformat=sample_fmts=flt,apad=whole_len={sound.frames},atrim=end_sample={sound.frames}[out]"
    )
    ffmpeg.run(
        (*sound.input_arguments, "-filter_complex", graph, "-map", "[out]", "-f", "f32le", file_url(destination)),
        children=children,
        timeout_seconds=timeout_seconds,
    )
    return replace(sound, path=destination)
