"""The picture, read back with FFmpeg: where there is colour, and how high."""

import struct
import subprocess

import imageio_ffmpeg
import numpy as np
import pytest

from audio_compressor.audio.meter import COLUMNS
from audio_compressor.audio.waveform import HEIGHT, draw_waveform


def drawn(png: bytes) -> "np.typing.NDArray[np.bool_]":
    """Which pixels of a picture are not transparent: rows, columns."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "-", "-f", "rawvideo", "-pix_fmt", "rgba", "-"]
    raw = subprocess.run(command, input=png, capture_output=True, check=True).stdout
    assert struct.unpack(">II", png[16:24]) == (COLUMNS, HEIGHT)
    pixels = np.frombuffer(raw, np.uint8).reshape(HEIGHT, COLUMNS, 4)
    assert {tuple(pixel) for pixel in pixels[pixels[..., 3] > 0]} <= {(0x2F, 0x6F, 0xAB, 0xFF)}
    return pixels[..., 3] > 0


def outline(amplitude: int) -> "np.typing.NDArray[np.int16]":
    return np.full(COLUMNS, amplitude, np.int16)


def test_a_sound_has_its_height_above_and_below_the_middle() -> None:
    lowest, highest = outline(-32768), outline(32767)
    highest[: COLUMNS // 2] = 2048  # a quarter of full scale's height, on the scale of the square root
    lowest[: COLUMNS // 2] = 0
    picture = drawn(draw_waveform(lowest, highest))
    assert picture[:, -1].all()
    assert np.flatnonzero(picture[:, 0]).tolist() == list(range(HEIGHT // 2 - 10, HEIGHT // 2 + 1))


def test_silence_is_a_line() -> None:
    picture = drawn(draw_waveform(outline(0), outline(0)))
    assert np.flatnonzero(picture.any(axis=1)).tolist() == [HEIGHT // 2 - 1, HEIGHT // 2]
    assert picture.any(axis=0).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_picture_is_small(seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 32767, (2, COLUMNS)).astype(np.int16)
    assert len(draw_waveform(-noise[0], noise[1])) < 6000
