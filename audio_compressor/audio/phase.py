"""Do two channels cancel each other out? Second by second, and without what hums and rumbles in both."""

from itertools import combinations

import numpy as np
import numpy.typing as npt

from audio_compressor.audio.levels import DEAD_DBFS, Cancellation, Pair

_HEARD = 10 ** (DEAD_DBFS / 10)


class PhaseMeter:
    """Compares the channels of seconds of sound. What it compares is the difference from sample to sample: talk, for
    hum at 50 Hz is 26 dB weaker there against 1 kHz.
    """

    def __init__(self, channels: int) -> None:
        self._powers = np.zeros(channels)
        self._products = np.zeros((channels, channels))
        self._worst_db = np.zeros((channels, channels))

    def measure(self, samples: npt.NDArray[np.float64]) -> None:
        """A second of each channel (the first axis), with a full scale of 1."""
        differences = np.diff(samples, axis=1)
        products = np.einsum("ik,jk->ij", differences, differences) / differences.shape[1]
        powers = np.diagonal(products)
        self._powers += powers
        self._products += products
        is_heard = np.einsum("ij,ij->i", samples, samples) / samples.shape[1] > _HEARD
        both_heard = np.outer(is_heard, is_heard)
        np.maximum(self._worst_db, np.where(both_heard, _cancelled_db(powers, products), 0), out=self._worst_db)

    def cancellations(self) -> dict[Pair, Cancellation]:
        """One for each two channels."""
        overall_db = _cancelled_db(self._powers, self._products)
        return {
            (first, second): Cancellation(
                round(float(overall_db[first, second]), 1), round(float(self._worst_db[first, second]), 1)
            )
            for first, second in combinations(range(len(self._powers)), 2)
        }


def _cancelled_db(powers: npt.NDArray[np.float64], products: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far the mean of two lies below that of two unrelated ones (dB, from 0, at most 90)."""
    unrelated = powers[:, np.newaxis] + powers
    left = 1 + np.divide(2 * products, unrelated, out=np.zeros_like(products), where=unrelated > 0)
    cancelled: npt.NDArray[np.float64] = np.maximum(0, -10 * np.log10(np.maximum(left, 1e-9)))
    return cancelled
