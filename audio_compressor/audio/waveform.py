"""The picture of a recording: its outline as a small PNG."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from audio_compressor.audio.meter import Samples

HEIGHT = 80
_BLUE = (0x2F, 0x6F, 0xAB)
_MIDDLE = HEIGHT // 2


def draw_waveform(lowest: Samples, highest: Samples) -> bytes:
    """A PNG as wide as the outline has columns; transparent behind one colour, so that it suits light and dark pages.

    Square root scale, or talk is a thin line.
    """
    rows = np.arange(HEIGHT)[:, np.newaxis]
    is_sound = (rows >= _MIDDLE - _pixels(highest)) & (rows <= _MIDDLE - 1 + _pixels(-lowest.astype(np.int32)))
    image = Image.fromarray(is_sound.astype(np.uint8), "P")
    image.putpalette([255, 255, 255, *_BLUE])
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True, transparency=0)
    return file.getvalue()


def _pixels(amplitudes: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """From 1 to half the height: silence is a line, and not nothing."""
    pixels: npt.NDArray[np.float64] = np.rint(np.sqrt(amplitudes / 32768) * _MIDDLE)
    return np.maximum(1, pixels)
