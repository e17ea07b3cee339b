"""A track is published whole, replaced without a moment of silence, and recognised afterwards."""

import json
import threading
from datetime import datetime
from pathlib import Path

import pytest

from audio_compressor.errors import AudioError, CancelledError, StorageError
from audio_compressor.tracks.bucket import TrackBucket
from audio_compressor.tracks.published import PublishedFile, why_outdated
from audio_compressor.tracks.raw import RawObject
from audio_compressor.tracks.track import Track
from audio_compressor_tests.fixtures.s3_server import Answer, Call, S3Server, refusal
from audio_compressor_tests.tracks.conftest import ABOUT, SONG
from audio_compressor_tests.tracks.listener import fetch, heard_version, listen_by, listen_to_all
from audio_compressor_tests.tracks.local_tracks import RENDITIONS, small_track

FOLDER = "mwonya_audio_tracks/song/"


def names_in(server: S3Server) -> set[str]:
    return {key.removeprefix(FOLDER) for key in server.keys(FOLDER)}


@pytest.mark.parametrize("suffix", ["ts", "m4s"])
def test_the_layout(bucket: TrackBucket, s3_server: S3Server, folder_url: str, tmp_path: Path, suffix: str) -> None:
    made = small_track(tmp_path / "a", "first", suffix=suffix)
    published, was_there = bucket.publish(SONG, made.local, ABOUT)
    assert not was_there
    names = names_in(s3_server)
    segments = {path.relative_to(tmp_path / "a").as_posix() for path in (tmp_path / "a").glob("*/[is]*")}
    known = {"song.m4a", "playlist.m3u8", "metadata.json", *(f"{name}/playlist.m3u8" for name in RENDITIONS)}
    versioned = names - known - segments
    assert names >= known | segments
    assert len(versioned) == 3
    assert all(name.partition("/")[2].startswith("playlist_") for name in versioned)
    assert published.files.keys() == names - {"metadata.json"}
    for rendition in RENDITIONS:
        known_name = s3_server.get(f"{FOLDER}{rendition}/playlist.m3u8")
        (other_name,) = (name for name in versioned if name.startswith(rendition))
        assert (
            known_name
            == (tmp_path / "a" / rendition / "playlist.m3u8").read_bytes()
            == s3_server.get(f"{FOLDER}{other_name}")
        )
    heard = listen_to_all(folder_url)
    assert heard is not None
    assert {name: content[-2:] for name, content in heard.items()} == made.segments
    assert s3_server.get(f"{FOLDER}song.m4a") == made.whole


@pytest.mark.parametrize(
    ("name", "content_type", "cache_control"),
    [
        ("playlist.m3u8", "application/vnd.apple.mpegurl", "public, max-age=60"),
        ("low/playlist.m3u8", "application/vnd.apple.mpegurl", "public, max-age=60"),
        ("low/segment_x_000.m4s", "video/iso.segment", "public, max-age=31536000, immutable"),
        ("low/init_x.mp4", "audio/mp4", "public, max-age=31536000, immutable"),
        ("song.m4a", "audio/mp4", "public, max-age=60"),
        ("metadata.json", "application/json", "public, max-age=60"),
    ],
)
def test_what_players_and_caches_are_told(
    bucket: TrackBucket, s3_server: S3Server, tmp_path: Path, name: str, content_type: str, cache_control: str
) -> None:
    bucket.publish(SONG, small_track(tmp_path / "a", "first", suffix="m4s", named="x").local, ABOUT)
    head = s3_server.head(f"{FOLDER}{name}")
    assert (head["content-type"], head["cache-control"]) == (content_type, cache_control)


def test_what_the_master_names_never_changes(bucket: TrackBucket, s3_server: S3Server, tmp_path: Path) -> None:
    bucket.publish(SONG, small_track(tmp_path / "a", "first").local, ABOUT)
    versioned = [key for key in s3_server.keys(f"{FOLDER}low/") if "playlist_" in key]
    assert [s3_server.head(key)["cache-control"] for key in versioned] == ["public, max-age=31536000, immutable"]


def test_nothing_is_written_before_what_it_names(bucket: TrackBucket, s3_server: S3Server, tmp_path: Path) -> None:
    """First and second publication alike."""
    for name in ("first", "second"):
        s3_server.calls.clear()
        bucket.publish(SONG, small_track(tmp_path / name, name).local, ABOUT)
        written = [call.key.removeprefix(FOLDER) for call in s3_server.calls if call.is_write]
        kinds = [
            "segment" if "segment" in key else "versioned" if "playlist_" in key else key.rpartition("/")[2]
            for key in written
        ]
        assert kinds == [
            *["segment"] * 6,
            *["versioned"] * 3,
            *["playlist.m3u8"] * 3,
            *("song.m4a", "metadata.json", "playlist.m3u8"),
        ]


