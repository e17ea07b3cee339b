"""The limiter's curve and its model of loudness, against samples that are really multiplied with it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_compressor.audio.limiter import (
    BLOCKS_PER_SECOND,
    LoudnessModel,
    attenuation_db,
    gain_for_loudness,
    most_lufs,
    multipliers,
    nothing_off,
    over_ceiling_db,
)
from audio_compressor.audio.true_peak import BLOCK, PeakMeter
from audio_compressor_tests.audio.independent_meters import integrated_lufs, true_peak_dbtp
from audio_compressor_tests.audio.loud_sounds import RATE_HZ, music
from audio_compressor_tests.wav_files import Sound, sample_bytes


def peaks_of(sound: Sound) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    meter = PeakMeter(2)
    meter.add(sample_bytes(sound, "f32"))
    return meter.peaks()


def limited(sound: Sound, gain_db: float, ceiling_dbtp: float) -> Sound:
    edges_db = attenuation_db(over_ceiling_db(peaks_of(sound), gain_db, ceiling_dbtp))
    return sound * 10 ** (gain_db / 20) * multipliers(edges_db, 0, len(sound))[:, None]


@given(st.lists(st.floats(0.0, 20.0, width=32), min_size=1, max_size=60))
def test_as_much_is_taken_off_as_each_block_needs(over_db: list[float]) -> None:
    needed_db = np.array(over_db, np.float32)
    edges_db = attenuation_db(needed_db)
    assert len(edges_db) == len(over_db) + 1
    assert (np.minimum(edges_db[:-1], edges_db[1:]) >= needed_db).all()
    assert edges_db.max() <= max(over_db) + 1e-5


def test_it_begins_before_a_peak_and_lets_go_after_it() -> None:
    over_db = np.zeros(1000, np.float32)
    over_db[500] = 6.0
    changed = np.flatnonzero(attenuation_db(over_db))
    milliseconds = 1000 * (changed - 500) / BLOCKS_PER_SECOND
    assert -8 < milliseconds[0] < -4
    assert 4 < milliseconds[-1] < 8


def test_a_voice_comes_back_between_the_peaks_of_its_periods() -> None:
    over_db = np.zeros(7000, np.float32)
    over_db[::12] = 6.0  # of 58 Hz
    assert attenuation_db(over_db)[6::12].max() == 0.0


@pytest.mark.parametrize("frequency_hz", [60, 100, 200])
def test_a_low_tone_is_held_evenly(frequency_hz: int) -> None:
    heard = limited(np.sin(2 * np.pi * frequency_hz * np.arange(RATE_HZ) / RATE_HZ)[:, None] * [1, 1], 3.0, 0.0)
    power = np.abs(np.fft.rfft(heard[RATE_HZ // 4 : 3 * RATE_HZ // 4, 0])) ** 2
    others = np.delete(power, frequency_hz // 2)
    assert others.sum() < 1e-8 * power.sum()


def test_nothing_to_limit_is_left_alone() -> None:
    sound = music(2.0, level=0.5)
    edges_db = attenuation_db(over_ceiling_db(peaks_of(sound), 0.0, -1.5))
    assert not edges_db.any()
    assert (multipliers(edges_db, 0, len(sound)) == 1.0).all()


@pytest.mark.parametrize(("gain_db", "ceiling_dbtp"), [(6.0, -1.5), (12.0, -3.0)])
def test_limited_sound_stays_below_the_ceiling_between_its_samples_too(gain_db: float, ceiling_dbtp: float) -> None:
    sound = music(6.0)
    assert true_peak_dbtp(sound * 10 ** (gain_db / 20)) > ceiling_dbtp + 5
    assert true_peak_dbtp(limited(sound, gain_db, ceiling_dbtp)) <= ceiling_dbtp + 0.3


def test_an_excerpt_of_the_curve_is_as_in_the_whole() -> None:
    sound = music(3.0)
    edges_db = attenuation_db(over_ceiling_db(peaks_of(sound), 9.0, -1.5))
    whole = multipliers(edges_db, 0, len(sound))
    assert len(whole) == len(sound)
    for first, frames in ((0, 1), (BLOCK - 1, 2), (5000, 12_345), (len(sound) - 100, 100)):
        assert (multipliers(edges_db, first, frames) == whole[first : first + frames]).all()


def energies(sound: Sound) -> LoudnessModel:
    """The K-weighted energy of each block, by pyloudnorm's filters."""
    import pyloudnorm

    weighted = sound.copy()
    for stage in pyloudnorm.Meter(RATE_HZ, filter_class="DeMan")._filters.values():
        for channel in range(2):
            weighted[:, channel] = stage.apply_filter(weighted[:, channel])
    whole = len(weighted) // BLOCK * BLOCK
    squares = (weighted[:whole] ** 2).sum(axis=1).reshape(-1, BLOCK).mean(axis=1)
    return LoudnessModel(squares.astype(np.float32))


def whole_blocks(seconds: float, parts: tuple[float, ...] = (1.0,)) -> Sound:
    sound = music(seconds, parts=parts)
    return sound[: len(sound) // BLOCK * BLOCK]


@pytest.mark.parametrize("parts", [(1.0,), (1.0, 0.1), (1.0, 0.0, 0.4)])
def test_the_model_foretells_the_loudness_of_limited_sound(parts: tuple[float, ...]) -> None:
    sound = whole_blocks(9.0, parts)
    model, peaks = energies(sound), peaks_of(sound)
    assert model.lufs(nothing_off(peaks)) == pytest.approx(integrated_lufs(sound), abs=0.05)
    edges_db = attenuation_db(over_ceiling_db(peaks, 8.0, -3.0))
    assert edges_db.max() > 8
    assert model.lufs(edges_db) + 8.0 == pytest.approx(integrated_lufs(limited(sound, 8.0, -3.0)), abs=0.1)


def test_the_gain_makes_up_for_what_is_limited() -> None:
    sound = whole_blocks(9.0)
    model, peaks, lufs = energies(sound), peaks_of(sound), integrated_lufs(sound)
    gain_db = gain_for_loudness(model, peaks, lufs, -14.0, -3.0, 12.0)
    assert gain_db > -14.0 - lufs + 0.2
    assert integrated_lufs(limited(sound, gain_db, -3.0)) == pytest.approx(-14.0, abs=0.05)


def test_a_gain_is_never_more_than_it_may_be() -> None:
    sound = whole_blocks(4.0)
    model, peaks, lufs = energies(sound), peaks_of(sound), integrated_lufs(sound)
    assert gain_for_loudness(model, peaks, lufs, -3.0, -3.0, 5.0) == 5.0
    assert gain_for_loudness(model, peaks, lufs, lufs + 9.0, -3.0, 5.0) == 5.0
    assert most_lufs(model, peaks, lufs, -3.0, 5.0) == pytest.approx(
        integrated_lufs(limited(sound, 5.0, -3.0)), abs=0.1
    )


def test_silence_has_no_loudness() -> None:
    model = LoudnessModel(np.zeros(7000, np.float32))
    assert model.lufs(nothing_off(model.energies)) == -np.inf
