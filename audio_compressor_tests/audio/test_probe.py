"""What a header promises and what FFmpeg decodes; how often FFmpeg is started to find out."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest

from audio_compressor.audio.compress import compress
from audio_compressor.audio.ffmpeg import find_ffmpeg
from audio_compressor.audio.probe import Source, Stream, expect_source, probe_source
from audio_compressor.audio.profiles import Profile
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.audio.measuring import answering_script, decode, level_at
from audio_compressor_tests.wav_files import chunk, format_chunk, opposite_phase, speech, tone, write_wav

DEFAULT = Profile("wav", 16000, 1, 32)


class Counted:
    """The real FFmpeg, and how often it was started to work."""

    def __init__(self, directory: Path) -> None:
        self._starts = directory / "starts"
        script = answering_script(directory / "ffmpeg", f'echo >> "{self._starts}"; exec "$REAL" "$@"')
        self.ffmpeg = find_ffmpeg(str(script))

    @property
    def starts(self) -> int:
        return len(self._starts.read_text().splitlines())


@pytest.fixture
def counted(tmp_path: Path) -> Counted:
    return Counted(tmp_path)


def encoded(path: Path, *arguments: str) -> Path:
    """Two seconds of 1 kHz in stereo, made by FFmpeg itself."""
    source = ["-f", "lavfi", "-i", "sine=frequency=1000:sample_rate=48000:duration=2", "-ac", "2"]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *source, *arguments, str(path)], check=True)
    return path


def dts_in_wav(directory: Path, *options: str) -> Path:
    """As DTS CDs are ripped: the header says 16-bit stereo PCM, the samples are DTS."""
    dts = encoded(directory / "sine.dts", *options, "-c:a", "dca", "-strict", "-2", "-b:a", "1411200").read_bytes()
    body = b"WAVE" + chunk(b"fmt ", format_chunk(2, 48000, "s16")) + chunk(b"data", dts)
    path = directory / "StereoMix.wav"
    path.write_bytes(chunk(b"RIFF", body))
    return path


def test_dts_that_calls_itself_pcm_is_decoded_as_what_it_is(
    tmp_path: Path, counted: Counted, children: ChildProcesses
) -> None:
    path = dts_in_wav(tmp_path)
    promised = expect_source(path)
    assert promised is not None
    assert promised.stream == Stream("pcm_s16le", 48000, 2, "stereo", "s16")
    made = compress(path, tmp_path / "out.wav", DEFAULT, ffmpeg=counted.ffmpeg, children=children)
    assert made.source.codec == "dts"
    assert made.duration_seconds == pytest.approx(2.0, abs=0.05)
    assert level_at(decode(made.path, channels=1), 1000, 16000) > -25  # noise, if it were taken for samples
    assert counted.starts == 4  # as PCM, the look into it, as DTS, and for hum


def test_a_first_pass_that_fails_because_of_the_promise_is_not_the_last_word(
    tmp_path: Path, counted: Counted, children: ChildProcesses
) -> None:
    """What is done with two channels of PCM is refused by libopus for six of DTS."""
    path = dts_in_wav(tmp_path, "-ac", "6")
    made = compress(
        path, tmp_path / "out.opus", Profile("opus", 16000, 2, 32), ffmpeg=counted.ffmpeg, children=children
    )
    assert (made.source.codec, made.source.channels) == ("dts", 6)


@pytest.mark.parametrize(
    ("name", "starts"), [("16 bits.wav", 1), ("16 bits.w64", 1), ("24 bits.wav", 2), ("mask.wav", 2), ("sine.flac", 3)]
)
def test_how_often_ffmpeg_starts(
    tmp_path: Path, counted: Counted, children: ChildProcesses, name: str, starts: int
) -> None:
    path = tmp_path / name
    if name == "sine.flac":
        encoded(path)
    elif name == "24 bits.wav":
        write_wav(path, speech(1.0), kind="s24", extensible=False)
    elif name == "mask.wav":
        write_wav(path, speech(1.0), extensible=True, channel_mask=0x60)  # front left and right of centre
    else:
        write_wav(path, speech(1.0), container="W64" if path.suffix == ".w64" else "RIFF")
    compress(path, tmp_path / "out.wav", DEFAULT, ffmpeg=counted.ffmpeg, children=children)
    assert counted.starts == starts


def test_once_more_when_the_mix_has_to_be_another(tmp_path: Path, counted: Counted, children: ChildProcesses) -> None:
    path = write_wav(tmp_path / "StereoMix.wav", opposite_phase(tone(1.0)))
    compress(path, tmp_path / "out.wav", DEFAULT, ffmpeg=counted.ffmpeg, children=children)
    assert counted.starts == 2


@pytest.mark.parametrize("channels", [1, 2])
def test_a_promise_is_what_a_look_finds(
    tmp_path: Path, counted: Counted, children: ChildProcesses, channels: int
) -> None:
    path = write_wav(tmp_path / "StereoMix.wav", speech(1.0, channels=channels))
    promised: Source | None = expect_source(path)
    assert promised == probe_source(path, ffmpeg=counted.ffmpeg, children=children, timeout_seconds=30)
