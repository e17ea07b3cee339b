"""The demo of tracks, as a newcomer runs it: from a bucket to renditions that play."""

import json
from pathlib import Path

import pytest

from audio_compressor.demo.tracks import SAMPLE_TRACKS
from audio_compressor.tracks.track import Track
from audio_compressor_tests.cli.commands import Ended, audio_compressor
from audio_compressor_tests.hls.browser import play

KEYS = sorted(Track(name).key for name in SAMPLE_TRACKS)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, Path]:
    directory = tmp_path_factory.mktemp("demo")
    return audio_compressor("demo", "--tracks", "--directory", str(directory), cwd=directory), directory / "tracks"


def test_all_of_them_come_to_one_loudness(ended: tuple[Ended, Path]) -> None:
    command, directory = ended
    assert command.code == 0, command.err
    assert "Traceback" not in command.err
    assert command.out.count("success") == len(KEYS)
    for key in KEYS:
        details = json.loads((directory / "published" / key / "metadata.json").read_text())["details"]
        assert details["loudness"]["after"]["high"]["integrated_lufs"] == pytest.approx(-14.0, abs=0.3), key
        assert all(check["passed"] for check in details["checks"]), key


def test_the_page_names_what_there_is(ended: tuple[Ended, Path]) -> None:
    published = ended[1] / "published"
    listed = json.loads((published / "tracks.json").read_text())
    assert [track["key"] for track in listed] == KEYS
    assert all((published / track["playlist"]).is_file() for track in listed)
    assert "tracks.json" in (published / "index.html").read_text()


def test_a_browser_plays_them(ended: tuple[Ended, Path]) -> None:
    for key in KEYS:
        [told] = play(ended[1] / "published" / key, [[]])
        assert told["currentTime"] == pytest.approx(told["duration"], abs=0.01)
        assert told["duration"] > 5
