"""One run's work: when the catalogue is told of it, and which results are taken for equal."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.normalization import LoudnessTarget
from audio_compressor.catalog.catalog import open_catalog
from audio_compressor.defs.resources import build_track_resources
from audio_compressor.streaming.batch import make_tracks
from audio_compressor.streaming.model import Recipe, TrackProgress
from audio_compressor_tests.fixtures.music import PUBLISHED, Music


def test_the_catalogue_is_told_of_a_track_when_whoever_records_it_has_done_so(music: Music) -> None:
    music.add("a.wav")
    music.add("b.wav")
    resources = build_track_resources(music.settings)
    with open_catalog(music.catalog.url) as catalog, resources.open_bucket() as bucket:
        batch = make_tracks(
            ["a", "b"],
            resources.tools(bucket),
            catalog,
            claimed_by="us",
            run_id="run",
            others={},
            progress=TrackProgress(),
        )
        with closing(batch):
            first = next(batch)
            assert (first.status, music.status(f"{first.key}.wav")) == ("success", "processing")
            second = next(batch)
            assert [music.status(f"{outcome.key}.wav") for outcome in (first, second)] == ["completed", "processing"]
            # It is closed now, as when recording the second one fails.
    assert music.status(f"{second.key}.wav") == "0"
    assert f"{PUBLISHED}{second.key}/playlist.m3u8" in music.server.keys(PUBLISHED)  # the next run finds it


def test_what_decides_the_result_decides_the_fingerprint() -> None:
    ffmpeg = Ffmpeg(Path("/usr/bin/ffmpeg"), "9.0")
    recipe = Recipe(LoudnessTarget(), "limit", "fast", 10, "mpegts")
    others = [
        recipe.fingerprint(replace(ffmpeg, version="9.1")),
        replace(recipe, target=LoudnessTarget(-16.0)).fingerprint(ffmpeg),
        replace(recipe, peak_policy="lower").fingerprint(ffmpeg),
        replace(recipe, coder="twoloop").fingerprint(ffmpeg),
        replace(recipe, segment_duration_seconds=6).fingerprint(ffmpeg),
        replace(recipe, segment_type="fmp4").fingerprint(ffmpeg),
    ]
    assert len({recipe.fingerprint(ffmpeg), *others}) == 1 + len(others)
    elsewhere = replace(ffmpeg, binary=Path("/opt/ffmpeg"))
    assert recipe.fingerprint(elsewhere) == recipe.fingerprint(ffmpeg)
