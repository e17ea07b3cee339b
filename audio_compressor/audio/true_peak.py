"""True peaks: how high a signal goes between its samples (ITU-R BS.1770-5, annex 2), in blocks of a stream.

The standard asks for at least 4 times as many points. These are looked at everywhere; where they come close to what
matters, 16 times as many. FFmpeg's ebur128 looks at 192 kHz through a filter that begins at 20 kHz to fall: castanets
read 0.2 dB too low there. This takes 0.40 s of CPU for 300 s, 0.26 s where only peaks near a limit matter.
"""

import math
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# 700 blocks in a second of 44.1 kHz, 70 in the 100 ms by which loudness is measured (see limiter.py).
BLOCK = 63
_FACTOR = 4
_FINE_FACTOR = 16
# Samples on each side that an interpolated point is made of. A sine of 20 kHz reads 0.005 dB too low, of 21 kHz 0.03.
_REACH = 16
_KAISER = 7.0
# No point can be higher than this times the highest sample within reach: the sum of the interpolator's coefficients.
_MOST_BETWEEN = 2.5
# What 4 points for each sample may miss of a sine of 20 kHz: 20 log10(cos(pi 20 / 44.1 / 4)) = -0.55 dB.
_MOST_MISSED = 10 ** (0.6 / 20)
FLOOR_DBTP = -120.0
# Blocks are looked at by the second: in the pieces of a pipe, numpy's calls would take longer than their work.
_PIECE_FRAMES = 700 * BLOCK
# OpenBLAS, which numpy ships, multiplies larger matrices on all CPUs at once, and its threads wait by spinning: beside
# FFmpeg 652 s took 6.5 s of CPU instead of 0.5.
_MOST_MULTIPLICATIONS = 4 * 65_536


class PeakMeter:
    """The highest point of each block, of both channels, of interleaved samples that arrive piece by piece.

    The highest of all is found finely. With ``of_interest_dbtp`` every block that reaches it is, too, and blocks that
    can reach neither show only the highest of their samples.
    """

    def __init__(self, channels: int, of_interest_dbtp: float | None = None) -> None:
        self.frames = 0
        self._channels = channels
        self._of_interest = None if of_interest_dbtp is None else 10 ** (of_interest_dbtp / 20)
        self._highest = 0.0
        self._waiting: Floats = np.zeros((_REACH, channels), np.float32)  # silence before the first sample
        self._odd = bytearray()
        self._blocks: list[Floats] = []

    def add(self, data: bytes) -> None:
        """Little-endian floats; a piece may end inside of one."""
        self._odd += data
        piece_bytes = 4 * self._channels * _PIECE_FRAMES
        # However the pipe cuts it: what is looked at finely depends on the pieces, and one source gave different bytes.
        while len(self._odd) >= piece_bytes:
            self._take(piece_bytes)

    def peaks(self) -> Floats:
        """One for each block, with a full scale of 1; to be called once, at the end. A NaN where there is one."""
        self._take(len(self._odd))
        blocks = -(-(len(self._waiting) - _REACH) // BLOCK)
        missing = blocks * BLOCK + 2 * _REACH - len(self._waiting)
        self._waiting = np.concatenate([self._waiting, np.zeros((missing, self._channels), np.float32)])
        self._look(blocks)
        return np.concatenate(self._blocks) if self._blocks else np.zeros(0, np.float32)

    def _take(self, size_bytes: int) -> None:
        whole = size_bytes - size_bytes % (4 * self._channels)
        samples = np.frombuffer(bytes(self._odd[:whole]), "<f4").reshape(-1, self._channels)
        del self._odd[:whole]
        self.frames += len(samples)
        self._waiting = np.concatenate([self._waiting, samples])
        self._look((len(self._waiting) - 2 * _REACH) // BLOCK)

    def _look(self, blocks: int) -> None:
        if blocks <= 0:
            return
        width = BLOCK + 2 * _REACH
        channels = np.ascontiguousarray(self._waiting.T)
        windows = np.lib.stride_tricks.sliding_window_view(channels, width, axis=1)[:, : blocks * BLOCK : BLOCK]
        with np.errstate(invalid="ignore", over="ignore"):
            self._blocks.append(np.maximum.reduce([self._peaks(each) for each in windows]))
        self._waiting = self._waiting[blocks * BLOCK :]

    def _peaks(self, windows: Floats) -> Floats:
        """Each window is a block with what is within reach on both sides."""
        reachable = _highest(windows)
        peaks = _highest(windows[:, _REACH:-_REACH])
        possible = np.arange(len(windows))
        if self._of_interest is not None:
            possible = np.flatnonzero(reachable * _MOST_BETWEEN >= min(self._highest, self._of_interest))
        peaks[possible] = np.maximum(peaks[possible], _highest_between(windows[possible], _FACTOR))
        self._highest = max(self._highest, float(peaks.max()))
        wanted = self._highest if self._of_interest is None else min(self._highest, self._of_interest)
        close = np.flatnonzero(peaks * _MOST_MISSED >= wanted)
        peaks[close] = np.maximum(peaks[close], _highest_between(windows[close], _FINE_FACTOR))
        return peaks


def dbtp(peak: float) -> float:
    """In decibels, never below -120."""
    return max(FLOOR_DBTP, 20 * math.log10(peak)) if peak > 0 else FLOOR_DBTP


def _highest(rows: Floats) -> Floats:
    highest: Floats = np.abs(rows).max(axis=1, initial=0.0)
    return highest


def _highest_between(windows: Floats, factor: int) -> Floats:
    matrix = _interpolator(factor)
    together = _MOST_MULTIPLICATIONS // matrix.size
    groups = -(-len(windows) // together)
    rows = np.zeros((groups * together, len(matrix)), np.float32)
    rows[: len(windows)] = windows
    points = np.matmul(rows.reshape(groups, together, len(matrix)), matrix).reshape(len(rows), matrix.shape[1])
    highest: Floats = np.abs(points, out=points).max(axis=1, initial=0.0)[: len(windows)]
    return highest


@cache
def _interpolator(factor: int) -> Floats:
    """From a window to the points between the samples of its block: a sinc with Kaiser's window, as one matrix, which
    is the fastest that numpy can do.
    """
    offsets = np.arange(1 - _REACH, 1 + _REACH)
    matrix = np.zeros((BLOCK + 2 * _REACH, BLOCK, factor - 1))
    for point in range(1, factor):
        distance = point / factor - offsets
        window = np.i0(_KAISER * np.sqrt(1 - (distance / _REACH) ** 2)) / np.i0(_KAISER)
        for sample in range(BLOCK):
            matrix[sample + 1 : sample + 1 + 2 * _REACH, sample, point - 1] = np.sinc(distance) * window
    return matrix.reshape(len(matrix), -1).astype(np.float32)
