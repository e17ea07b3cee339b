"""Meters that share no code with the product: pyloudnorm for loudness, scipy's resampler for true peaks."""

import numpy as np
import pyloudnorm
from scipy import signal

from audio_compressor_tests.wav_files import Sound


def integrated_lufs(sound: Sound, sample_rate_hz: int = 44_100) -> float:
    """By ITU-R BS.1770, with those of pyloudnorm's filters that follow it at every rate: its default reads 0.04 low."""
    return float(pyloudnorm.Meter(sample_rate_hz, filter_class="DeMan").integrated_loudness(sound))


def true_peak_dbtp(sound: Sound, factor: int = 8) -> float:
    """At 8 times the rate, by scipy's polyphase filter with a long Kaiser window."""
    channels = [signal.resample_poly(channel, factor, 1, window=("kaiser", 9.0)) for channel in sound.T]
    return float(20 * np.log10(max(np.abs(channel).max() for channel in channels)))
