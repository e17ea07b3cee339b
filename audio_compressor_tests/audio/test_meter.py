"""Figures of samples that come in pieces, compared with numpy's of the whole and with FFmpeg's."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.levels import FLOOR_DBFS, Levels
from audio_compressor.audio.meter import COLUMNS, Meter
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.audio.test_levels import measured
from audio_compressor_tests.wav_files import Sound, silence, speech, tone, write_wav


def sixteen_bits(sound: Sound) -> "np.typing.NDArray[np.int16]":
    return np.clip(np.rint(sound * 32768), -32768, 32767).astype("<i2").reshape(-1)


@pytest.mark.parametrize(
    "sound",
    [speech(2), tone(1, level_dbfs=0), tone(1, level_dbfs=-50), silence(1), -np.ones((7000, 1)), speech(2) * 9],
)
def test_levels_are_those_that_ffmpeg_measures(
    ffmpeg: Ffmpeg, children: ChildProcesses, tmp_path: Path, sound: Sound
) -> None:
    _, expected = measured(ffmpeg, children, write_wav(tmp_path / "x.wav", sound))
    samples = sixteen_bits(sound)
    meter = Meter(samples.size)
    meter.add(samples.tobytes())
    found = meter.levels()
    assert found.samples == expected.samples
    assert found.rms_dbfs == pytest.approx(expected.rms_dbfs, abs=0.11)
    assert found.peak_dbfs == pytest.approx(expected.peak_dbfs, abs=0.11)
    assert found.near_full_scale_share == pytest.approx(expected.near_full_scale_share, abs=0.002)
    assert found.is_digital_silence == expected.is_digital_silence


def test_nothing_measured() -> None:
    meter = Meter(0)
    assert meter.levels() == Levels(0, FLOOR_DBFS, FLOOR_DBFS, 0.0)
    assert all(not column.any() for column in meter.outline())


@settings(deadline=None)
@given(
    st.integers(1, 5000),
    st.lists(st.integers(0, 10_001), max_size=6),
    st.sampled_from([0.5, 1.0, 1.01]),
    st.integers(0, 2**32),
)
def test_pieces_do_not_matter(count: int, cuts: list[int], expected: float, seed: int) -> None:
    samples = np.random.default_rng(seed).integers(-32768, 32768, count).astype("<i2")
    data = samples.tobytes()
    whole, pieces = Meter(round(count * expected)), Meter(round(count * expected))
    whole.add(data)
    edges = [0, *sorted(cuts), len(data)]
    for start, end in pairwise(edges):
        pieces.add(data[start:end])
    assert pieces.levels() == whole.levels()
    for one, other in zip(pieces.outline(), whole.outline(), strict=True):
        assert np.array_equal(one, other)
    lowest, highest = whole.outline()
    assert (lowest.min(), highest.max()) == (min(0, samples.min()), max(0, samples.max()))


@pytest.mark.parametrize("count", [COLUMNS * 37, COLUMNS, COLUMNS // 2])
def test_the_outline_is_where_the_sound_is(count: int) -> None:
    samples = np.zeros(count, "<i2")
    samples[count // 2] = 1000
    samples[-1] = -2000
    meter = Meter(count)
    meter.add(samples.tobytes())
    lowest, highest = meter.outline()
    assert len(lowest) == len(highest) == COLUMNS
    assert np.flatnonzero(highest).min() == COLUMNS // 2
    assert np.flatnonzero(lowest).max() == COLUMNS - 1
    assert (highest.max(), lowest.min()) == (1000, -2000)
