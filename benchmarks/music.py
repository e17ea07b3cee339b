"""Music-like sounds for benchmarks, made of a seed: drums, saw-tooth chords, strings and a piano, dry or mastered."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import signal
from scipy.io import wavfile

RATE_HZ = 44_100
Sound = npt.NDArray[np.float64]
_CHORDS = (0, 7, 9, 5)
_SWELLS = {"pop": (0.5, 1.0, 1.0), "dance": (0.6, 1.0, 1.0), "strings": (0.08, 0.3, 1.0), "piano": (0.3, 0.6, 1.0)}


def make_sounds(seconds: float) -> Mapping[str, Sound]:
    """By name; each has two channels, with a full scale of 1, over which those that are clipped do not go."""
    songs = {style: _song(seconds, style, seed) for seed, style in enumerate(_SWELLS)}
    return {
        **songs,
        "mastered pop": _mastered(songs["pop"], 14.0),
        "clipped dance": np.clip(3 * songs["dance"], -1.0, 1.0),
        "pink noise": _pink_noise(seconds),
        "talk": _talk(seconds),
    }


def write_sounds(directory: Path, seconds: float) -> Mapping[str, Path]:
    """As WAV of 32 bits float."""
    paths = {}
    for name, sound in make_sounds(seconds).items():
        paths[name] = directory / f"{name.replace(' ', '-')}.wav"
        wavfile.write(paths[name], RATE_HZ, sound.astype(np.float32))
    return paths


def write_long_track(path: Path, seconds: float) -> None:
    """Songs as they were recorded, one after the other, as WAV of 16 bits."""
    each = np.concatenate([_song(60.0, style, seed) for seed, style in enumerate(_SWELLS)])
    frames = round(seconds * RATE_HZ)
    whole = np.tile(each, (-(-frames // len(each)), 1))[:frames]
    wavfile.write(path, RATE_HZ, np.round(np.clip(whole, -1, 1) * 32767).astype(np.int16))


def _times(seconds: float) -> npt.NDArray[np.float64]:
    return np.arange(round(seconds * RATE_HZ)) / RATE_HZ


def _harmonics(
    frequency_hz: float, times: npt.NDArray[np.float64], count: int, slope: float, seed: int
) -> npt.NDArray[np.float64]:
    random = np.random.default_rng(seed)
    count = max(1, min(count, int(15_000 / frequency_hz)))
    wave = np.zeros(len(times))
    for number in range(1, count + 1):
        wave += np.sin(2 * np.pi * frequency_hz * number * times + random.uniform(0, 6.28)) / number**slope
    return wave


def _saw(frequency_hz: float, seconds: float, seed: int) -> npt.NDArray[np.float64]:
    times = _times(seconds)
    wave = sum(_harmonics(frequency_hz * detuned, times, 40, 1.0, seed) for detuned in (0.997, 1.0, 1.003))
    return np.asarray(wave * np.minimum(1.0, times / 0.005) * np.exp(-times / seconds))


def _string(frequency_hz: float, seconds: float, seed: int) -> npt.NDArray[np.float64]:
    times = _times(seconds)
    bowed = times + 0.006 / (2 * np.pi * 5.5) * np.sin(2 * np.pi * 5.5 * times)
    wave = _harmonics(frequency_hz, bowed, 30, 1.3, seed)
    return np.asarray(wave * np.minimum(1.0, times / 0.15) * np.clip((seconds - times) / 0.2, 0.0, 1.0))


def _key(frequency_hz: float, seconds: float, seed: int) -> npt.NDArray[np.float64]:
    times = _times(seconds)
    wave = _harmonics(frequency_hz * 1.0004, times, 25, 1.2, seed)
    return np.asarray(wave * np.minimum(1.0, times / 0.002) * np.exp(-times / 0.8))


_VOICES: Mapping[str, Callable[[float, float, int], npt.NDArray[np.float64]]] = {
    "pop": _saw,
    "dance": _saw,
    "strings": _string,
    "piano": _key,
}


def _song(seconds: float, style: str, seed: int) -> Sound:
    random = np.random.default_rng(seed)
    sound = np.zeros((round(seconds * RATE_HZ), 2))
    beat_seconds = 60 / random.uniform(90, 140)
    root_hz = 110 * 2 ** (random.integers(0, 12) / 12)
    for bar in range(int(seconds / beat_seconds / 4) + 1):
        level = _SWELLS[style][bar // 4 % 3]
        for beat in range(4):
            start_seconds = (4 * bar + beat) * beat_seconds
            if style in {"pop", "dance"}:
                _place(sound, _drum(random, beat % 2 == 1), start_seconds, 0.8, 0.9 * level)
                _place(sound, _hat(random), start_seconds + beat_seconds / 2, 1.0, 0.3 * level)
            for number, interval in enumerate((0, 4, 7, 12)):
                frequency_hz = root_hz * 2 ** (1 + (_CHORDS[bar % 4] + interval) / 12)
                voice = _VOICES[style](frequency_hz, 1.5 * beat_seconds, number)
                _place(sound, voice, start_seconds + random.uniform(0, 0.02), 0.4 + 0.25 * number, 0.1 * level)
    return sound * (0.9 / float(np.abs(sound).max()))


def _place(sound: Sound, wave: npt.NDArray[np.float64], start_seconds: float, angle: float, level: float) -> None:
    start = round(start_seconds * RATE_HZ)
    wave = wave[: max(0, len(sound) - start)]
    sound[start : start + len(wave)] += level * wave[:, None] * (np.cos(angle), np.sin(angle))


def _drum(random: np.random.Generator, is_snare: bool) -> npt.NDArray[np.float64]:
    times = _times(0.3)
    if is_snare:
        band = signal.butter(2, (800, 12_000), "bandpass", fs=RATE_HZ, output="sos")
        rattle = signal.sosfilt(band, random.standard_normal(len(times))) * np.exp(-times / 0.08)
        return np.asarray(rattle + np.sin(2 * np.pi * 190 * times) * np.exp(-times / 0.06))
    return np.asarray(np.sin(2 * np.pi * (50 * times + 1 - np.exp(-30 * times))) * np.exp(-times / 0.12))


def _hat(random: np.random.Generator) -> npt.NDArray[np.float64]:
    times = _times(0.12)
    high = signal.butter(4, 7000, "highpass", fs=RATE_HZ, output="sos")
    return np.asarray(signal.sosfilt(high, random.standard_normal(len(times))) * np.exp(-times / 0.03))


def _mastered(sound: Sound, drive_db: float) -> Sound:
    """Compressed and driven into a soft clip, as records are sold."""
    power = signal.sosfilt(signal.butter(1, 3.0, fs=RATE_HZ, output="sos"), (sound**2).mean(axis=1))
    driven = sound * (np.maximum(np.sqrt(np.maximum(power, 1e-9)), 0.1) ** -0.5)[:, None]
    driven *= 10 ** (drive_db / 20) / float(np.abs(driven).max())
    over = np.abs(driven) > 0.7
    driven[over] = (np.sign(driven) * (0.7 + 0.3 * np.tanh((np.abs(driven) - 0.7) / 0.3)))[over]
    return np.asarray(driven)


def _pink_noise(seconds: float) -> Sound:
    frames = round(seconds * RATE_HZ)
    spectrum = np.fft.rfft(np.random.default_rng(5).standard_normal((frames, 2)), axis=0)
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 20))[:, None], frames, axis=0)
    return np.asarray(0.8 * noise / float(np.abs(noise).max()))


def _talk(seconds: float) -> Sound:
    """Vowels and breaths, by a buzz through three formants, in both channels the same."""
    random, times = np.random.default_rng(7), _times(seconds)
    pitch_hz = 120 + 15 * np.sin(2 * np.pi * 0.4 * times)
    buzz = signal.sawtooth(2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ) + 0.2 * random.standard_normal(len(times))
    voice = np.zeros(len(times))
    for formant_hz in (600, 1400, 2700):
        band = signal.butter(1, (0.8 * formant_hz, 1.2 * formant_hz), "bandpass", fs=RATE_HZ, output="sos")
        voice += signal.sosfilt(band, buzz)
    voice *= np.maximum(0.0, np.sin(2 * np.pi * 1.9 * times)) ** 0.5 * (np.sin(2 * np.pi * 0.21 * times) > -0.8)
    return np.repeat((0.6 * voice / float(np.abs(voice).max()))[:, None], 2, axis=1)
