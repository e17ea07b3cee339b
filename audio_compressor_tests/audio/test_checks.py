"""The judgements, on real compressions of real sounds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audio_compressor.audio.checks import CHECKS, CheckResult, failed_checks, quality_checks
from audio_compressor.audio.compress import compress
from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.profiles import Profile
from audio_compressor.errors import VerificationError
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.wav_files import (
    SampleKind,
    Sound,
    hum,
    opposite_phase,
    silence,
    speech,
    tone,
    with_dead_channel,
    write_truncated_wav,
    write_wav,
)

OPUS = Profile("opus", 16000, 1, 32)
Judge = Callable[..., dict[str, CheckResult]]


@pytest.fixture
def judge(tmp_path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> Judge:
    def run(
        sound: Sound, profile: Profile = OPUS, kind: SampleKind = "s16", source: Path | None = None
    ) -> dict[str, CheckResult]:
        source = source or write_wav(tmp_path / "in.wav", sound, kind=kind)
        out = tmp_path / f"out.{profile.extension}"
        compression = compress(source, out, profile, ffmpeg=ffmpeg, children=children)
        results = quality_checks(compression, source.stat().st_size, profile)
        assert [result.name for result in results] == list(CHECKS)
        return {result.name: result for result in results}

    return run


def test_a_good_recording_passes_everything(judge: Judge) -> None:
    results = judge(speech(10))
    assert [result.name for result in results.values() if not result.passed] == []
    assert results["decodes_to_end"].figures["decoded_seconds"] == 10.0
    assert results["duration_matches"].figures["difference_seconds"] == pytest.approx(0, abs=0.05)
    assert results["smaller_than_original"].figures["compression_ratio"] == pytest.approx(44, rel=0.2)
    assert results["audible"].figures["rms_dbfs"] == pytest.approx(-26, abs=2)


def test_severities() -> None:
    error = VerificationError("too short", check="duration_matches")
    decodes, duration = failed_checks(error)
    assert (decodes.name, decodes.passed) == ("decodes_to_end", True)
    assert (duration.name, duration.passed, duration.severity) == ("duration_matches", False, "error")
    assert duration.summary == "too short"
    (only,) = failed_checks(VerificationError("broken", check="decodes_to_end"))
    assert (only.name, only.passed, only.severity) == ("decodes_to_end", False, "error")


def test_a_repaired_source_is_told_beside_its_duration(judge: Judge, tmp_path: Path) -> None:
    source = write_truncated_wav(tmp_path / "cut.wav", speech(4), keep=0.5)
    result = judge(speech(1), source=source)["duration_matches"]
    assert result.passed
    assert "declares 4.0 s and 2.0 s are present" in result.summary


def test_an_output_larger_than_its_source(judge: Judge) -> None:
    result = judge(speech(1, channels=1), Profile("wav", 48000, 2, 32), "u8")["smaller_than_original"]
    assert (result.passed, result.severity) == (False, "warning")
    assert "choose AUDIO_FORMAT=opus" in result.summary


@pytest.mark.parametrize("audio_format", ["wav", "flac"])
def test_bitrate_does_nothing_for_pcm(judge: Judge, audio_format: str) -> None:
    result = judge(speech(3), replace(OPUS, audio_format=audio_format))["bitrate_honoured"]  # type: ignore[arg-type]
    assert (result.passed, result.severity) == (False, "warning")
    assert f"BITRATE=32k does nothing for AUDIO_FORMAT={audio_format}" in result.summary
    assert "Set AUDIO_FORMAT=opus for 32 kbit/s" in result.summary
    if audio_format == "wav":
        assert result.figures["achieved_kbps"] == pytest.approx(256, abs=1)
        assert "8 times smaller" in result.summary


@pytest.mark.parametrize("audio_format", ["opus", "mp3", "m4a"])
@pytest.mark.parametrize("seconds", [0.3, 5.0])
def test_bitrate_is_honoured(judge: Judge, audio_format: str, seconds: float) -> None:
    result = judge(speech(seconds), replace(OPUS, audio_format=audio_format))["bitrate_honoured"]  # type: ignore[arg-type]
    assert result.passed, result.summary


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (Profile("m4a", 48000, 1, 6), "cannot go as low as 6 kbit/s"),
        (Profile("mp3", 16000, 1, 320), "goes up to 160 kbit/s; lower BITRATE"),
        (Profile("m4a", 16000, 1, 200), "goes up to 96 kbit/s; lower BITRATE"),
        (Profile("opus", 16000, 1, 400), "goes up to 256 kbit/s; lower BITRATE"),
    ],
)
def test_a_bitrate_that_cannot_be_honoured(judge: Judge, profile: Profile, said: str) -> None:
    result = judge(speech(10), profile)["bitrate_honoured"]
    assert not result.passed
    assert said in result.summary


def clipped(sound: Sound) -> Sound:
    return np.clip(sound * 8, -1.0, 1.0)


@pytest.mark.parametrize(
    ("sound", "said", "figure"),
    [
        (silence(2), "digital silence", "rms_dbfs"),
        (tone(2, level_dbfs=-65), "as good as silent: peak -6", "peak_dbfs"),
        (clipped(speech(2)), "channel 1 is clipped: ", "source_channel_1_near_full_scale_share"),
        (with_dead_channel(speech(2)), "channel 2 is dead: -91.0 dBFS", "source_channel_2_rms_dbfs"),
        (
            np.hstack([speech(2, channels=1), hum(2)]),
            "channel 2 is dead: -40.0 dBFS RMS of 50 Hz",
            "source_channel_2_hum_hz",
        ),
        (hum(2, mains_hz=60).repeat(2, axis=1), "nothing but hum of 60 Hz: -39.9", "source_channel_2_hum_dbfs"),
        (opposite_phase(speech(2)), "opposite phase: the mix of two is ", "cancellation_db"),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_wrong_with_the_sound_is_told(
    judge: Judge, sound: Sound, said: str, figure: str, channels: int
) -> None:
    result = judge(sound, replace(OPUS, channels=channels))["audible"]
    assert (result.passed, result.severity) == (False, "warning")
    assert said in result.summary
    assert figure in result.figures


def test_a_hot_float_source_was_turned_down_and_is_not_clipped(judge: Judge) -> None:
    result = judge(speech(2) * 8, kind="f32")["audible"]
    assert result.passed, result.summary
    assert result.figures["gain_db"] < -3  # type: ignore[operator]


def test_loud_but_clean_is_not_clipped(judge: Judge) -> None:
    sound = speech(3)
    assert judge(sound * (0.99 / np.max(np.abs(sound))))["audible"].passed
