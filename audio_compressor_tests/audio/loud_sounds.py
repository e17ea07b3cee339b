"""Sounds whose loudness or true peak is known: the signals of EBU Tech 3341 and 3342, and a little music."""

from functools import cache

import numpy as np

from audio_compressor_tests.wav_files import Sound, tone

RATE_HZ = 44_100


def steps(*levels: tuple[float, float], sample_rate_hz: int = 48_000) -> Sound:
    """1 kHz in both channels, at one level (dBFS of its peak) after the other, each for so many seconds."""
    tones = [
        tone(seconds, frequency_hz=1000.0, level_dbfs=level_dbfs, sample_rate_hz=sample_rate_hz)
        for level_dbfs, seconds in levels
    ]
    return np.concatenate(tones)


def sine(frequency: float, phase_degrees: float, amplitude: float, frames: int = 44_100) -> Sound:
    """Both channels; ``frequency`` is a share of the sample rate. It fades in and out, or its edges would be heard."""
    wave = amplitude * np.sin(2 * np.pi * frequency * np.arange(frames) + np.radians(phase_degrees))
    fade = np.minimum(1.0, np.minimum(np.arange(frames), np.arange(frames)[::-1]) / 1000)
    return np.repeat((wave * fade)[:, None], 2, axis=1)


def pulse_between_samples(offset: float, frames: int = 4096) -> Sound:
    """A single pulse that reaches full scale ``offset`` samples after one of its samples, and nowhere else."""
    times = np.arange(frames) - frames // 2 - offset
    wave = np.sinc(0.9 * times) * np.exp(-((times / 400) ** 2))
    return np.repeat(wave[:, None], 2, axis=1)


def music(seconds: float = 12.0, *, level: float = 0.9, parts: tuple[float, ...] = (1.0,)) -> Sound:
    """Drums over chords, with peaks 17 dB over its loudness; ``level`` is its highest sample. It is as long as
    asked for, and each of its ``parts`` of equal length is played at that share of the level.
    """
    sound = _music(seconds).copy()
    for part, share in zip(np.array_split(np.arange(len(sound)), len(parts)), parts, strict=True):
        sound[part] *= share
    return sound * (level / float(np.abs(sound).max()))


@cache
def _music(seconds: float) -> Sound:
    frames = round(seconds * RATE_HZ)
    random = np.random.default_rng(1)
    times = np.arange(frames) / RATE_HZ
    sound = np.zeros((frames, 2))
    for index, frequency_hz in enumerate((110.0, 164.8, 220.0, 277.2, 329.6)):
        swell = 0.6 + 0.4 * np.sin(2 * np.pi * (0.11 + 0.03 * index) * times)
        for harmonic in range(1, 9):
            phase = random.uniform(0, 2 * np.pi)
            wave = swell * np.sin(2 * np.pi * harmonic * frequency_hz * times + phase) / harmonic**1.3
            sound += 0.05 * wave[:, None] * (1.0 + 0.3 * (index - 2), 1.0 - 0.3 * (index - 2))
    beat = round(0.45 * RATE_HZ)
    decay = np.arange(round(0.25 * RATE_HZ)) / RATE_HZ
    for number, start in enumerate(range(0, frames - len(decay), beat)):
        kick = np.sin(2 * np.pi * 55 * decay) * np.exp(-decay / 0.08)
        snare = random.standard_normal(len(decay)) * np.exp(-decay / 0.05) * 0.5
        sound[start : start + len(decay)] += 0.4 * (snare if number % 2 else kick)[:, None]
    return sound
