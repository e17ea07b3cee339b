"""The plan of a publication: what is written, and what is refused before anything is."""

from pathlib import Path

import pytest

from audio_compressor.errors import AudioError, ConfigurationError, StorageError
from audio_compressor.tracks.layout import DOCUMENTED, Prefixes, is_ours
from audio_compressor.tracks.publication import plan_publication
from audio_compressor_tests.tracks.conftest import SONG
from audio_compressor_tests.tracks.local_tracks import small_track


def test_only_what_the_playlists_name_is_published(tmp_path: Path) -> None:
    made = small_track(tmp_path, "first", suffix="m4s", named="x")
    (tmp_path / "low" / "segment_old_000.m4s").write_bytes(b"of an earlier ladder")
    publication = plan_publication(SONG, made.local)
    assert {file.name for file in publication.segments} == {
        f"{rendition}/{name}"
        for rendition in ("low", "med", "high")
        for name in ("init_x.mp4", "segment_x_000.m4s", "segment_x_001.m4s")
    }
    assert len({file.name for file in publication.files}) == len(publication.files) == 9 + 3 + 3 + 1 + 1


def test_equal_renditions_have_names_of_their_own(tmp_path: Path) -> None:
    """Their playlists may be the same bytes; the folders tell them apart."""
    publication = plan_publication(SONG, small_track(tmp_path, "first").local)
    assert {file.name.partition("/")[0] for file in publication.versioned_playlists} == {"low", "med", "high"}


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("playlist.m3u8", "nothing", "is no playlist"),
        ("playlist.m3u8", "#EXTM3U\n", "there is nothing to play"),
        ("playlist.m3u8", "#EXTM3U\nlow/other.m3u8\n", "not the names of a rendition's files"),
        ("low/playlist.m3u8", "#EXTM3U\n../med/segment.ts\n", "not the names of a rendition's files"),
        ("low/playlist.m3u8", "#EXTM3U\n../song.m4a\n", "not the names of a rendition's files"),
        ("low/playlist.m3u8", "#EXTM3U\n../../a.ts\n", "not a file of this track"),
    ],
)
def test_ladders_that_are_refused(tmp_path: Path, file: str, text: str, expected: str) -> None:
    made = small_track(tmp_path, "first")
    (tmp_path / file).write_text(text)
    with pytest.raises(AudioError, match=expected):
        plan_publication(SONG, made.local)


def test_a_playlist_that_is_not_text(tmp_path: Path) -> None:
    made = small_track(tmp_path, "first")
    (tmp_path / "low" / "playlist.m3u8").write_bytes(b"#EXTM3U\n\xff\n")
    with pytest.raises(AudioError, match="is not UTF-8"):
        plan_publication(SONG, made.local)


@pytest.mark.parametrize("pattern", ["low/segment*0.ts", "low/playlist.m3u8", "playlist.m3u8", "whole.m4a"])
def test_a_file_that_is_missing(tmp_path: Path, pattern: str) -> None:
    made = small_track(tmp_path, "first")
    next(tmp_path.glob(pattern)).unlink()
    with pytest.raises(StorageError, match="No such file"):
        plan_publication(SONG, made.local)


def test_which_names_are_ours() -> None:
    ours = (
        "low/segment_000.ts",
        "low/segment_0011aabb_000.m4s",
        "low/init.mp4",
        "low/init_1.mp4",
        "low/playlist.m3u8",
        "high/playlist_00ff.m3u8",
    )
    others = (
        "playlist.m3u8",
        "metadata.json",
        "song.m4a",
        "cover.jpg",
        "low/cover.jpg",
        "low/segment_.ts",
        "low/a/segment_0.ts",
        "low/playlist_x.m3u8",
    )
    assert [name for name in (*ours, *others) if is_ours(name)] == list(ours)


@pytest.mark.parametrize(
    ("prefixes", "named"),
    [
        ({"raw": ""}, "RAW_PREFIX is ''"),
        ({"processed": "a"}, "PROCESSED_PREFIX is 'a'"),
        ({"failed": "/a/"}, "FAILED_PREFIX is '/a/'"),
        ({"processed": "tracks/done/"}, r"PROCESSED_PREFIX \('tracks/done/'\) lies in RAW_PREFIX"),
        ({"raw": "failedprocessing_tracks/a/"}, "RAW_PREFIX .* lies in FAILED_PREFIX"),
        ({"failed": "tracks/"}, "lies in"),
    ],
)
def test_prefixes_that_cannot_be(prefixes: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named) as caught:
        Prefixes(**prefixes)
    assert len(caught.value.problems) == 1


def test_the_prefixes_of_the_document() -> None:
    assert (DOCUMENTED.raw, DOCUMENTED.processed) == ("tracks/", "mwonya_audio_tracks/")
    assert DOCUMENTED.failed == "failedprocessing_tracks/"
