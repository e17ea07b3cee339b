"""Ground truth for the tests: decodes files with a plain FFmpeg command and measures the samples with numpy."""

import stat
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from audio_compressor_tests.wav_files import Sound


def decode(path: Path, *, channels: int, options: tuple[str, ...] = ()) -> Sound:
    """Every sample of a file as FFmpeg decodes it, at the file's own rate."""
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", *options, "-i", str(path), "-map", "0:a:0"]
    raw = subprocess.run([*argv, "-f", "f64le", "-"], capture_output=True, check=True).stdout
    return np.frombuffer(raw, "<f8").reshape(-1, channels)


def rms_dbfs(sound: Sound) -> float:
    return float(10 * np.log10(max(float(np.mean(sound**2)), 1e-20)))


def peak_dbfs(sound: Sound) -> float:
    return float(20 * np.log10(max(float(np.max(np.abs(sound))), 1e-10)))


def level_at(sound: Sound, frequency_hz: float, sample_rate_hz: int) -> float:
    """Peak level (dBFS) of one sine in a sound of one channel."""
    window = np.hanning(len(sound))
    turns = np.exp(-2j * np.pi * frequency_hz * np.arange(len(sound)) / sample_rate_hz)
    return float(20 * np.log10(2 * abs(np.sum(sound[:, 0] * window * turns)) / np.sum(window) + 1e-12))


def script(path: Path, text: str) -> Path:
    """An executable shell script, to stand in as FFMPEG_BINARY."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def answering_script(path: Path, then: str) -> Path:
    """A script that answers questions like the real FFmpeg (``$REAL``), and does ``then`` when told to work."""
    real = imageio_ffmpeg.get_ffmpeg_exe()
    return script(path, f'REAL="{real}"\ncase "$*" in *-version|*-encoders) exec "$REAL" "$@";; esac\n{then}')
