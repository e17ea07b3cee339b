"""Which file names are tracks, and what everything made of them is called."""

from pathlib import PurePosixPath
from urllib.parse import quote, urljoin, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audio_compressor.recording import is_plain_name
from audio_compressor.tracks.track import Refused, Track, sort_out, why_no_track, why_taken
from audio_compressor_tests.hostile_names import WORST, any_name

EXTENSIONS = st.sampled_from(["", ".mp3", ".FLAC", ".m4a", ".mp3.wav", ".", ".3gp", ". 5"])
any_file_name = st.builds("".join, st.tuples(any_name, EXTENSIONS))


@pytest.mark.parametrize(
    ("file_name", "key"),
    [
        ("song.mp3", "song"),
        ("song.MP3", "song"),
        ("song.m4a", "song"),
        ("song.3gp", "song"),
        ("song", "song"),
        ("song.live.flac", "song.live"),
        ("song.mp3.wav", "song.mp3"),
        ("No. 5", "No. 5"),
        ("Symphony No. 5.flac", "Symphony No. 5"),
        ("v1.2", "v1.2"),
        ("2025-11-04_take-1.wav", "2025-11-04_take-1"),
        ("Simon & Garfunkel (live)!.mp3", "Simon & Garfunkel (live)!"),
        ("Ólafur – Næturljós.flac", "Ólafur – Næturljós"),
        ("日本語.mp3", "日本語"),
        ("-i.mp3", "-i"),
    ],
)
def test_the_key_is_the_name_without_its_extension(file_name: str, key: str) -> None:
    assert why_no_track(file_name) is None
    assert Track(file_name).key == key


@pytest.mark.parametrize(
    ("file_name", "part_of_the_reason"),
    [
        ("", "empty"),
        (".mp3", "empty"),
        ("tracks/song.mp3", "path separator"),
        ("../../etc/passwd", "path separator"),
        ("a\\b.mp3", "path separator"),
        ("..", "dot"),
        (".hidden.mp3", "dot"),
        ("song..mp3", "dot"),
        ("song .mp3", "white space"),
        (" song.mp3", "white space"),
        ("Hello, World.mp3", "comma"),
        ("a...b.mp3", "'...'"),
        ("a\nb.mp3", "invisible"),
        ("a\0b.mp3", "invisible"),
        ("\u202egnp.mp3", "invisible"),
        ("\udc80.mp3", "invisible"),
        ("\ufffd.mp3", "UTF-8"),
        ("x" * 300 + ".mp3", "longer than"),
        ("Song #1?.mp3", "holds # ?"),
        ("100%.mp3", "holds %"),
        ("[a].mp3", "holds [ ]"),
        ("<script>.mp3", "holds < >"),
    ],
)
def test_a_name_that_is_refused(file_name: str, part_of_the_reason: str) -> None:
    reason = why_no_track(file_name)
    assert reason is not None
    assert part_of_the_reason in reason
    assert file_name not in reason or not file_name


def test_both_kinds_are_among_the_worst() -> None:
    assert sum(why_no_track(name) is None for name in WORST) > 10
    assert sum(why_no_track(name) is not None for name in WORST) > 25


@given(any_file_name.filter(lambda name: why_no_track(name) is None))
@example("-i.mp3")
@example("a b+c&d=e@f:g;h.mp3")
@example("http:.mp3")
def test_all_results_lie_in_a_folder_of_their_own(file_name: str) -> None:
    track = Track(file_name)
    assert track.raw_key("tracks/") == f"tracks/{file_name}"
    assert is_plain_name(track.key)
    assert PurePosixPath(track.audio_name).suffix == ".m4a"
    folder = track.published_key("done/")
    for name in (track.audio_name, "playlist.m3u8", "low/playlist.m3u8"):
        key = track.published_key("done/", name)
        assert key == folder + name
        # Parents other than these would be folders of other tracks.
        assert PurePosixPath(key).parts[:2] == ("done", track.key)
        path = urlsplit(urljoin("https://cdn.example.org/", quote(key))).path
        assert path == f"/{quote(key)}"
    for local in (track.audio_name, track.error_name, f".{track.audio_name}.part"):
        assert len(local.encode()) <= 255


def test_the_document_s_layout() -> None:
    track = Track("track_id.mp3")
    assert track.published_key("mwonya_audio_tracks/", track.audio_name) == "mwonya_audio_tracks/track_id/track_id.m4a"
    assert track.published_key("p/", "low/playlist.m3u8") == "p/track_id/low/playlist.m3u8"
    assert track.error_name == "track_id.mp3.error.json"


def test_one_key_belongs_to_one_object() -> None:
    assert why_taken(Track("song.wav"), None) is None
    assert why_taken(Track("song.wav"), "song.wav") is None
    reason = why_taken(Track("song.wav"), "song.mp3")
    assert reason == "the track song is made from song.mp3; upload this one under another name, or remove song.mp3"


def test_of_two_objects_with_one_key_the_older_is_the_track() -> None:
    tracks, refused = sort_out(["b.mp3", "song.mp3", "a/b.mp3", "song.wav", "song"], {})
    assert tracks == (Track("b.mp3"), Track("song.mp3"))
    assert [item.file_name for item in refused] == ["a/b.mp3", "song.wav", "song"]
    assert all("song.mp3" in item.reason for item in refused[1:])


def test_what_was_published_stays_what_it_is() -> None:
    """Whatever else comes, and however old that is."""
    tracks, refused = sort_out(["song.mp3", "song.wav"], {"song": "song.wav"})
    assert tracks == (Track("song.wav"),)
    assert refused == (Refused("song.mp3", why_taken(Track("song.mp3"), "song.wav") or ""),)


def test_another_object_replaces_one_that_was_removed() -> None:
    assert sort_out(["song.mp3"], {"song": "song.wav"}) == ((Track("song.mp3"),), ())


@given(st.lists(any_file_name, max_size=8), st.dictionaries(any_name, any_file_name, max_size=3))
def test_every_name_is_told_of_once_and_every_key_has_one_track(names: list[str], published: dict[str, str]) -> None:
    tracks, refused = sort_out(names, published)
    assert sorted([*(t.file_name for t in tracks), *(r.file_name for r in refused)]) == sorted(set(names))
    keys = [track.key for track in tracks]
    assert len(keys) == len(set(keys))
