"""True peaks against signals whose peak is known (EBU Tech 3341, cases 15 to 23), and against an independent meter."""

import numpy as np
import pytest

from audio_compressor.audio.true_peak import BLOCK, FLOOR_DBTP, PeakMeter, dbtp
from audio_compressor_tests.audio.independent_meters import true_peak_dbtp
from audio_compressor_tests.audio.loud_sounds import music, pulse_between_samples, sine
from audio_compressor_tests.wav_files import Sound, sample_bytes


def peaks(sound: Sound, of_interest_dbtp: float | None = None, piece_bytes: int = 65_536) -> list[float]:
    """In dBTP, of each block."""
    meter = PeakMeter(sound.shape[1], of_interest_dbtp)
    data = sample_bytes(sound, "f32")
    for start in range(0, len(data), piece_bytes):
        meter.add(data[start : start + piece_bytes])
    found = [dbtp(float(peak)) for peak in meter.peaks()]
    assert meter.frames == len(sound)
    assert len(found) == -(-len(sound) // BLOCK)
    return found


@pytest.mark.parametrize(
    ("sound", "expected_dbtp"),
    [
        pytest.param(sine(1 / 4, 0.0, 0.5), -6.0, id="15"),
        pytest.param(sine(1 / 4, 45.0, 0.5), -6.0, id="16"),
        pytest.param(sine(1 / 6, 60.0, 0.5), -6.0, id="17"),
        pytest.param(sine(1 / 8, 67.5, 0.5), -6.0, id="18"),
        pytest.param(sine(1 / 4, 45.0, 1.41), 3.0, id="19"),
        pytest.param(pulse_between_samples(0.0), 0.0, id="20"),
        pytest.param(pulse_between_samples(0.25), 0.0, id="21"),
        pytest.param(pulse_between_samples(0.5), 0.0, id="22"),
        pytest.param(pulse_between_samples(0.75), 0.0, id="23"),
        pytest.param(pulse_between_samples(0.125), 0.0, id="where 4 points for each sample read 0.15 dB too low"),
    ],
)
@pytest.mark.parametrize("of_interest_dbtp", [None, -1.5, -20.0])
def test_cases_of_ebu_tech_3341(sound: Sound, expected_dbtp: float, of_interest_dbtp: float | None) -> None:
    """The standard allows +0.2 and -0.4 dB; a limit that is to hold exactly needs more."""
    assert max(peaks(sound, of_interest_dbtp)) == pytest.approx(expected_dbtp, abs=0.05)


def test_as_an_independent_meter_measures_music() -> None:
    sound = music(6.0)
    assert max(peaks(sound)) == pytest.approx(true_peak_dbtp(sound, 16), abs=0.02)


@pytest.mark.parametrize("frequency_hz", [997, 5000, 12_345, 18_000, 20_000])
def test_a_sine_of_any_frequency_reads_its_amplitude(frequency_hz: int) -> None:
    for phase_degrees in (0.0, 37.0, 90.0):
        found_dbtp = max(peaks(sine(frequency_hz / 44_100, phase_degrees, 0.7)))
        assert found_dbtp == pytest.approx(20 * np.log10(0.7), abs=0.02)


def test_each_block_tells_its_own_peak() -> None:
    sound = np.zeros((20 * BLOCK, 2))
    sound[7 * BLOCK + 30, 1] = -0.5
    found = peaks(sound)
    assert found[7] == pytest.approx(-6.02, abs=0.01)
    assert max(found[:5] + found[10:]) == FLOOR_DBTP


def test_pieces_of_any_length_give_the_same() -> None:
    """Or else the same source would be limited in another way each time."""
    sound = music(4.0)
    assert peaks(sound[:44_100], piece_bytes=7) == peaks(sound[:44_100], piece_bytes=1 << 20)
    assert peaks(sound, piece_bytes=65_536) == peaks(sound, piece_bytes=65_528) == peaks(sound, piece_bytes=1 << 24)


def test_blocks_that_reach_what_is_of_interest_are_found_as_without_it() -> None:
    sound = music(4.0)
    every, some = np.array(peaks(sound)), np.array(peaks(sound, -6.0))
    high = every > -6.0
    assert 5 < high.sum() < len(every) / 2
    assert (some[high] >= every[high] - 0.001).all()
    assert (some[~high] <= -5.4).all()  # found by 4 points for each sample, and then by 16
    assert some.max() == every.max()


def test_the_highest_is_found_where_nothing_is_of_interest() -> None:
    sound = 0.1 * pulse_between_samples(0.125)
    assert max(peaks(sound, 0.0)) == pytest.approx(-20.0, abs=0.02)


def test_the_first_and_the_last_sample_count() -> None:
    for frame in (0, 2 * BLOCK + 4):
        sound = np.zeros((2 * BLOCK + 5, 2))
        sound[frame, 0] = 0.25
        assert max(peaks(sound)) == pytest.approx(-12.04, abs=0.01)


def test_no_sound_has_no_peaks() -> None:
    assert peaks(np.zeros((0, 2))) == []
    assert dbtp(0.0) == FLOOR_DBTP


def test_what_is_no_number_stays_none() -> None:
    sound = np.zeros((1000, 2))
    sound[500, 1] = np.nan
    meter = PeakMeter(2)
    meter.add(sample_bytes(sound, "f32"))
    assert not np.isfinite(meter.peaks()).all()
