"""A true-peak limiter with look-ahead, as figures: how many decibels to take off, and what that does to the loudness.

It works on the highest points of blocks of 1.4 ms (see true_peak.py) and gives the attenuation at each edge of a block;
in between it is a straight line. So the sound itself is only ever multiplied by a slow curve: nothing is delayed,
nothing resampled, and what comes up between the samples stays within 0.3 dB of the ceiling.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from audio_compressor.audio.loudness import GATE_LUFS
from audio_compressor.audio.true_peak import BLOCK, Floats

BLOCKS_PER_SECOND = 700
# It begins 6 ms before a peak and has let go 6 ms after it, unless the next one has come by then. So a voice, with a
# peak in each of its periods, comes back in between: town-crier.wav reaches -14 LUFS with 5 to 6 dB off, where with
# a release of 40 dB/s each decibel of gain was lost again. And tones from 60 Hz on are held evenly: 3 dB over, they
# come out with a distortion below -100 dB; with half this reach, with -41 dB at 60 Hz. By noise_to_mask.py no
# slower release was better by more than 1 dB for any sound that reached its target, and most were worse by several.
_REACH_BLOCKS = 2
# Loudness is measured in blocks of 400 ms, one each 100 ms, with a relative gate (ITU-R BS.1770-5, annex 1).
_STEP_BLOCKS = BLOCKS_PER_SECOND // 10
_STEPS = 4
_OFFSET_LUFS = -0.691
_RELATIVE_GATE_LU = -10.0
# How far from the goal the search for a gain may end.
_CLOSE_LU = 0.005
_MOST_STEPS = 40

# In 32 bits, as the peaks are: of an hour, an array in 64 bits has 20 MB, and each rendition keeps four of them.
Decibels = Floats


def nothing_off(peaks: Floats) -> Decibels:
    """The curve of sound that is left as it is."""
    return np.zeros(len(peaks) + 1, np.float32)


def attenuation_db(over_db: Decibels) -> Decibels:
    """What to take off at each edge of a block (one more than blocks) so that in each block at least ``over_db`` is.

    Where ``over_db`` is 0 or less, nothing has to be.
    """
    edges = nothing_off(over_db)
    np.maximum(edges[:-1], over_db, out=edges[:-1])
    np.maximum(edges[1:], over_db, out=edges[1:])
    if not edges.any():
        return edges
    # In place wherever it can be: of two hours, each of these arrays has 20 MB.
    held = edges.copy()
    for distance in range(1, _REACH_BLOCKS + 1):
        np.maximum(held[distance:], edges[:-distance], out=held[distance:])
        np.maximum(held[:-distance], edges[distance:], out=held[:-distance])
    # The mean of what is held on both sides is nowhere less than what was asked for.
    smooth = held.copy()
    for distance in range(1, _REACH_BLOCKS + 1):
        smooth[distance:] += held[:-distance]
        smooth[:distance] += held[0]
        smooth[:-distance] += held[distance:]
        smooth[-distance:] += held[-1]
    smooth /= 2 * _REACH_BLOCKS + 1
    np.maximum(smooth, edges, out=smooth)
    return smooth


def over_ceiling_db(peaks: Floats, gain_db: float, ceiling_dbtp: float) -> Decibels:
    """How far each block is over the ceiling after ``gain_db``; 0 where it is not."""
    # In 64 bits: of a peak that is over by less than a step of 32, it is known that it is over.
    lowest = np.float64(10 ** ((ceiling_dbtp - gain_db) / 20))
    over: Decibels = np.zeros(len(peaks), np.float32)
    high = peaks > lowest
    over[high] = 20 * np.log10(peaks[high] / lowest)
    return over


@dataclass(frozen=True)
class LoudnessModel:
    """Foretells the loudness of limited sound from the K-weighted energy of each block (mean square, both channels)."""

    energies: Floats

    def lufs(self, edges_db: Decibels) -> float:
        """Integrated loudness after the attenuation; minus infinity below the gate."""
        factors = 10 ** (-edges_db / 20)
        begin, end = factors[:-1], factors[1:]
        kept = (begin * begin + begin * end + end * end) / 3  # the mean square of a straight line
        steps = len(kept) // _STEP_BLOCKS
        each = (self.energies * kept)[: steps * _STEP_BLOCKS].reshape(steps, _STEP_BLOCKS).mean(axis=1)
        sums = np.concatenate([[0.0], np.cumsum(each, dtype=np.float64)])
        powers = (sums[_STEPS:] - sums[:-_STEPS]) / _STEPS
        for gate in (_power(GATE_LUFS), _power(_RELATIVE_GATE_LU + self._mean_lufs(powers, _power(GATE_LUFS)))):
            powers = powers[powers > gate]
        return _lufs(float(powers.mean())) if len(powers) else -math.inf

    @staticmethod
    def _mean_lufs(powers: npt.NDArray[np.float64], gate: float) -> float:
        loud = powers[powers > gate]
        return _lufs(float(loud.mean())) if len(loud) else GATE_LUFS


def most_lufs(
    model: LoudnessModel, peaks: Floats, source_lufs: float, ceiling_dbtp: float, most_gain_db: float
) -> float:
    """How loud the limited sound becomes with the most gain that it may have."""
    return source_lufs - model.lufs(nothing_off(peaks)) + _limited_lufs(model, peaks, ceiling_dbtp, most_gain_db)


def gain_for_loudness(
    model: LoudnessModel, peaks: Floats, source_lufs: float, goal_lufs: float, ceiling_dbtp: float, most_gain_db: float
) -> float:
    """The gain (dB) with which the limited sound is as loud as wanted, at most ``most_gain_db``.

    The more is limited, the less a further decibel of gain adds; loudness rises with gain all the same, so the gain is
    found by halving.
    """
    loudness = partial(_limited_lufs, model, peaks, ceiling_dbtp)
    correction_lu = source_lufs - model.lufs(nothing_off(peaks))  # of the model, against the real meter
    low_db, high_db = goal_lufs - source_lufs, most_gain_db
    if high_db <= low_db or loudness(high_db) + correction_lu <= goal_lufs:
        return high_db
    for _ in range(_MOST_STEPS):
        gain_db = (low_db + high_db) / 2
        reached_lufs = loudness(gain_db) + correction_lu
        if abs(reached_lufs - goal_lufs) <= _CLOSE_LU:
            return gain_db
        if reached_lufs < goal_lufs:
            low_db = gain_db
        else:
            high_db = gain_db
    return (low_db + high_db) / 2


def _limited_lufs(model: LoudnessModel, peaks: Floats, ceiling_dbtp: float, gain_db: float) -> float:
    return model.lufs(attenuation_db(over_ceiling_db(peaks, gain_db, ceiling_dbtp))) + gain_db


def _power(lufs: float) -> float:
    return float(10 ** ((lufs - _OFFSET_LUFS) / 10))


def _lufs(power: float) -> float:
    return _OFFSET_LUFS + 10 * math.log10(power)


def multipliers(edges_db: Decibels, first_frame: int, frames: int) -> Floats:
    """The curve itself: a factor for each frame of a stretch of the sound."""
    first_block, skipped = divmod(first_frame, BLOCK)
    edges = edges_db[first_block : (first_frame + frames - 1) // BLOCK + 2]
    factors: Floats = (10 ** (-edges / 20)).astype(np.float32, copy=False)
    along: Floats = (np.arange(BLOCK) / BLOCK).astype(np.float32)
    curve: Floats = factors[:-1, None] + np.diff(factors)[:, None] * along
    return curve.reshape(-1)[skipped : skipped + frames]
