"""Generates recording directories: noise and tones with the ups and downs of speech, no two alike."""

import os
import time
import wave
from pathlib import Path

import numpy as np

SAMPLE_RATE_HZ = 44_100
CHANNELS = 2
_FRAME_BYTES = 2 * CHANNELS
_META = "<recording><title>Benchmark</title><number>{number}</number></recording>\n"
_PIECE_SECONDS = 60


def make_recordings(source: Path, count: int, megabytes: float) -> None:
    """``count`` directories below ``source``, each with a stereo WAV of ``megabytes`` MB and a page of metadata.

    They are dated an hour back: a file that has just been written counts as not settled.
    """
    piece = _piece()
    frames = int(megabytes * 1_000_000) // _FRAME_BYTES
    an_hour_ago = time.time() - 3600
    for number in range(count):
        directory = source / f"{1 + number // 28 % 12:02}-{1 + number % 28:02}-{25 + number // 336:02}"
        directory.mkdir(parents=True)
        _write(directory / "StereoMix.wav", np.roll(piece, number * 997, axis=0), frames)
        (directory / "Meta.xml").write_text(_META.format(number=number))
        for path in (*directory.iterdir(), directory):
            os.utime(path, (an_hour_ago, an_hour_ago))
    os.sync()  # or the disk would still be writing while the first candidate is measured


def _piece() -> "np.ndarray[tuple[int, int], np.dtype[np.int16]]":
    """A minute of stereo, as samples of shape (frames, 2)."""
    random = np.random.default_rng(17)
    frames = SAMPLE_RATE_HZ * _PIECE_SECONDS
    at_seconds = np.arange(frames) / SAMPLE_RATE_HZ
    envelope = 0.55 + 0.45 * np.sin(2 * np.pi * 2.5 * at_seconds)  # syllables
    harmonics = [np.sin(2 * np.pi * 140 * number * at_seconds) / number for number in range(1, 12)]
    voice = np.sum(harmonics, axis=0)
    noise = random.standard_normal((frames, CHANNELS)) * 0.05
    samples = envelope[:, None] * (0.25 * voice[:, None] + noise)
    piece: np.ndarray[tuple[int, int], np.dtype[np.int16]] = np.clip(samples * 16_000, -32_768, 32_767).astype(np.int16)
    return piece


def _write(path: Path, piece: "np.ndarray[tuple[int, int], np.dtype[np.int16]]", frames: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(CHANNELS)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.setnframes(frames)
        data = piece.tobytes()
        left_bytes = frames * _FRAME_BYTES
        while left_bytes > 0:
            file.writeframesraw(data[:left_bytes])
            left_bytes -= len(data)
