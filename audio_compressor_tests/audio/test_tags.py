"""Tags and covers of real files, carried over to the one that people get, and to no other."""

import re
import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest

from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.normalization import LoudnessTarget
from audio_compressor.audio.renditions import Renditions, make_renditions
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.audio.loud_sounds import music
from audio_compressor_tests.wav_files import write_wav

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
TITLE = "Näkku – the 1st; part=2"
TAGS = {"title": TITLE, "artist": "A & B", "album": "C", "date": "2024", "genre": "Jazz", "track": "3"}
# What the INFO chunk of a WAV file has a place for, as FFmpeg writes it.
WAV_TAGS = {key: TAGS[key] for key in ("title", "artist", "date", "genre")}


def ffmpeg_(*arguments: str) -> bytes:
    return subprocess.run([FFMPEG, "-nostdin", "-v", "error", "-y", *arguments], capture_output=True, check=True).stdout


def tags_of(path: Path) -> dict[str, str]:
    text = ffmpeg_("-i", str(path), "-f", "ffmetadata", "-").decode()
    lines = (line.partition("=") for line in text.splitlines() if not line.startswith(";"))
    return {key: re.sub(r"\\(.)", r"\1", value) for key, _, value in lines}


def cover_of(path: Path) -> bytes | None:
    done = subprocess.run(
        [FFMPEG, "-nostdin", "-v", "error", "-i", str(path), "-map", "0:v:0", "-c", "copy", "-f", "image2pipe", "-"],
        capture_output=True,
        check=False,
    )
    return done.stdout or None


@pytest.fixture(scope="module")
def cover(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cover") / "cover.jpg"
    ffmpeg_("-f", "lavfi", "-i", "testsrc=size=320x320", "-frames:v", "1", str(path))
    return path


def tagged(path: Path, *, cover: Path | None = None, arguments: tuple[str, ...] = ()) -> Path:
    sound = write_wav(path.with_name("sound.wav"), music(2.0))
    tags = [argument for key, value in TAGS.items() for argument in ("-metadata", f"{key}={value}")]
    picture = ["-i", str(cover), "-map", "0:a", "-map", "1:v", "-c:v", "copy", "-disposition:v:0", "attached_pic"]
    ffmpeg_("-i", str(sound), *(picture if cover else []), *tags, *arguments, str(path))
    return path


def made(source: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> Renditions:
    out = source.parent / "out"
    out.mkdir()
    return make_renditions(
        source,
        out,
        name="track",
        target=LoudnessTarget(),
        peak_policy="limit",
        coder="fast",
        ffmpeg=ffmpeg,
        children=children,
    )


@pytest.mark.parametrize("name", ["a.mp3", "a.flac", "a.m4a", "a.ogg", "a.wav", "a.aiff", "a.mka"])
def test_tags_are_carried_over(tmp_path: Path, ffmpeg: Ffmpeg, children: ChildProcesses, name: str) -> None:
    kind = ("-c:a", "libopus") if name == "a.ogg" else ("-write_id3v2", "1") if name == "a.aiff" else ()
    source = tagged(tmp_path / name, arguments=kind)
    expected = WAV_TAGS if name == "a.wav" else TAGS
    renditions = made(source, ffmpeg, children).renditions
    found = tags_of(renditions["high"].path)
    assert {key: found.get(key) for key in expected} == expected
    for name_ in ("low", "med"):
        assert not set(tags_of(renditions[name_].path)) & set(TAGS)


@pytest.mark.parametrize("name", ["a.mp3", "a.flac", "a.m4a"])
def test_the_cover_is_carried_over_byte_by_byte(
    tmp_path: Path, ffmpeg: Ffmpeg, children: ChildProcesses, cover: Path, name: str
) -> None:
    renditions = made(tagged(tmp_path / name, cover=cover), ffmpeg, children).renditions
    assert cover_of(renditions["high"].path) == cover.read_bytes()
    assert cover_of(renditions["low"].path) is None
    assert cover_of(renditions["med"].path) is None


def test_a_film_gives_its_sound_and_no_picture(tmp_path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> None:
    source = tmp_path / "film.mkv"
    sound = write_wav(tmp_path / "sound.wav", music(2.0))
    video = ("-f", "lavfi", "-i", "testsrc=size=64x64:duration=2")
    ffmpeg_(*video, "-i", str(sound), "-c:v", "mpeg4", "-metadata", "title=Film", str(source))
    high = made(source, ffmpeg, children).renditions["high"].path
    assert cover_of(high) is None
    assert tags_of(high)["title"] == "Film"


def test_gains_of_replaygain_are_left_behind(tmp_path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> None:
    """They would be wrong now: a player would turn it down once more."""
    source = tagged(tmp_path / "a.flac", arguments=("-metadata", "REPLAYGAIN_TRACK_GAIN=-8.00 dB"))
    assert any("replaygain" in key.lower() for key in tags_of(source))
    high = made(source, ffmpeg, children).renditions["high"].path
    assert not any("replaygain" in key.lower() for key in tags_of(high))


def test_a_cover_that_is_no_picture_does_no_harm(
    tmp_path: Path, ffmpeg: Ffmpeg, children: ChildProcesses, cover: Path
) -> None:
    source = tagged(tmp_path / "a.mp3", cover=cover)
    data, picture = source.read_bytes(), cover.read_bytes()
    assert data.count(picture) == 1
    source.write_bytes(data.replace(picture, b"no picture".ljust(len(picture), b"!")))
    high = made(source, ffmpeg, children).renditions["high"].path
    assert tags_of(high)["title"] == TITLE
    assert cover_of(high) is None


def test_the_command_names_no_directory(tmp_path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> None:
    commands = [each.command for each in made(tagged(tmp_path / "a.mp3"), ffmpeg, children).renditions.values()]
    assert all(command.startswith("ffmpeg ") and str(tmp_path) not in command for command in commands)
    assert sum("-map_metadata:g" in command for command in commands) == 1
