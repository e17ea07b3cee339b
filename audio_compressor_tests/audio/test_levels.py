"""What volumedetect's figures become, compared with numpy's, and the decision on the channels that rests on them."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_compressor.audio.ffmpeg import Ffmpeg, input_arguments
from audio_compressor.audio.levels import (
    FLOOR_DBFS,
    Cancellation,
    Hum,
    Levels,
    cancellation_db,
    dead_channels,
    parse_volumedetect,
)
from audio_compressor.audio.mixdown import choose_mixdown, pan, plain_mixdown
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.audio.measuring import peak_dbfs, rms_dbfs
from audio_compressor_tests.wav_files import Sound, silence, speech, tone, write_wav

SILENT = Levels(1000, FLOOR_DBFS, FLOOR_DBFS, 0.0)
NO_HUM = Hum(50, FLOOR_DBFS, -20.0)
ONLY_HUM = Hum(60, -38.0, -75.0)


def level(rms_dbfs: float) -> Levels:
    return Levels(1000, rms_dbfs, rms_dbfs + 10, 0.0)


def measured(ffmpeg: Ffmpeg, children: ChildProcesses, path: Path) -> tuple[Levels, ...]:
    """The first channel, then all together."""
    graph = "[0:a:0]asplit=2[a][b];[a]pan=mono|c0=c0,volumedetect,anullsink;[b]volumedetect[out]"
    arguments = (*input_arguments(path), "-filter_complex", graph, "-map", "[out]", "-f", "null", "-")
    return parse_volumedetect(ffmpeg.run(arguments, children=children, timeout_seconds=30).stderr)


@pytest.mark.parametrize("sound", [speech(2), tone(1, level_dbfs=-3), tone(1, level_dbfs=-50)])
def test_levels_are_those_of_the_samples(
    ffmpeg: Ffmpeg, children: ChildProcesses, tmp_path: Path, sound: Sound
) -> None:
    sound = sound.copy()
    sound[:, 1] *= 0.25
    first, both = measured(ffmpeg, children, write_wav(tmp_path / "x.wav", sound))
    assert (first.samples, both.samples) == (len(sound), 2 * len(sound))
    assert first.rms_dbfs == pytest.approx(rms_dbfs(sound[:, :1]), abs=0.15)
    assert both.rms_dbfs == pytest.approx(rms_dbfs(sound), abs=0.15)
    assert first.peak_dbfs == pytest.approx(peak_dbfs(sound), abs=0.15)


def test_share_of_samples_near_full_scale(ffmpeg: Ffmpeg, children: ChildProcesses, tmp_path: Path) -> None:
    sound = tone(1, level_dbfs=0)
    first, _ = measured(ffmpeg, children, write_wav(tmp_path / "x.wav", sound))
    expected = float((abs(sound[:, 0]) >= 10 ** (-1 / 20)).mean())
    assert first.near_full_scale_share == pytest.approx(expected, abs=0.005)
    assert str(first.peak_dbfs) == "0.0"
    quiet, _ = measured(ffmpeg, children, write_wav(tmp_path / "y.wav", tone(1, level_dbfs=-2)))
    assert quiet.near_full_scale_share == 0.0


def test_digital_silence(ffmpeg: Ffmpeg, children: ChildProcesses, tmp_path: Path) -> None:
    first, _ = measured(ffmpeg, children, write_wav(tmp_path / "x.wav", silence(1)))
    assert first == Levels(44100, FLOOR_DBFS, FLOOR_DBFS, 0.0)
    assert first.is_digital_silence


@given(st.text())
def test_parser_takes_any_text(text: str) -> None:
    assert parse_volumedetect(text) == ()


@pytest.mark.parametrize(
    ("levels", "dead"),
    [
        ([level(-20), SILENT], (1,)),
        ([level(-61), level(-20)], (0,)),
        ([level(-58), level(-10)], ()),  # quiet, but heard
        ([level(-75), level(-40)], ()),  # a quiet recording
        ([SILENT, SILENT], ()),
        ([level(-15), Levels(1000, -65.5, -17.5, 0.0)], ()),  # a question from the audience, in half an hour
    ],
)
def test_dead_channels(levels: list[Levels], dead: tuple[int, ...]) -> None:
    assert dead_channels(levels, [NO_HUM, NO_HUM]) == dead


@pytest.mark.parametrize(
    ("levels", "hums", "dead"),
    [
        ([level(-20), level(-38)], [NO_HUM, ONLY_HUM], (1,)),
        ([level(-38), level(-20), SILENT], [ONLY_HUM, NO_HUM, NO_HUM], (0, 2)),
        ([level(-20), level(-38)], [NO_HUM, Hum(50, -38.0, -59.0)], ()),  # and something else
        ([level(-40), level(-38)], [NO_HUM, ONLY_HUM], ()),  # a quiet recording
        ([level(-38), level(-38)], [ONLY_HUM, ONLY_HUM], ()),
        ([level(-30), level(-90)], [Hum(50, -30.0, -61.0), Hum(50, -90.0, -91.0)], ()),
    ],
)
def test_channels_of_hum(levels: list[Levels], hums: list[Hum], dead: tuple[int, ...]) -> None:
    assert dead_channels(levels, hums) == dead


def test_cancellation_is_zero_for_unrelated_and_for_equal_channels() -> None:
    assert cancellation_db([level(-20), level(-20)], level(-23.0)) == 0.0
    assert cancellation_db([level(-20), level(-20)], level(-20)) == 0.0
    assert cancellation_db([level(-20), SILENT], level(-26)) == pytest.approx(0.0, abs=0.1)
    assert cancellation_db([level(-20), level(-20)], level(-80)) == pytest.approx(57.0, abs=0.1)
    assert cancellation_db([SILENT, SILENT], SILENT) == 0.0


@pytest.mark.parametrize(
    ("levels", "cancelled", "weights", "said"),
    [
        ([level(-20)], None, ((1.0,),), "every channel as it is"),
        ([level(-20), level(-25)], 0.0, ((0.5, 0.5),), "the mean of both channels"),
        ([level(-20), level(-25)], 5.9, ((0.5, 0.5),), "the mean of both channels"),
        ([level(-25), level(-20)], 40.0, ((0.0, 1.0),), "channel 2 alone: channel 1 is in opposite phase .* 40 dB"),
        ([SILENT, level(-20)], 0.0, ((0.0, 1.0),), r"channel 2 alone: channel 1 holds no signal \(digital silence\)"),
        ([level(-20), level(-72)], 0.0, ((1.0, 0.0),), r"channel 2 holds no signal \(-72.0 dBFS at most\)"),
        ([SILENT, SILENT], 0.0, ((0.5, 0.5),), "the mean of both channels"),
        (
            [level(-20), SILENT, level(-21), SILENT],
            0.0,
            ((0.5, 0.0, 0.5, 0.0),),
            "channels 1 and 3 in equal parts: channels 2 and 4 hold no signal",
        ),
        ([level(-20)] * 4, 0.0, ((0.25,) * 4,), "the mean of all 4 channels"),
    ],
)
def test_decision_on_a_mix_to_mono(
    levels: list[Levels], cancelled: float | None, weights: tuple[tuple[float, ...], ...], said: str
) -> None:
    cancellations = {} if cancelled is None else {(0, 1): Cancellation(cancelled, cancelled)}
    mixdown = choose_mixdown(levels, [NO_HUM] * len(levels), cancellations, channels=1)
    assert mixdown.weights == weights
    assert re.search(said, mixdown.reason)


@pytest.mark.parametrize(
    ("levels", "inverted", "channels", "weights", "said"),
    [
        (
            [level(-20), level(-21), level(-22)],
            {(0, 1): 50.0},
            1,
            ((0.5, 0.0, 0.5),),
            "channels 1 and 3 in equal parts: channel 2 is in opposite phase to a louder one, .* 50 dB",
        ),
        (
            [level(-20), level(-21), SILENT, level(-22)],
            {(0, 1): 20.0, (1, 3): 30.0},
            1,
            ((0.5, 0.0, 0.0, 0.5),),
            r"channels 1 and 4 in equal parts: channel 3 holds no signal \(digital silence\); channel 2 is .* 30 dB",
        ),
        (
            [level(-20), level(-20), level(-21), SILENT],
            {(0, 2): 50.0},
            2,
            ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0)),
            "channel 1 alone and channel 2 alone: channel 4 holds no signal .*; channel 3 is in opposite phase",
        ),
    ],
)
def test_decision_on_many_channels(
    levels: list[Levels],
    inverted: dict[tuple[int, int], float],
    channels: int,
    weights: tuple[tuple[float, ...], ...],
    said: str,
) -> None:
    cancellations = {pair: Cancellation(db, db) for pair, db in inverted.items()}
    mixdown = choose_mixdown(levels, [NO_HUM] * len(levels), cancellations, channels)
    assert mixdown.weights == weights
    assert re.search(said, mixdown.reason)


def test_two_channels_of_stereo_output_are_never_changed() -> None:
    hums = [NO_HUM, ONLY_HUM]
    assert choose_mixdown([level(-20), SILENT], hums, {}, channels=2) == plain_mixdown(2, 2)
    assert choose_mixdown([level(-20), level(-20)], hums, {(0, 1): Cancellation(60, 60)}, channels=2) == plain_mixdown(
        2, 2
    )


@given(st.integers(1, 32), st.integers(1, 2))
def test_every_source_channel_is_heard_and_nothing_clips(source_channels: int, channels: int) -> None:
    weights = plain_mixdown(source_channels, channels).weights
    assert all(sum(row) == pytest.approx(1.0) for row in weights)
    assert all(any(row[index] for row in weights) for index in range(source_channels))


def test_pan_is_written_as_ffmpeg_reads_it() -> None:
    assert pan(((0.5, 0.0, 0.5),)) == "pan=mono|c0=0.5*c0+0.5*c2"
    assert pan(((1.0,), (1.0,))) == "pan=stereo|c0=1*c0|c1=1*c0"
