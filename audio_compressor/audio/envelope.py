"""The envelope of a sound: how strong each channel is in each of six bands, ten times a second.

Samples arrive piece by piece, and what is kept of an hour of stereo is 1.7 MB.
"""

import numpy as np
import numpy.typing as npt

# Half the rate of most recordings is enough for bands up to 7.5 kHz, and takes FFmpeg and numpy a third of the time.
SAMPLE_RATE_HZ = 16_000
STEP_SECONDS = 0.1
BANDS_HZ = (80, 200, 400, 800, 1600, 3200, 7500)
_STEP = round(SAMPLE_RATE_HZ * STEP_SECONDS)
# Each window reaches half a step over into its neighbours' middle, so that no moment is without weight.
_WINDOW = 2 * _STEP
_HANN = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
# The power of a sine with a peak of full scale is 0.5.
_SCALE = np.float32(2 / (_WINDOW * np.sum(_HANN.astype(np.float64) ** 2)))
_EDGES = [round(edge_hz * _WINDOW / SAMPLE_RATE_HZ) for edge_hz in BANDS_HZ]
_BATCH_STEPS = 200
_SAMPLE_BYTES = 4

Floats = npt.NDArray[np.float32]


class EnvelopeMeter:
    """Measures interleaved samples of ``channels`` channels, little-endian floats at `SAMPLE_RATE_HZ`."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._step_bytes = _STEP * channels * _SAMPLE_BYTES
        # The first window begins before the first sample, and the last ends behind the last one.
        self._waiting = bytearray(self._step_bytes)
        self._powers: list[Floats] = []

    def add(self, data: bytes) -> None:
        """A piece may end inside of a sample."""
        self._waiting += data
        if len(self._waiting) > _BATCH_STEPS * self._step_bytes:
            self._measure()

    def envelope(self) -> Floats:
        """The power of each window (first axis), channel and band, after all samples were added."""
        self._waiting += bytes(-len(self._waiting) % self._step_bytes + self._step_bytes)
        self._measure()
        return np.concatenate(self._powers)

    def _measure(self) -> None:
        steps = len(self._waiting) // self._step_bytes
        samples = np.frombuffer(bytes(self._waiting[: steps * self._step_bytes]), "<f4").reshape(-1, self._channels)
        # The last step is also the first half of the window that comes next.
        del self._waiting[: (steps - 1) * self._step_bytes]
        halves = samples.T.reshape(self._channels, steps, _STEP)
        spectra = np.fft.rfft(np.concatenate([halves[:, :-1], halves[:, 1:]], axis=2) * _HANN, axis=2)
        powers = (spectra.real**2 + spectra.imag**2) * _SCALE
        bands = np.add.reduceat(powers, _EDGES, axis=2)[:, :, :-1]
        self._powers.append(np.ascontiguousarray(bands.transpose(1, 0, 2), np.float32))
