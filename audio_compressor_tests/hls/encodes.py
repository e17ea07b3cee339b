"""Encodes as the ladder is cut from: M4A with AAC-LC, the same frames in each; made with a plain FFmpeg command."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from audio_compressor.hls.layout import RenditionName
from audio_compressor_tests.wav_files import Sound, silence, write_wav

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
BITRATES_KBPS: Mapping[RenditionName, int] = {"low": 48, "med": 64, "high": 128}


def music(seconds: float, *, channels: int = 2, sample_rate_hz: int = 44100) -> Sound:
    """Chords that change twice a second over noise: no segment is like another, and an encoder has work to do."""
    times = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    random = np.random.default_rng(7)
    pitches_hz = random.uniform(80, 4000, size=(6, int(2 * seconds) + 1))
    chords = np.zeros((len(times), channels))
    for number, notes_hz in enumerate(pitches_hz):
        phase = np.cumsum(notes_hz[(2 * times).astype(int)]) / sample_rate_hz
        chords[:, number % channels] += 0.1 * np.sin(2 * np.pi * phase)
    return chords + random.normal(scale=0.02, size=chords.shape)


def half_silent(seconds: float) -> Sound:
    """Music, then three times as long nothing: rates differ by more than a factor of two."""
    return np.vstack([music(seconds / 4), silence(seconds * 3 / 4)])


def encode(
    sound: Sound,
    directory: Path,
    *,
    bitrates_kbps: Mapping[RenditionName, int] = BITRATES_KBPS,
    sample_rate_hz: int = 44100,
    options: tuple[str, ...] = (),
) -> dict[RenditionName, Path]:
    """One M4A for each bitrate."""
    source = write_wav(directory / "source.wav", sound, sample_rate_hz=sample_rate_hz)
    paths = {}
    for name, bitrate_kbps in bitrates_kbps.items():
        paths[name] = directory / f"{name}.m4a"
        run(
            "-i",
            str(source),
            "-c:a",
            "aac",
            "-b:a",
            f"{bitrate_kbps}k",
            *options,
            "-movflags",
            "+faststart",
            paths[name],
        )
    return paths


def run(*arguments: str | Path) -> bytes:
    """What FFmpeg writes to ``-``."""
    argv = [FFMPEG, "-nostdin", "-y", "-v", "error", *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, check=True).stdout