def test_the_same_again_writes_nothing(bucket: TrackBucket, s3_server: S3Server, tmp_path: Path) -> None:
    first, _ = bucket.publish(SONG, small_track(tmp_path / "a", "first").local, ABOUT)
    s3_server.calls.clear()
    again, was_there = bucket.publish(SONG, small_track(tmp_path / "b", "first").local, ABOUT)
    assert (again, was_there) == (first, True)
    assert not any(call.is_write for call in s3_server.calls)


@pytest.mark.parametrize("spoil", ["low/playlist.m3u8", "song.m4a", "playlist.m3u8", "segment", "metadata.json"])
@pytest.mark.parametrize("how", ["gone", "changed"])
def test_the_same_again_mends_what_is_broken(
    bucket: TrackBucket, s3_server: S3Server, folder_url: str, tmp_path: Path, spoil: str, how: str
) -> None:
    made = small_track(tmp_path / "a", "first")
    bucket.publish(SONG, made.local, ABOUT)
    key = next(key for key in s3_server.keys(FOLDER) if key.endswith(spoil) or f"/{spoil}_" in key)
    if how == "gone":
        s3_server.delete(key)
    else:
        s3_server.put(key, s3_server.get(key)[::-1])
    assert bucket.publish(SONG, made.local, ABOUT)[1] is False
    assert heard_version(folder_url, {"first": made}) == "first"
    assert bucket.verify_published(SONG, read_all=True).is_intact


def test_who_began_with_the_old_version_stays_with_it(bucket: TrackBucket, folder_url: str, tmp_path: Path) -> None:
    """Also when they go to another rendition only after the new one was published. Were the media playlists' names in
    the master fixed, they would go on with the new version's segments, at another place of another recording.
    """
    old, new = small_track(tmp_path / "a", "old", segments=3), small_track(tmp_path / "b", "new", segments=5)
    bucket.publish(SONG, old.local, ABOUT)
    master_url = f"{folder_url}/playlist.m3u8"
    master = fetch(master_url)
    assert master is not None
    bucket.publish(SONG, new.local, ABOUT)
    assert listen_by(master_url, master) == old.segments
    assert heard_version(folder_url, {"old": old, "new": new}) == "new"


def test_listeners_hear_one_version_at_every_moment(bucket: TrackBucket, folder_url: str, tmp_path: Path) -> None:
    """While a track is replaced again and again, three of them read it over and over."""
    versions = {name: small_track(tmp_path / name, name, segments=number) for number, name in enumerate("abcd", 2)}
    bucket.publish(SONG, versions["a"].local, ABOUT)
    ended = threading.Event()
    heard: list[str | None] = []
    failures: list[BaseException] = []

    def read_on() -> None:
        try:
            while not ended.is_set():
                heard.append(heard_version(folder_url, versions))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    for name in "bcdabcd":
        bucket.publish(SONG, versions[name].local, ABOUT)
    ended.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(set(heard)) > 1
    assert None not in heard


def test_names_that_do_not_tell_their_content_are_refused(
    bucket: TrackBucket, s3_server: S3Server, tmp_path: Path
) -> None:
    """Somebody plays ``segment_1_000.ts``; it must not become another under their hands."""
    bucket.publish(SONG, small_track(tmp_path / "a", "first", named="1").local, ABOUT)
    before = s3_server.content(FOLDER)
    with pytest.raises(AudioError, match=r"segment_1_000\.ts is played and would become another file"):
        bucket.publish(SONG, small_track(tmp_path / "b", "second", named="1").local, ABOUT)
    assert s3_server.content(FOLDER) == before


def test_what_a_crash_left_under_the_same_names_is_written_again(
    bucket: TrackBucket, s3_server: S3Server, folder_url: str, tmp_path: Path
) -> None:
    made = small_track(tmp_path / "a", "first", named="1")
    s3_server.put(f"{FOLDER}low/segment_1_000.ts", b"half of another")
    bucket.publish(SONG, made.local, ABOUT)
    assert heard_version(folder_url, {"first": made}) == "first"


