"""Finding FFmpeg, what its failures become, and that no file name or content makes it do anything else."""

from pathlib import Path

import pytest

from audio_compressor.audio.ffmpeg import Ffmpeg, file_url, find_ffmpeg, input_arguments
from audio_compressor.errors import EncodingError, FfmpegMissingError, OutOfSpaceError
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.audio.measuring import answering_script, script
from audio_compressor_tests.wav_files import speech, write_wav


def test_the_wheel_brings_one_with_a_version(ffmpeg: Ffmpeg) -> None:
    assert ffmpeg.binary.is_file()
    assert "imageio_ffmpeg" in str(ffmpeg.binary)
    assert any(character.isdigit() for character in ffmpeg.version)


def test_a_configured_path_or_name_comes_first(ffmpeg: Ffmpeg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = answering_script(tmp_path / "my-ffmpeg", "exit 1")
    assert find_ffmpeg(str(mine)) == Ffmpeg(mine, ffmpeg.version)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert find_ffmpeg("my-ffmpeg").binary == mine


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exit 0", "does not answer like FFmpeg"),
        ("echo ffmpeg version 4.3.8-0+deb11u1 Copyright", "is FFmpeg 4.3.8-0.deb11u1, and 4.4 or newer is needed"),
        ("echo broken >&2; exit 7", "exit code 7 .broken.; check FFMPEG_BINARY"),
    ],
)
def test_a_binary_that_is_not_ffmpeg(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(FfmpegMissingError, match=said):
        find_ffmpeg(str(script(tmp_path / "other", text)))


def test_a_binary_that_is_missing_or_no_program(tmp_path: Path) -> None:
    with pytest.raises(FfmpegMissingError, match=r"FFMPEG_BINARY is '/no/such'.*leave it empty"):
        find_ffmpeg("/no/such")
    text = tmp_path / "text"
    text.write_text("not a program")
    text.chmod(0o755)
    with pytest.raises(
        FfmpegMissingError, match=r"does not run as FFmpeg|ended with exit code 127.*check FFMPEG_BINARY"
    ):
        find_ffmpeg(str(text))


def test_a_binary_that_disappears(tmp_path: Path, children: ChildProcesses) -> None:
    with pytest.raises(FfmpegMissingError, match="cannot be started: No such file"):
        Ffmpeg(tmp_path / "gone", "1").run(["-version"], children=children, timeout_seconds=10)


def test_encoders_are_asked_for(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    ffmpeg.require_encoder("libopus")
    with pytest.raises(FfmpegMissingError, match="without the encoder libnothing; choose another AUDIO_FORMAT"):
        ffmpeg.require_encoder("libnothing")


def test_an_error_carries_the_telling_lines(ffmpeg: Ffmpeg, children: ChildProcesses, tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(b"RIFF nonsense")
    with pytest.raises(EncodingError) as caught:
        ffmpeg.run([*input_arguments(tmp_path / "x.wav"), "-f", "null", "-"], children=children, timeout_seconds=30)
    assert "Invalid data found when processing input" in str(caught.value)
    assert "0x" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_worth_a_retry(ffmpeg: Ffmpeg, children: ChildProcesses, tmp_path: Path) -> None:
    source = write_wav(tmp_path / "x.wav", speech(5))
    with pytest.raises(OutOfSpaceError):
        ffmpeg.run([*input_arguments(source), "-f", "s16le", "file:/dev/full"], children=children, timeout_seconds=30)


def test_the_time_limit_becomes_an_encoding_error(children: ChildProcesses, tmp_path: Path) -> None:
    hanging = find_ffmpeg(str(answering_script(tmp_path / "hanging", "sleep 1000")))
    with pytest.raises(EncodingError, match="stopped after its time limit of 1 s"):
        hanging.run(["anything"], children=children, timeout_seconds=1)


def test_a_killed_ffmpeg_says_so(children: ChildProcesses, tmp_path: Path) -> None:
    killed = find_ffmpeg(str(answering_script(tmp_path / "killed", "kill -KILL $$")))
    with pytest.raises(EncodingError, match=r"killed by SIGKILL \(out of memory\?\)"):
        killed.run(["anything"], children=children, timeout_seconds=10)


@pytest.mark.parametrize(
    "name",
    ["-y.wav", "http:x.wav", "a b 'c\" $(d).wav", "%03d.wav", "ünï–çødé 録音.wav", "a\nb.wav", "pipe:0", "x|y.wav"],
)
def test_no_name_is_an_option_or_a_url(
    ffmpeg: Ffmpeg, children: ChildProcesses, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = write_wav(Path(name), speech(0.5))
    output = Path(f"out {name}")
    ffmpeg.run([*input_arguments(source), "-f", "wav", file_url(output)], children=children, timeout_seconds=30)
    assert output.stat().st_size > 40_000


@pytest.mark.parametrize(
    ("name", "playlist"),
    [
        ("StereoMix.wav", "ffconcat version 1.0\nfile secret.wav\n"),
        ("StereoMix.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.wav\n#EXT-X-ENDLIST\n"),
    ],
)
def test_a_playlist_in_disguise_reads_no_other_file(
    ffmpeg: Ffmpeg, children: ChildProcesses, tmp_path: Path, name: str, playlist: str
) -> None:
    write_wav(tmp_path / "secret.wav", speech(0.5))
    (tmp_path / name).write_text(playlist)
    with pytest.raises(EncodingError, match="not on whitelist"):
        ffmpeg.run([*input_arguments(tmp_path / name), "-f", "null", "-"], children=children, timeout_seconds=30)
