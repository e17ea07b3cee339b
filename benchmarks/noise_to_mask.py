"""How far the noise of an encoder stands over what the sound itself covers up: the noise-to-mask ratio.

A plain model of the ear, after Brandenburg's NMR (1987), which is a part of PEAQ (ITU-R BS.1387): spectra of 46 ms, in
bands of half a Bark; each covers what lies 10 dB per Bark above it and 27 dB below it, less 6 dB at low and more at
high frequencies; nothing is heard below the threshold of hearing (Terhardt), with full scale at 100 dB SPL. It tells
coders and settings apart; it is no listening test.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_RATE_HZ = 44_100
_FRAMES = 2048
_TOP_HZ = 18_000
_SILENT = 1e-6 * _FRAMES**2 / 16


@dataclass(frozen=True)
class NoiseToMask:
    """``ratio_db`` is the mean over all bands and times, ``heard_share`` (0 to 1) of how many of them it is over 0."""

    ratio_db: float
    heard_share: float


def noise_to_mask(original: Floats, decoded: Floats) -> NoiseToMask:
    """Of two sounds of the same frames and level, of shape (frames, channels), at 44.1 kHz."""
    ratios = np.concatenate([_ratios(original[:, each], decoded[:, each]) for each in range(original.shape[1])])
    return NoiseToMask(float(10 * np.log10(ratios.mean())), float((ratios > 1).mean()))


def _ratios(original: Floats, decoded: Floats) -> Floats:
    bands, spreading, threshold = _ear()
    sound = _powers(original) @ bands.T
    noise = _powers(original - decoded) @ bands.T
    audible = sound.sum(axis=1) > _SILENT
    mask = np.maximum(sound @ spreading.T, threshold)
    return np.asarray((noise / mask)[audible])


def _powers(channel: Floats) -> Floats:
    windows = np.lib.stride_tricks.sliding_window_view(channel, _FRAMES)[:: _FRAMES // 2]
    return np.asarray(np.abs(np.fft.rfft(windows * np.hanning(_FRAMES), axis=1)) ** 2)


@cache
def _ear() -> tuple[Floats, Floats, Floats]:
    """Which lines of a spectrum are in which band, how much each band covers of each, and the threshold of hearing."""
    lines_hz = np.fft.rfftfreq(_FRAMES, 1 / _RATE_HZ)
    barks = 7 * np.arcsinh(lines_hz / 650)
    edges = np.arange(0.5, 7 * np.arcsinh(_TOP_HZ / 650) + 0.5, 0.5)
    member = np.digitize(barks, edges)
    bands = np.array([member == band for band in range(len(edges))], float)
    bands = bands[bands.sum(axis=1) > 0]
    centres = bands @ barks / bands.sum(axis=1)
    above = centres[:, None] - centres[None, :]
    spreading = 10 ** (-np.where(above >= 0, 10 * above, -27 * above) / 10)
    spreading /= np.maximum(1.0, spreading.sum(axis=1, keepdims=True))
    less_db = 3 + np.where(centres <= 12, 3, 0.25 * centres)
    khz = np.maximum(bands @ lines_hz / bands.sum(axis=1), 50) / 1000
    threshold_db = 3.64 * khz**-0.8 - 6.5 * np.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4
    threshold = 10 ** ((threshold_db - 100) / 10) * _FRAMES**2 / 16
    return bands, spreading * 10 ** (-less_db / 10)[:, None], threshold