def test_a_version_that_was_on_its_way_is_followed_by_the_one_before(
    bucket: TrackBucket, s3_server: S3Server, folder_url: str, tmp_path: Path
) -> None:
    """metadata.json is of the new version, the master of the old; then the old settings come back."""
    old, new = small_track(tmp_path / "a", "old"), small_track(tmp_path / "b", "new")
    bucket.publish(SONG, old.local, ABOUT)

    def refuse_the_master(call: Call) -> Answer | None:
        is_master = call.is_write and call.key == f"{FOLDER}playlist.m3u8"
        return refusal(500, "InternalError") if is_master else None

    with s3_server.hooked(refuse_the_master), pytest.raises(StorageError):
        bucket.publish(SONG, new.local, ABOUT)
    assert heard_version(folder_url, {"old": old, "new": new}) == "old"
    assert not bucket.verify_published(SONG).is_intact
    bucket.publish(SONG, old.local, ABOUT)
    assert heard_version(folder_url, {"old": old, "new": new}) == "old"
    assert bucket.verify_published(SONG, read_all=True).is_intact


def test_a_segment_that_vanishes_before_its_playlist_is_written(
    bucket: TrackBucket, s3_server: S3Server, folder_url: str, tmp_path: Path
) -> None:
    """Somebody tidies up meanwhile: no playlist may be written then."""
    old, new = small_track(tmp_path / "a", "old"), small_track(tmp_path / "b", "new")
    bucket.publish(SONG, old.local, ABOUT)

    def tidy_up(call: Call, _: int) -> None:
        if call.is_write and "/playlist_" in call.key:
            segment = next(path for path in (tmp_path / "b" / "low").glob("segment*"))
            s3_server.delete(f"{FOLDER}low/{segment.name}")

    with s3_server.hooked(after=tidy_up), pytest.raises(StorageError, match="1 of 9 files are not there"):
        bucket.publish(SONG, new.local, ABOUT)
    assert heard_version(folder_url, {"old": old, "new": new}) == "old"


def test_somebody_else_who_writes_to_the_folder_is_noticed(
    bucket: TrackBucket, s3_server: S3Server, tmp_path: Path
) -> None:
    def replace_metadata(call: Call, _: int) -> None:
        if call.is_write and call.key == f"{FOLDER}playlist.m3u8":
            s3_server.put(f"{FOLDER}metadata.json", b"{}")

    with s3_server.hooked(after=replace_metadata), pytest.raises(StorageError, match=r"such as metadata\.json"):
        bucket.publish(SONG, small_track(tmp_path / "a", "first").local, ABOUT)


def test_a_run_that_is_stopped_publishes_nothing_more(
    bucket: TrackBucket, s3_server: S3Server, folder_url: str, tmp_path: Path
) -> None:
    old, new = small_track(tmp_path / "a", "old"), small_track(tmp_path / "b", "new", segments=40)
    bucket.publish(SONG, old.local, ABOUT)
    s3_server.calls.clear()
    cancel = threading.Event()

    def stop(call: Call) -> None:
        if call.is_write and "segment" in call.key:
            cancel.set()

    with s3_server.hooked(stop), pytest.raises(CancelledError):
        bucket.publish(SONG, new.local, ABOUT, cancel=cancel)
    written = len([call for call in s3_server.calls if call.is_write])
    assert written <= 8
    assert heard_version(folder_url, {"old": old, "new": new}) == "old"
    assert len([call for call in s3_server.calls if call.is_write]) == written


def test_progress_counts_every_byte_once(bucket: TrackBucket, tmp_path: Path) -> None:
    counted: list[int] = []
    published, _ = bucket.publish(SONG, small_track(tmp_path / "a", "first").local, ABOUT, on_bytes=counted.append)
    files = sum(file.size_bytes for file in published.files.values())
    metadata = len(published.to_json())
    assert sum(counted) == files + metadata


# -- metadata.json


def test_metadata_tells_source_settings_and_files(bucket: TrackBucket, s3_server: S3Server, tmp_path: Path) -> None:
    published, _ = bucket.publish(SONG, small_track(tmp_path / "a", "first").local, ABOUT)
    told = json.loads(s3_server.get(f"{FOLDER}metadata.json"))
    assert told["source"] == {"file_name": "song.mp3", "size_bytes": 3, "etag": "etag", "sha256": "sha"}
    assert (told["settings_fingerprint"], told["details"]) == ("settings-1", {"loudness_lufs": -14.0})
    assert told["files"].keys() == names_in(s3_server) - {"metadata.json"}
    assert datetime.fromisoformat(told["published_at"]) == published.published_at
    assert bucket.published(SONG) == published
    assert [name for name, file in published.files.items() if file.etag is None] == ["playlist.m3u8"]


@pytest.mark.parametrize("content", [b"", b"{}", b"not JSON", b'{"track_id": "song", "title": "x"}', b"\xff", b"[1]"])
def test_the_metadata_of_other_programs_is_not_ours(
    bucket: TrackBucket, s3_server: S3Server, tmp_path: Path, content: bytes
) -> None:
    s3_server.put(f"{FOLDER}metadata.json", content)
    assert bucket.published(SONG) is None
    assert [item.name for item in bucket.verify_published(SONG).differences] == ["metadata.json"]
    bucket.publish(SONG, small_track(tmp_path / "a", "first").local, ABOUT)
    assert bucket.verify_published(SONG).is_intact


