"""An output that is cut short is found out in every format, whatever FFmpeg's exit code says."""

from pathlib import Path

import pytest

from audio_compressor.audio.compress import compress
from audio_compressor.audio.ffmpeg import Ffmpeg, input_arguments
from audio_compressor.audio.profiles import AudioFormat, Profile
from audio_compressor.audio.verify import VerifiedOutput, verify_output
from audio_compressor.errors import EncodingError, VerificationError
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.wav_files import speech, write_wav

FORMATS: tuple[AudioFormat, ...] = ("wav", "opus", "mp3", "m4a", "flac")
SECONDS = 6.0


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory, ffmpeg: Ffmpeg) -> dict[AudioFormat, bytes]:
    """Each format's output of the same six seconds."""
    path = tmp_path_factory.mktemp("outputs")
    source = write_wav(path / "in.wav", speech(SECONDS))
    return {
        audio_format: compress(
            source,
            path / f"out.{audio_format}",
            Profile(audio_format, 16000, 1, 32),
            ffmpeg=ffmpeg,
            children=ChildProcesses(),
        ).path.read_bytes()
        for audio_format in FORMATS
    }


@pytest.fixture
def verify(tmp_path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> "Verify":
    return Verify(tmp_path, ffmpeg, children)


class Verify:
    def __init__(self, path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> None:
        self.path, self.ffmpeg, self.children = path, ffmpeg, children

    def __call__(self, content: bytes, profile: Profile, expected_seconds: float = SECONDS) -> VerifiedOutput:
        file = self.path / f"out.{profile.extension}"
        file.write_bytes(content)
        return verify_output(
            file, expected_seconds, profile, ffmpeg=self.ffmpeg, children=self.children, timeout_seconds=30
        )


@pytest.mark.parametrize("audio_format", FORMATS)
def test_a_whole_output_passes(verify: Verify, outputs: dict[AudioFormat, bytes], audio_format: AudioFormat) -> None:
    verified = verify(outputs[audio_format], Profile(audio_format, 16000, 1, 32))
    assert verified.duration_seconds == pytest.approx(SECONDS, abs=0.001)


@pytest.mark.parametrize("audio_format", FORMATS)
@pytest.mark.parametrize("keep", [0.0, 0.01, 0.3, 0.5, 0.9, 0.97])
def test_a_truncated_output_fails(
    verify: Verify, outputs: dict[AudioFormat, bytes], audio_format: AudioFormat, keep: float
) -> None:
    content = outputs[audio_format]
    with pytest.raises(VerificationError):
        verify(content[: int(len(content) * keep)], Profile(audio_format, 16000, 1, 32))


def test_half_an_opus_file_decodes_without_complaint(
    verify: Verify, outputs: dict[AudioFormat, bytes], ffmpeg: Ffmpeg, children: ChildProcesses, tmp_path: Path
) -> None:
    """Why the duration is compared: FFmpeg ends with 0 and prints no error."""
    half = outputs["opus"][: len(outputs["opus"]) // 2]
    file = tmp_path / "half.opus"
    file.write_bytes(half)
    finished = ffmpeg.run([*input_arguments(file), "-f", "null", "-"], children=children, timeout_seconds=30)
    assert "[error]" not in finished.stderr
    with pytest.raises(VerificationError, match=r"lasts 2\.\d+ s, its source 6\.000 s: 3\.\d+ s too short") as caught:
        verify(half, Profile("opus", 16000, 1, 32))
    assert caught.value.check == "duration_matches"


@pytest.mark.parametrize("channels", [1, 2])
def test_half_a_sample_at_the_end_fails(verify: Verify, tmp_path: Path, channels: int) -> None:
    whole = write_wav(tmp_path / "whole.wav", speech(SECONDS, channels=channels), sample_rate_hz=16000).read_bytes()
    profile = Profile("wav", 16000, channels, 32)
    length = int.from_bytes(whole[40:44], "little")
    assert verify(whole, profile, length / 32000 / channels).levels.samples == length // 2
    short = whole[:40] + (length - channels).to_bytes(4, "little") + whole[44:-channels]
    with pytest.raises(VerificationError, match="middle of a sample"):
        verify(short, profile, length / 32000 / channels)


@pytest.mark.parametrize("audio_format", ["mp3", "flac"])
def test_damage_inside_fails(verify: Verify, outputs: dict[AudioFormat, bytes], audio_format: AudioFormat) -> None:
    content = bytearray(outputs[audio_format])
    content[len(content) // 2 : len(content) // 2 + 500] = b"\xff" * 500
    with pytest.raises(VerificationError) as caught:
        verify(bytes(content), Profile(audio_format, 16000, 1, 32))
    assert caught.value.check == "decodes_to_end"


@pytest.mark.parametrize(("offset", "passes"), [(0.049, True), (0.051, False), (-0.049, True), (-0.051, False)])
def test_tolerance_is_50_ms(verify: Verify, outputs: dict[AudioFormat, bytes], offset: float, passes: bool) -> None:
    profile = Profile("wav", 16000, 1, 32)
    if passes:
        verify(outputs["wav"], profile, SECONDS + offset)
        return
    with pytest.raises(VerificationError, match="too short" if offset > 0 else "too long"):
        verify(outputs["wav"], profile, SECONDS + offset)


def test_tolerance_is_the_codecs_delay_where_that_is_longer() -> None:
    assert Profile("mp3", 16000, 1, 32).tolerance_seconds == pytest.approx(1105 / 16000)
    assert Profile("m4a", 8000, 1, 32).tolerance_seconds == pytest.approx(0.128)
    assert Profile("mp3", 48000, 1, 32).tolerance_seconds == 0.05
    assert Profile("opus", 8000, 1, 32).tolerance_seconds == 0.05


@pytest.mark.parametrize(
    "profile", [Profile("wav", 8000, 1, 32), Profile("wav", 16000, 2, 32), Profile("flac", 16000, 1, 32)]
)
def test_another_rate_channel_count_or_codec_fails(
    verify: Verify, outputs: dict[AudioFormat, bytes], profile: Profile
) -> None:
    with pytest.raises(VerificationError, match="decodes as pcm_s16le, 16000 Hz, 1 channel"):
        verify(outputs["wav"], profile)


def test_a_time_limit_is_not_a_verdict(
    outputs: dict[AudioFormat, bytes], ffmpeg: Ffmpeg, children: ChildProcesses, tmp_path: Path
) -> None:
    file = tmp_path / "out.opus"
    file.write_bytes(outputs["opus"])
    with pytest.raises(EncodingError, match="time limit"):
        verify_output(
            file, SECONDS, Profile("opus", 16000, 1, 32), ffmpeg=ffmpeg, children=children, timeout_seconds=0.0
        )
