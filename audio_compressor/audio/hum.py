"""Mains hum: how loud it is in the pauses of a channel, and whether the channel holds anything else."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audio_compressor.audio.levels import FLOOR_DBFS, NO_HUM, Hum

_MAINS_HZ = (50, 60)
_HIGHEST_BIN = 630  # the twelfth harmonic of 50 Hz, the tenth of 60 Hz, and what lies beside them
# With Hann's window a steady tone takes up two bins (of 1 Hz) on both sides; the mains wander by less than one.
_LINE_HALF_WIDTH_HZ = 2
# Bins beside a harmonic, which tell what would be there without hum.
_BESIDE_HZ = range(4, 10)
# Of speech and music, too, something falls on the harmonics. Hum stands out there, most of it in the lowest ones.
_LEAST_PROMINENCE = 4
_LOW_HARMONICS = 3
_LEAST_LOW_SHARE = 0.5
_QUIETEST_SHARE = 0.1

_Mask = npt.NDArray[np.bool_]
Samples = npt.NDArray[np.float64]
_Powers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Comb:
    """Which bins of 1 Hz are harmonics of one mains frequency, which of them are the lowest, and which lie beside."""

    lines: _Mask
    low: _Mask
    beside: _Mask

    @classmethod
    def of(cls, mains_hz: int) -> "_Comb":
        bins = np.arange(_HIGHEST_BIN)
        distance = np.minimum(bins % mains_hz, -bins % mains_hz)
        distance[: mains_hz // 2] = mains_hz  # direct current is no harmonic
        lines = distance <= _LINE_HALF_WIDTH_HZ
        beside = (distance >= _BESIDE_HZ.start) & (distance < _BESIDE_HZ.stop)
        return cls(lines, lines & (bins < (_LOW_HARMONICS + 0.5) * mains_hz), beside)

    def hum(self, powers: _Powers) -> _Powers:
        """The power of the harmonics of each channel (the first axis), 0 where they are no hum."""
        powers = powers[:, : len(self.lines)]
        lines = powers[:, self.lines].sum(axis=1)
        expected = powers[:, self.beside].mean(axis=1) * self.lines.sum()
        low = powers[:, self.low].sum(axis=1)
        is_hum = (lines >= _LEAST_PROMINENCE * expected) & (low >= _LEAST_LOW_SHARE * lines)
        hum: _Powers = np.where(is_hum, lines, 0.0)
        return hum


class HumMeter:
    """Measures seconds of sound, which need not have followed one another."""

    def __init__(self, channels: int, sample_rate_hz: int) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._window = np.hanning(sample_rate_hz + 1)[:-1]
        self._window_power = float((self._window**2).sum())
        self._combs = [_Comb.of(mains_hz) for mains_hz in _MAINS_HZ]
        # The mean of so many samples, of which the spectrum is made: a tenth of the work, and all bins that matter.
        largest = sample_rate_hz // (2 * _HIGHEST_BIN)
        self._block = max(size for size in range(1, largest + 1) if sample_rate_hz % size == 0)
        bins = np.arange(sample_rate_hz // self._block // 2 + 1)
        # What it takes away from each of them; np.sinc would be the limit of many samples.
        angles = np.pi * np.maximum(bins, 1) / sample_rate_hz
        self._response = np.sin(self._block * angles) / (self._block * np.sin(angles))
        # By the level of the second in whole dBFS, so that memory does not grow.
        levels = round(-FLOOR_DBFS) + 1
        self._seconds = np.zeros((channels, levels), np.int64)
        self._hum = np.zeros((len(_MAINS_HZ), channels, levels))
        self._loudest_rest = np.zeros((len(_MAINS_HZ), channels))

    def measure(self, samples: Samples) -> None:
        """A second of each channel (the first axis), with a full scale of 1."""
        channels = len(samples)
        windowed = samples - samples.mean(axis=1, keepdims=True)
        windowed *= self._window
        total = np.einsum("ij,ij->i", windowed, windowed) / self._window_power
        blocks = np.einsum("ijk->ij", windowed.reshape(channels, -1, self._block))
        spectrum = np.fft.rfft(blocks) / self._response
        # Scaled as the total, which is the mean square of the samples but for what the window takes away.
        powers = (spectrum.real**2 + spectrum.imag**2) * (2 / self._sample_rate_hz / self._window_power)
        each = np.arange(channels)
        levels = [round(_dbfs(power) - FLOOR_DBFS) for power in total]
        self._seconds[each, levels] += 1
        for index, comb in enumerate(self._combs):
            hum = comb.hum(powers)
            self._hum[index, each, levels] += hum
            np.maximum(self._loudest_rest[index], total - hum, out=self._loudest_rest[index])

    def hums(self) -> tuple[Hum, ...]:
        """One for each channel; without hum where nothing was measured."""
        return tuple(self._hum_of(channel) for channel in range(len(self._seconds)))

    def _hum_of(self, channel: int) -> Hum:
        seconds = self._seconds[channel]
        if not seconds.any():
            return NO_HUM
        index = int(self._hum[:, channel].sum(axis=1).argmax())
        quietest = int(np.searchsorted(seconds.cumsum(), max(1.0, _QUIETEST_SHARE * seconds.sum()))) + 1
        hum = self._hum[index, channel, :quietest].sum() / seconds[:quietest].sum()
        return Hum(_MAINS_HZ[index], _dbfs(hum), _dbfs(self._loudest_rest[index, channel]))


def _dbfs(power: float) -> float:
    if power <= 0:
        return FLOOR_DBFS
    return min(0.0, max(FLOOR_DBFS, round(10 * math.log10(power), 1)))
