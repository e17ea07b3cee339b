"""Hum is told from everything else that sounds, by its frequency, in pauses and where there is nothing else."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_compressor.audio.levels import FLOOR_DBFS, NO_HUM, Hum
from audio_compressor.audio.listen import Ear
from audio_compressor.audio.probe import Stream
from audio_compressor_tests.audio.measuring import rms_dbfs
from audio_compressor_tests.wav_files import Sound, hum, sample_bytes, silence, speech, tone

RATE_HZ = 44100


def heard(sound: Sound, sample_rate_hz: int = RATE_HZ) -> tuple[Hum, ...]:
    ear = Ear(stream(sound.shape[1], sample_rate_hz), overlap=True)
    ear.add(sample_bytes(sound))
    return ear.heard().hums


def stream(channels: int, sample_rate_hz: int = RATE_HZ) -> Stream:
    return Stream("pcm_s16le", sample_rate_hz, channels, "", "s16")


def rumble() -> Sound:
    """As of wind or traffic: noise, the more of it the lower."""
    steps = np.random.default_rng(1).standard_normal((3 * RATE_HZ, 1))
    noise: Sound = np.cumsum(steps, axis=0)
    noise *= 0.2 / np.abs(noise).max()
    return noise


@pytest.mark.parametrize("mains_hz", [50, 60])
@pytest.mark.parametrize("wander_hz", [-0.1, 0.0, 0.07])
@pytest.mark.parametrize("sample_rate_hz", [8000, 44100, 48000])
@pytest.mark.parametrize("seconds", [1.0, 3.3])
def test_hum_alone(mains_hz: int, wander_hz: float, sample_rate_hz: int, seconds: float) -> None:
    sound = hum(seconds, mains_hz=mains_hz + wander_hz, level_dbfs=-35, sample_rate_hz=sample_rate_hz)
    (found,) = heard(sound, sample_rate_hz)
    assert found.mains_hz == mains_hz
    assert found.rms_dbfs == pytest.approx(-35, abs=0.5)
    assert found.is_all


def test_hum_is_measured_in_the_pauses() -> None:
    talk = speech(12, channels=1)
    talk[3 * RATE_HZ : 6 * RATE_HZ] = 0
    (found,) = heard(talk + hum(12, level_dbfs=-50))
    assert found.mains_hz == 50
    assert found.rms_dbfs == pytest.approx(-50, abs=0.5)
    assert found.loudest_rest_dbfs == pytest.approx(rms_dbfs(talk[:RATE_HZ]), abs=0.5)
    assert not found.is_all


@pytest.mark.parametrize(
    "sound",
    [
        speech(3, channels=1),
        silence(3, channels=1),
        tone(3, channels=1, frequency_hz=1000),  # the twentieth harmonic of 50 Hz, and somebody's test tone
        tone(3, channels=1, frequency_hz=440),
        tone(3, channels=1, frequency_hz=600),
        np.full((3 * RATE_HZ, 1), 0.2),  # direct current is no sound
        tone(3, channels=1, frequency_hz=1.5),  # nor is one that drifts
        rumble(),
    ],
)
def test_what_is_not_hum(sound: Sound) -> None:
    (found,) = heard(sound)
    assert found.rms_dbfs == FLOOR_DBFS
    assert not found.is_all


@pytest.mark.parametrize("second", [0.0, 7.4, 11.8])
def test_a_word_anywhere_is_not_overlooked(second: float) -> None:
    sound = hum(12.3, level_dbfs=-40)
    start = round(second * RATE_HZ)
    word = speech(0.4, channels=1, level_dbfs=-45)
    sound[start : start + len(word)] += word
    (found,) = heard(sound)
    assert found.rms_dbfs == pytest.approx(-40, abs=0.5)
    assert not found.is_all


def test_a_knock_at_the_edge_of_two_seconds_is_not_overlooked() -> None:
    sound = hum(4, level_dbfs=-40)
    knock = speech(0.03, channels=1, level_dbfs=-20)
    start = 2 * RATE_HZ - len(knock) // 2
    sound[start : start + len(knock)] += knock
    assert not heard(sound)[0].is_all


def test_less_than_a_second_is_not_judged() -> None:
    assert heard(hum(0.9, level_dbfs=-40)) == (NO_HUM,)


def test_each_channel_for_itself() -> None:
    sound = np.hstack([speech(3, channels=1), hum(3, mains_hz=60, level_dbfs=-30), hum(3, level_dbfs=-20)])
    assert [found.is_all for found in heard(sound)] == [False, True, True]
    assert [found.mains_hz for found in heard(sound)[1:]] == [60, 50]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 4 * 2100), max_size=6))
def test_pieces_do_not_matter(cuts: Sequence[int]) -> None:
    rate_hz = 2000
    data = sample_bytes(hum(1.05, level_dbfs=-30, sample_rate_hz=rate_hz).repeat(2, axis=1))
    whole, pieces = (Ear(stream(2, rate_hz), overlap=True) for _ in range(2))
    whole.add(data)
    edges = [0, *sorted(cuts), len(data)]
    for start, end in pairwise(edges):
        pieces.add(data[start:end])
    assert pieces.heard() == whole.heard()
