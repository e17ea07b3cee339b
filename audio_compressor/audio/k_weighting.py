"""The energy that loudness is made of: FFmpeg weighs the frequencies as the ear does, numpy adds up blocks of it.

The two filters are those of ITU-R BS.1770-5, annex 1, given there for 48 kHz and turned into those of another rate by
the bilinear transform, from the analogue filters that they stand for (as in libebur128).
"""

import math

import numpy as np

from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.stereo import CHANNELS, SAMPLE_RATE_HZ, Stereo
from audio_compressor.audio.true_peak import BLOCK, Floats
from audio_compressor.processes import ChildProcesses

# Head: 4 dB more above 1.7 kHz. Below 38 Hz: less and less.
_SHELF_HZ, _SHELF_DB, _SHELF_Q = 1681.974450955533, 3.999843853973347, 0.7071752369554196
_SHELF_BAND_POWER = 0.4996667741545416
_HIGH_PASS_HZ, _HIGH_PASS_Q = 38.13547087602444, 0.5003270373238773


def block_energies(sound: Stereo, *, ffmpeg: Ffmpeg, children: ChildProcesses, timeout_seconds: float) -> Floats:
    """For each block of `true_peak.BLOCK` frames, the mean square of both channels together, K-weighted."""
    meter = _EnergyMeter()
    graph = f"[0:a:0]{_filters(SAMPLE_RATE_HZ)},asetnsamples=n={SAMPLE_RATE_HZ}:p=0[weighted]"
    ffmpeg.run(
        (*sound.input_arguments, "-filter_complex", graph, "-map", "[weighted]", "-f", "f32le", "pipe:1"),
        children=children,
        timeout_seconds=timeout_seconds,
        take_stdout=meter.add,
    )
    return meter.energies()


class _EnergyMeter:
    def __init__(self) -> None:
        self._waiting = bytearray()
        self._energies: list[Floats] = []
        self._block_bytes = 4 * CHANNELS * BLOCK

    def add(self, data: bytes) -> None:
        self._waiting += data
        if len(self._waiting) > 1 << 20:
            self._measure()

    def energies(self) -> Floats:
        self._waiting += bytes(-len(self._waiting) % self._block_bytes)
        self._measure()
        return np.concatenate(self._energies)

    def _measure(self) -> None:
        whole = len(self._waiting) - len(self._waiting) % self._block_bytes
        blocks = np.frombuffer(bytes(self._waiting[:whole]), "<f4").reshape(-1, CHANNELS * BLOCK)
        del self._waiting[:whole]
        self._energies.append(np.einsum("ij,ij->i", blocks, blocks) / BLOCK)


def _filters(sample_rate_hz: int) -> str:
    return ",".join(_biquad(*coefficients) for coefficients in (_shelf(sample_rate_hz), _high_pass(sample_rate_hz)))


def _shelf(sample_rate_hz: int) -> tuple[float, ...]:
    k = math.tan(math.pi * _SHELF_HZ / sample_rate_hz)
    high = 10 ** (_SHELF_DB / 20)
    band = high**_SHELF_BAND_POWER
    a0 = 1 + k / _SHELF_Q + k * k
    return (
        *(
            (high + band * k / _SHELF_Q + k * k) / a0,
            2 * (k * k - high) / a0,
            (high - band * k / _SHELF_Q + k * k) / a0,
        ),
        *(2 * (k * k - 1) / a0, (1 - k / _SHELF_Q + k * k) / a0),
    )


def _high_pass(sample_rate_hz: int) -> tuple[float, ...]:
    k = math.tan(math.pi * _HIGH_PASS_HZ / sample_rate_hz)
    a0 = 1 + k / _HIGH_PASS_Q + k * k
    return 1.0, -2.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / _HIGH_PASS_Q + k * k) / a0


def _biquad(b0: float, b1: float, b2: float, a1: float, a2: float) -> str:
    # In floats of 64 bits: at 38 Hz, a filter in 32 bits adds noise of its own.
    return f"biquad=b0={b0:.17g}:b1={b1:.17g}:b2={b2:.17g}:a0=1:a1={a1:.17g}:a2={a2:.17g}:precision=f64"
