"""Listens to a published file with plain FFmpeg, and not with the code that made or verified it."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from audio_compressor_tests.soak.melody import LISTENING_RATE_HZ


class Unplayable(Exception):  # noqa: N818 - a statement about a file
    """It does not decode to its end without a complaint."""


def listen(path: Path) -> NDArray[np.int16]:
    """All of it as mono samples at ``LISTENING_RATE_HZ``. Raises Unplayable."""
    decode = ["-nostdin", "-v", "error", "-i", str(path)]
    samples = ["-ac", "1", "-ar", str(LISTENING_RATE_HZ), "-f", "s16le", "pipe:1"]
    done = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *decode, *samples], capture_output=True, check=False)
    if done.returncode or done.stderr:
        raise Unplayable(f"exit code {done.returncode}, {done.stderr.decode(errors='replace').strip()[:300]}")
    return np.frombuffer(done.stdout, np.int16)
