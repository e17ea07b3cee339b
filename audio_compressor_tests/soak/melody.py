"""What a recording sounds like: each version of a source has a melody of its own, for which nothing can be mistaken.

A swapped file, a mixture of two versions, a piece that is missing or there twice: all of them have wrong notes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio_compressor_tests.wav_files import Sound

NOTE_SECONDS = 0.25
LISTENING_RATE_HZ = 16_000
TOLERANCE_SECONDS = 0.050
# Far enough apart for 10 Hz of resolution, and within what every codec keeps at 32 kbit/s and 16 kHz.
_PITCHES_HZ: NDArray[np.float64] = 400.0 + 120.0 * np.arange(24, dtype=np.float64)
# The middle of a note: a shift by the tolerance does not reach it.
_FROM_SECONDS, _TO_SECONDS = 0.075, 0.175
_OUT_OF_TUNE_HZ = 40.0
_SILENCE_RMS = 10 ** (-50 / 20)
_TRANSFORM = 4096


@dataclass(frozen=True)
class Melody:
    """Notes of a quarter of a second, drawn from the seed; of two with one seed, the longer begins like the other."""

    seed: int
    seconds: float

    def notes_hz(self) -> NDArray[np.float64]:
        count = int(np.ceil(self.seconds / NOTE_SECONDS))
        numbers = np.random.default_rng(self.seed).integers(0, len(_PITCHES_HZ), size=count)
        notes_hz: NDArray[np.float64] = _PITCHES_HZ[numbers]
        return notes_hz

    def sound(self, *, channels: int, sample_rate_hz: int, level_dbfs: float) -> Sound:
        frames = round(self.seconds * sample_rate_hz)
        note_of = np.minimum(np.arange(frames) / sample_rate_hz // NOTE_SECONDS, len(self.notes_hz()) - 1).astype(int)
        phase = np.cumsum(2 * np.pi * self.notes_hz()[note_of] / sample_rate_hz)
        wave = 10 ** (level_dbfs / 20) * np.sin(phase)
        return np.repeat(wave[:, None], channels, axis=1)

    def difference(self, heard: NDArray[np.int16]) -> str | None:
        """How mono samples at ``LISTENING_RATE_HZ`` differ from this melody, or None."""
        heard_seconds = len(heard) / LISTENING_RATE_HZ
        if abs(heard_seconds - self.seconds) > TOLERANCE_SECONDS:
            return f"lasts {heard_seconds:.3f} s instead of {self.seconds:.3f} s"
        wrong = []
        for number, expected_hz in enumerate(self.notes_hz()):
            start = round((number * NOTE_SECONDS + _FROM_SECONDS) * LISTENING_RATE_HZ)
            end = round((number * NOTE_SECONDS + _TO_SECONDS) * LISTENING_RATE_HZ)
            if end > len(heard):
                break
            if abs(_pitch_hz(heard[start:end]) - expected_hz) > _OUT_OF_TUNE_HZ:
                wrong.append(number * NOTE_SECONDS)
        if wrong:
            return f"has {len(wrong)} wrong notes, the first at {wrong[0]:.2f} s and the last at {wrong[-1]:.2f} s"
        return None


def _pitch_hz(samples: NDArray[np.int16]) -> float:
    """The strongest frequency; 0 for silence."""
    scaled = samples / 32768.0
    if np.sqrt(np.mean(scaled**2)) < _SILENCE_RMS:
        return 0.0
    spectrum = np.abs(np.fft.rfft(scaled * np.hanning(len(scaled)), _TRANSFORM))
    return float(np.argmax(spectrum) * LISTENING_RATE_HZ / _TRANSFORM)