def test_why_a_track_is_made_again(bucket: TrackBucket, tmp_path: Path) -> None:
    published, _ = bucket.publish(SONG, small_track(tmp_path / "a", "first").local, ABOUT)
    raw = RawObject(SONG, 3, "etag", datetime.now().astimezone())
    assert why_outdated(published, raw, "settings-1") is None
    assert why_outdated(None, raw, "settings-1") == "nothing is published"
    assert why_outdated(published, raw, "settings-2") == "it was made with other settings"
    for other in (RawObject(SONG, 4, "etag", raw.modified_at), RawObject(SONG, 3, "other", raw.modified_at)):
        assert why_outdated(published, other, "settings-1") == "the source was replaced since"
    wav = RawObject(Track("song.wav"), 3, "etag", raw.modified_at)
    assert why_outdated(published, wav, "settings-1") == "it was made from song.mp3"


# -- verification


def test_verification_finds_what_was_lost_or_changed(bucket: TrackBucket, s3_server: S3Server, tmp_path: Path) -> None:
    made = small_track(tmp_path / "a", "first")
    published, _ = bucket.publish(SONG, made.local, ABOUT)
    verification = bucket.verify_published(SONG)
    assert (verification.published, verification.differences) == (published, ())
    low = sorted(name for name in published.files if name.startswith("low/segment"))
    s3_server.delete(FOLDER + low[0])
    s3_server.put(FOLDER + low[1], s3_server.get(FOLDER + low[1])[::-1])
    s3_server.put(f"{FOLDER}song.m4a", b"short")
    s3_server.put(f"{FOLDER}playlist.m3u8", s3_server.get(f"{FOLDER}playlist.m3u8").replace(b"64000", b"64001"))
    found = {item.name: item.reason for item in bucket.verify_published(SONG).differences}
    assert found.keys() == {*low, "song.m4a", "playlist.m3u8"}
    assert found[low[0]] == "it is not there any more"
    assert found[low[1]].startswith("it has the SHA-256")
    assert found["song.m4a"] == f"it has 5 bytes; {len(made.whole):,} were published"


def test_an_object_that_was_copied_has_another_etag_and_is_the_same(
    bucket: TrackBucket, s3_server: S3Server, tmp_path: Path
) -> None:
    published, _ = bucket.publish(SONG, small_track(tmp_path / "a", "first").local, ABOUT)
    s3_server.other_etags = True
    s3_server.calls.clear()
    assert bucket.verify_published(SONG).is_intact
    read = {call.key.removeprefix(FOLDER) for call in s3_server.calls if call.method == "GET" and call.key}
    assert read == {*published.files, "metadata.json"}


def test_only_a_full_reading_finds_what_the_store_returns_wrong(
    bucket: TrackBucket, s3_server: S3Server, tmp_path: Path
) -> None:
    """Bits that rot keep their ETag."""
    bucket.publish(SONG, small_track(tmp_path / "a", "first").local, ABOUT)

    def rot(call: Call) -> Answer | None:
        if call.method != "GET" or not call.key.endswith("song.m4a"):
            return None
        content = s3_server.get(call.key)[::-1]
        return Answer(200, content, {"Content-Length": str(len(content)), "ETag": s3_server.head(call.key)["etag"]})

    with s3_server.hooked(rot):
        assert bucket.verify_published(SONG).is_intact
        assert [item.name for item in bucket.verify_published(SONG, read_all=True).differences] == ["song.m4a"]


def test_the_files_of_another_name_with_the_same_beginning_are_not_ours(
    bucket: TrackBucket, s3_server: S3Server, tmp_path: Path
) -> None:
    """``song`` and ``song2``, ``song/…`` and ``song …``."""
    s3_server.put("mwonya_audio_tracks/song2/playlist.m3u8", b"other")
    published, _ = bucket.publish(SONG, small_track(tmp_path / "a", "first").local, ABOUT)
    assert not any("song2" in name for name in published.files)
    assert s3_server.get("mwonya_audio_tracks/song2/playlist.m3u8") == b"other"


def test_a_file_knows_its_size(bucket: TrackBucket, tmp_path: Path) -> None:
    made = small_track(tmp_path / "a", "first")
    published, _ = bucket.publish(SONG, made.local, ABOUT)
    file = published.files["song.m4a"]
    assert isinstance(file, PublishedFile)
    assert file.size_bytes == len(made.whole)
