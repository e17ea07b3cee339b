"""Every rate of a source to every format: FFmpeg's packets and the blocks of codecs must fit each other."""

from pathlib import Path

import pytest

from audio_compressor.audio.compress import compress
from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.profiles import AudioFormat, Profile
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.wav_files import SampleKind, speech, write_wav


@pytest.mark.parametrize("audio_format", ["wav", "opus", "mp3", "m4a", "flac"])
@pytest.mark.parametrize(
    ("kind", "source_hz", "channels", "sample_rate_hz"),
    [("s16", 16000, 1, 16000), ("u8", 8000, 1, 48000), ("s24", 8000, 2, 16000), ("f32", 96000, 8, 8000)],
)
def test_mono_and_low_rates_fill_a_packet_with_many_samples(
    tmp_path: Path,
    ffmpeg: Ffmpeg,
    children: ChildProcesses,
    audio_format: AudioFormat,
    kind: SampleKind,
    source_hz: int,
    channels: int,
    sample_rate_hz: int,
) -> None:
    """Mono of 16 kHz, which speech recorders write, could not be made into FLAC: a packet has 65,536 samples of it."""
    sound = speech(20.0, channels=channels, sample_rate_hz=source_hz)
    source = write_wav(tmp_path / "StereoMix.wav", sound, sample_rate_hz=source_hz, kind=kind)
    profile = Profile(audio_format, sample_rate_hz, 1, 32)
    made = compress(source, tmp_path / f"out.{audio_format}", profile, ffmpeg=ffmpeg, children=children)
    assert made.duration_seconds == pytest.approx(20.0, abs=profile.tolerance_seconds)
