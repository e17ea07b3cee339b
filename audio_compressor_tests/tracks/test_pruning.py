"""What earlier versions left is removed, late enough, and never anything that is played."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_compressor.errors import CancelledError, StorageError
from audio_compressor.storage.s3_objects import Listed
from audio_compressor.tracks.bucket import TrackBucket
from audio_compressor.tracks.pruning import GRACE_SECONDS, plan_prune
from audio_compressor.tracks.published import Published, PublishedFile, Source
from audio_compressor_tests.fixtures.s3_server import Answer, Call, S3Server, refusal
from audio_compressor_tests.tracks.conftest import ABOUT, SONG
from audio_compressor_tests.tracks.listener import fetch, heard_version, listen_by
from audio_compressor_tests.tracks.local_tracks import small_track

FOLDER = "mwonya_audio_tracks/song/"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GRACE = timedelta(hours=24)


def there(**hours: float) -> dict[str, Listed]:
    """Names, with ``__`` for a slash and ``_dot_`` for a dot, and how many hours ago they were written."""
    return {
        name.replace("__", "/").replace("_dot_", "."): Listed(1, "", NOW - timedelta(hours=age))
        for name, age in hours.items()
    }


def published(*names: str) -> Published:
    files = dict.fromkeys(names, PublishedFile(1, ""))
    return Published("song", Source("song.mp3", 1, "", ""), "", NOW, files)


# -- the plan


def test_what_nothing_leads_to_goes_when_it_and_the_master_are_old() -> None:
    listing = there(playlist_dot_m3u8=25, low__segment_1_dot_ts=900, low__segment_2_dot_ts=25)
    plan = plan_prune(listing, frozenset({"playlist.m3u8", "low/segment_2.ts"}), None, NOW, GRACE)
    assert (plan.remove, plan.waiting, plan.reason) == (("low/segment_1.ts",), (), "")


def test_a_track_that_was_replaced_just_now_is_still_played_in_its_old_version() -> None:
    """However old its files are."""
    listing = there(playlist_dot_m3u8=23.9, low__segment_1_dot_ts=900)
    plan = plan_prune(listing, frozenset({"playlist.m3u8"}), None, NOW, GRACE)
    assert (plan.remove, plan.waiting) == ((), ("low/segment_1.ts",))
    assert plan.reason == "the track was published less than 24 h ago"


def test_a_publication_on_its_way_is_left_alone() -> None:
    """Its segments are there, and no playlist yet."""
    listing = there(playlist_dot_m3u8=900, low__segment_1_dot_ts=0.1, low__segment_0_dot_ts=900)
    plan = plan_prune(listing, frozenset({"playlist.m3u8"}), None, NOW, GRACE)
    assert (plan.remove, plan.waiting) == (("low/segment_0.ts",), ("low/segment_1.ts",))
    assert "on its way" in plan.reason


def test_what_a_first_publication_left_that_crashed() -> None:
    listing = there(low__segment_1_dot_ts=25, low__segment_2_dot_ts=23)
    assert plan_prune(listing, frozenset(), None, NOW, GRACE).remove == ("low/segment_1.ts",)


def test_playlists_go_before_what_they_name() -> None:
    listing = there(
        playlist_dot_m3u8=900, high__segment_1_dot_ts=900, low__playlist_00_dot_m3u8=900, med__init_dot_mp4=900
    )
    remove = plan_prune(listing, frozenset({"playlist.m3u8"}), None, NOW, GRACE).remove
    assert remove == ("low/playlist_00.m3u8", "high/segment_1.ts", "med/init.mp4")


def test_what_is_not_ours_stays() -> None:
    listing = there(playlist_dot_m3u8=900, cover_dot_jpg=900, low__notes_dot_txt=900, song_dot_m4a=900)
    plan = plan_prune(listing, frozenset({"playlist.m3u8"}), None, NOW, GRACE)
    assert (plan.remove, plan.strange) == ((), ("low/notes.txt",))


names = st.sampled_from(
    [
        "playlist.m3u8",
        "song.m4a",
        "metadata.json",
        "x.jpg",
        *(f"low/{name}" for name in ("playlist.m3u8", "playlist_0.m3u8", "segment_0.ts", "segment_1.ts", "x")),
    ]
)


@given(st.dictionaries(names, st.floats(0, 100)), st.frozensets(names), st.frozensets(names), st.integers(0, 100))
def test_nothing_that_is_played_or_published_or_young_is_ever_removed(
    ages: dict[str, float], visible: frozenset[str], told: frozenset[str], grace: int
) -> None:
    listing = {name: Listed(1, "", NOW - timedelta(hours=age)) for name, age in ages.items()}
    plan = plan_prune(listing, visible, published(*told), NOW, timedelta(hours=grace))
    removed = set(plan.remove)
    assert removed.isdisjoint(visible | told)
    assert removed <= ages.keys()
    assert all(ages[name] >= grace and name.startswith("low/") and name != "low/x" for name in removed)
    assert not removed or ages.get("playlist.m3u8", grace) >= grace
    assert set(plan.waiting) | removed == {
        name for name in ages if name.startswith("low/") and name != "low/x" and name not in visible | told
    }


# -- on a bucket


def test_the_old_version_stays_for_those_who_play_it(
    bucket: TrackBucket, s3_server: S3Server, folder_url: str, tmp_path: Path
) -> None:
    old, new = small_track(tmp_path / "a", "old"), small_track(tmp_path / "b", "new")
    bucket.publish(SONG, old.local, ABOUT)
    only_old = set(s3_server.keys(FOLDER))
    master_url = f"{folder_url}/playlist.m3u8"
    master = fetch(master_url)
    assert master is not None
    current, _ = bucket.publish(SONG, new.local, ABOUT)
    plan = bucket.prune(SONG)
    assert plan.remove == ()
    assert len(plan.waiting) == 9
    assert listen_by(master_url, master) == old.segments

    s3_server.calls.clear()
    assert bucket.prune(SONG, 0).remove == tuple(sorted(plan.waiting, key=lambda name: not name.endswith(".m3u8")))
    deleted = [call.key for call in s3_server.calls if call.method == "DELETE"]
    assert [key.endswith(".m3u8") for key in deleted] == [True] * 3 + [False] * 6
    assert set(s3_server.keys(FOLDER)) == {FOLDER + name for name in (*current.files, "metadata.json")}
    assert only_old - set(s3_server.keys(FOLDER)) == set(deleted)
    assert heard_version(folder_url, {"new": new}) == "new"
    assert bucket.prune(SONG, 0).remove == ()
    assert bucket.verify_published(SONG, read_all=True).is_intact


def test_the_layout_of_the_program_before(
    bucket: TrackBucket, s3_server: S3Server, folder_url: str, tmp_path: Path
) -> None:
    """Its segments have no generation; they go with the grace time, too."""
    for rendition in ("low", "med", "high"):
        s3_server.put(f"{FOLDER}{rendition}/segment_000.ts", b"old")
        s3_server.put(f"{FOLDER}{rendition}/playlist.m3u8", b"#EXTM3U\nsegment_000.ts\n")
    s3_server.put(f"{FOLDER}playlist.m3u8", b"#EXTM3U\nlow/playlist.m3u8\n")
    s3_server.put(f"{FOLDER}metadata.json", b'{"track_id": "song"}')
    assert bucket.prune(SONG, 0).remove == ()
    new = small_track(tmp_path / "a", "new")
    bucket.publish(SONG, new.local, ABOUT)
    assert bucket.prune(SONG, 0).remove == ("high/segment_000.ts", "low/segment_000.ts", "med/segment_000.ts")
    assert heard_version(folder_url, {"new": new}) == "new"


@pytest.mark.parametrize("content", [b"", b"<html>", b"#EXTM3U\n../../x.ts\n", b"#EXTM3U\n\xff\n"])
def test_a_playlist_that_cannot_be_understood_may_name_anything(
    bucket: TrackBucket, s3_server: S3Server, tmp_path: Path, content: bytes
) -> None:
    bucket.publish(SONG, small_track(tmp_path / "a", "old").local, ABOUT)
    bucket.publish(SONG, small_track(tmp_path / "b", "new").local, ABOUT)
    s3_server.put(f"{FOLDER}low/playlist.m3u8", content)
    before = s3_server.content(FOLDER)
    plan = bucket.prune(SONG, 0)
    assert plan.remove == ()
    assert plan.reason.startswith("what is played is not known: ")
    assert s3_server.content(FOLDER) == before


def test_a_playlist_that_cannot_be_read_stops_everything(
    bucket: TrackBucket, s3_server: S3Server, tmp_path: Path
) -> None:
    bucket.publish(SONG, small_track(tmp_path / "a", "old").local, ABOUT)
    bucket.publish(SONG, small_track(tmp_path / "b", "new").local, ABOUT)
    before = s3_server.content(FOLDER)

    def fail(call: Call) -> Answer | None:
        is_playlist = call.method == "GET" and call.key.endswith("high/playlist.m3u8")
        return refusal(500, "InternalError") if is_playlist else None

    with s3_server.hooked(fail), pytest.raises(StorageError):
        bucket.prune(SONG, 0)
    assert s3_server.content(FOLDER) == before


def test_a_run_that_is_stopped_removes_no_more(bucket: TrackBucket, s3_server: S3Server, tmp_path: Path) -> None:
    bucket.publish(SONG, small_track(tmp_path / "a", "old", segments=30).local, ABOUT)
    bucket.publish(SONG, small_track(tmp_path / "b", "new").local, ABOUT)
    cancel = threading.Event()

    def stop(call: Call) -> None:
        if call.method == "DELETE":
            cancel.set()

    with s3_server.hooked(stop), pytest.raises(CancelledError):
        bucket.prune(SONG, 0, cancel=cancel)
    assert len([call for call in s3_server.calls if call.method == "DELETE"]) <= 4


def test_uploads_that_a_killed_process_left_are_given_up(
    bucket: TrackBucket, s3_server: S3Server, tmp_path: Path
) -> None:
    for key in (f"{FOLDER}song.m4a", "failedprocessing_tracks/song.mp3", "elsewhere/x"):
        with bucket.client.calls(key) as client:
            client.create_multipart_upload(Bucket="bucket", Key=key)
    assert bucket.abort_unfinished() == []  # they may be on their way
    assert len(s3_server.unfinished()) == 3
    s3_server.uploads_begun_at -= timedelta(seconds=GRACE_SECONDS)
    assert bucket.abort_unfinished() == [f"{FOLDER}song.m4a", "failedprocessing_tracks/song.mp3"]
    assert s3_server.unfinished() == ["elsewhere/x"]
