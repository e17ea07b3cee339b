"""Loudness of real files against EBU Tech 3341 and 3342, and against pyloudnorm."""

from pathlib import Path

import numpy as np
import pytest

from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.loudness import Loudness, measure_loudness
from audio_compressor.audio.stereo import decode_to_stereo
from audio_compressor.errors import NotAudioError
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.audio.independent_meters import integrated_lufs, true_peak_dbtp
from audio_compressor_tests.audio.loud_sounds import music, steps
from audio_compressor_tests.wav_files import SampleKind, Sound, opposite_phase, silence, tone, write_wav


class Ear:
    def __init__(self, path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> None:
        self._path, self._ffmpeg, self._children = path, ffmpeg, children

    def hear(self, sound: Sound, kind: SampleKind = "s24", sample_rate_hz: int = 44_100) -> Loudness:
        source = write_wav(self._path / "in.wav", sound, kind=kind, sample_rate_hz=sample_rate_hz)
        decoded = decode_to_stereo(
            source, self._path / "raw", ffmpeg=self._ffmpeg, children=self._children, timeout_seconds=60
        )
        measured = measure_loudness(decoded, ffmpeg=self._ffmpeg, children=self._children, timeout_seconds=60)
        assert measured.frames == decoded.frames
        return measured.loudness


@pytest.fixture
def ear(tmp_path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> Ear:
    return Ear(tmp_path, ffmpeg, children)


@pytest.mark.parametrize(
    ("levels", "expected_lufs"),
    [
        pytest.param([(-23, 20)], -23, id="1"),
        pytest.param([(-33, 20)], -33, id="2"),
        pytest.param([(-36, 10), (-23, 60), (-36, 10)], -23, id="3"),
        pytest.param([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23, id="4"),
        pytest.param([(-26, 20), (-20, 20.1), (-26, 20)], -23, id="5"),
    ],
)
def test_cases_of_ebu_tech_3341(ear: Ear, levels: list[tuple[float, float]], expected_lufs: float) -> None:
    assert ear.hear(steps(*levels), sample_rate_hz=48_000).integrated_lufs == pytest.approx(expected_lufs, abs=0.1)


def test_surround_sound_is_measured_as_it_is_heard_in_stereo(ear: Ear) -> None:
    """Case 6 of EBU Tech 3341 is -23 LUFS over five loudspeakers; mixed down, centre and surrounds are 3 dB lower, and
    the same sine in all of them adds up.
    """
    front, centre, back = (10 ** (level_dbfs / 20) for level_dbfs in (-28, -24, -30))
    levels = (front, front, centre, back, back)
    sound = tone(20, channels=5, level_dbfs=0, frequency_hz=1000, sample_rate_hz=48_000) * levels
    expected_lufs = 20 * np.log10(front + 0.7071 * centre + 0.7071 * back)
    assert ear.hear(sound, sample_rate_hz=48_000).integrated_lufs == pytest.approx(expected_lufs, abs=0.1)


@pytest.mark.parametrize(
    ("levels", "expected_lu"),
    [
        pytest.param([-20, -30], 10, id="1"),
        pytest.param([-20, -15], 5, id="2"),
        pytest.param([-40, -20], 20, id="3"),
    ],
)
def test_ranges_of_ebu_tech_3342(ear: Ear, levels: list[float], expected_lu: float) -> None:
    sound = steps(*((level, 20) for level in levels), sample_rate_hz=44_100)
    assert ear.hear(sound).range_lu == pytest.approx(expected_lu, abs=1)


def test_as_independent_meters_measure_music(ear: Ear) -> None:
    sound = music(10.0)
    heard = ear.hear(sound, "f32")
    assert heard.integrated_lufs == pytest.approx(integrated_lufs(sound), abs=0.02)
    assert heard.true_peak_dbtp == pytest.approx(true_peak_dbtp(sound), abs=0.05)
    assert heard.duration_seconds == 10.0


def test_one_channel_is_heard_from_both_sides(ear: Ear) -> None:
    """3 dB louder than a meter says that looks at one channel: a stereo file with both channels the same."""
    both = music(5.0)
    both[:, 1] = both[:, 0]
    one = ear.hear(both[:, :1], "f32")
    assert one == ear.hear(both, "f32")
    assert one.integrated_lufs == pytest.approx(integrated_lufs(both[:, :1]) + 3.01, abs=0.05)


def test_channels_in_opposite_phase_are_as_loud(ear: Ear) -> None:
    sound = tone(5.0, level_dbfs=-20)
    assert ear.hear(opposite_phase(sound)).integrated_lufs == ear.hear(sound).integrated_lufs


@pytest.mark.parametrize(
    "sound",
    [
        pytest.param(silence(5.0), id="digital silence"),
        pytest.param(np.random.default_rng(1).standard_normal((5 * 44_100, 2)) * 1e-4, id="noise of -80 LUFS"),
    ],
)
def test_silence_has_no_loudness_and_no_range(ear: Ear, sound: Sound) -> None:
    heard = ear.hear(sound, "f32")
    assert heard.integrated_lufs is None
    assert heard.range_lu is None


def test_too_short_for_a_loudness_or_a_range(ear: Ear) -> None:
    short, longer = ear.hear(tone(0.399)), ear.hear(tone(0.5))
    assert short.integrated_lufs is None
    assert short.true_peak_dbtp == pytest.approx(-12, abs=0.1)
    assert longer.integrated_lufs == pytest.approx(integrated_lufs(tone(0.5)), abs=0.1)
    assert longer.range_lu is None
    assert ear.hear(tone(3.5)).range_lu is not None


def test_over_full_scale_is_measured_and_not_clipped(ear: Ear) -> None:
    sound = music(5.0, level=4.0)
    heard = ear.hear(sound, "f32")
    assert heard.true_peak_dbtp == pytest.approx(true_peak_dbtp(sound), abs=0.05)
    assert heard.integrated_lufs == pytest.approx(integrated_lufs(sound), abs=0.05)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_refused(ear: Ear, value: float) -> None:
    sound = tone(1.0)
    sound[20_000, 0] = value
    with pytest.raises(NotAudioError, match=r"in\.wav holds samples that are no numbers"):
        ear.hear(sound, "f32")
