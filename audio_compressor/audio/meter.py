"""Measures 16-bit samples that arrive piece by piece: memory does not grow with the length of a recording."""

import math

import numpy as np
import numpy.typing as npt

from audio_compressor.audio.levels import FLOOR_DBFS, Levels

COLUMNS = 600
_FULL_SCALE = 32768
# Within 1 dB of full scale.
_NEAR_FULL_SCALE = round(_FULL_SCALE * 10 ** (-1 / 20))

Samples = npt.NDArray[np.int16]


class Meter:
    """Levels of all channels together, and the outline of the sound.

    Args:
        expected_samples: of all channels; what comes beyond them belongs to the last column of the outline.
    """

    def __init__(self, expected_samples: int) -> None:
        columns = max(1, min(COLUMNS, expected_samples))
        self._starts = np.arange(columns, dtype=np.int64) * expected_samples // columns
        self._lowest = np.zeros(columns, np.int16)
        self._highest = np.zeros(columns, np.int16)
        self._samples = 0
        self._near_full_scale = 0
        self._energy = 0.0
        self._odd = b""

    @property
    def samples(self) -> int:
        return self._samples

    def add(self, data: bytes) -> None:
        """Little-endian samples, 2 bytes each; a piece may end inside of one."""
        data = self._odd + data if self._odd else data
        whole_bytes = len(data) & ~1
        self._odd = data[whole_bytes:]
        samples = np.frombuffer(data, "<i2", whole_bytes // 2)
        if samples.size:
            self._measure(samples)

    def levels(self) -> Levels:
        """As FFmpeg's volumedetect would print them, to a tenth of a dB."""
        if not self._samples:
            return Levels(0, FLOOR_DBFS, FLOOR_DBFS, 0.0)
        peak = max(int(self._highest.max()), -int(self._lowest.min()))
        return Levels(
            self._samples,
            _dbfs(math.sqrt(self._energy / self._samples)),
            _dbfs(peak),
            self._near_full_scale / self._samples,
        )

    def outline(self) -> tuple[Samples, Samples]:
        """The lowest (at most 0) and the highest sample (at least 0) of each of `COLUMNS` equal stretches of time."""
        stretched = np.arange(COLUMNS) * len(self._starts) // COLUMNS
        return self._lowest[stretched], self._highest[stretched]

    def _measure(self, samples: Samples) -> None:
        first = int(np.searchsorted(self._starts, self._samples, "right")) - 1
        end = int(np.searchsorted(self._starts, self._samples + samples.size))
        offsets = np.maximum(self._starts[first:end] - self._samples, 0)
        highest, lowest = self._highest[first:end], self._lowest[first:end]
        np.maximum(highest, np.maximum.reduceat(samples, offsets), out=highest)
        np.minimum(lowest, np.minimum.reduceat(samples, offsets), out=lowest)
        if max(int(highest.max()), -int(lowest.min())) >= _NEAR_FULL_SCALE:
            self._near_full_scale += int(np.count_nonzero(samples >= _NEAR_FULL_SCALE))
            self._near_full_scale += int(np.count_nonzero(samples <= -_NEAR_FULL_SCALE))
        values = samples.astype(np.float32)
        self._energy += float(np.einsum("i,i->", values, values))
        self._samples += samples.size


def _dbfs(amplitude: float) -> float:
    if amplitude <= 0:
        return FLOOR_DBFS
    return max(FLOOR_DBFS, round(20 * math.log10(amplitude / _FULL_SCALE), 1)) + 0.0
