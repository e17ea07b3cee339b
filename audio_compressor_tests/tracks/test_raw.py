"""Which objects are tracks."""

import pytest

from audio_compressor.errors import AuthenticationError
from audio_compressor.tracks.bucket import TrackBucket
from audio_compressor.tracks.raw import RawObject
from audio_compressor.tracks.track import Track
from audio_compressor_tests.fixtures.s3_server import S3Server


def test_tracks_are_listed_with_what_tells_their_version(bucket: TrackBucket, s3_server: S3Server) -> None:
    s3_server.put("tracks/b.mp3", b"12345")
    s3_server.put("tracks/a.wav", b"123")
    listing = bucket.list_raw()
    assert [(raw.track.key, raw.size_bytes) for raw in listing.objects] in (
        [("b", 5), ("a", 3)],
        [("a", 3), ("b", 5)],  # of the same second
    )
    assert listing.refused == ()
    raw = next(raw for raw in listing.objects if raw.track.key == "a")
    assert raw.etag == "202cb962ac59075b964b07152d234b70"
    assert raw.fingerprint == "3-202cb962ac59075b964b07152d234b70"
    assert abs((listing.at - raw.modified_at).total_seconds()) < 60
    assert raw == bucket.find_raw(Track("a.wav"))
    assert bucket.find_raw(Track("a.wa")) is None
    assert bucket.raw_uri(raw.track) == "s3://bucket/tracks/a.wav"


def test_directories_and_hidden_names_are_no_tracks(bucket: TrackBucket, s3_server: S3Server) -> None:
    for key in ("tracks/", "tracks/sub/", "tracks/sub/a.mp3", "tracks/.DS_Store", "tracks/.a.mp3", "tracks2/b.mp3"):
        s3_server.put(key, b"x")
    listing = bucket.list_raw()
    assert (listing.objects, listing.refused) == ((), ())


def test_unsafe_names_are_reported(bucket: TrackBucket, s3_server: S3Server) -> None:
    for key in ("tracks/a, b.mp3", "tracks/a...b.mp3", "tracks/tab%09.mp3", "tracks/good one ü.mp3"):
        s3_server.put(key, b"x")
    listing = bucket.list_raw()
    assert [raw.track.file_name for raw in listing.objects] == ["good one ü.mp3"]
    assert {item.file_name: item.reason for item in listing.refused}.keys() == {"a, b.mp3", "a...b.mp3", "tab\t.mp3"}
    assert "comma" in next(item.reason for item in listing.refused if item.file_name == "a, b.mp3")


def test_of_two_sources_of_one_track_the_published_one_stays(bucket: TrackBucket, s3_server: S3Server) -> None:
    s3_server.put("tracks/song.mp3", b"x")
    s3_server.put("tracks/song.wav", b"x")
    listing = bucket.list_raw({"song": "song.wav"})
    assert [raw.track for raw in listing.objects] == [Track("song.wav")]
    assert [item.file_name for item in listing.refused] == ["song.mp3"]


def test_the_objects_of_a_key(bucket: TrackBucket, s3_server: S3Server) -> None:
    for name in ("song.wav", "song", "song2.mp3", "song.live.mp3", "song..mp3", "sub/song.mp3", ".song.mp3"):
        s3_server.put(f"tracks/{name}", b"x")
    keys = ("song", "song2", "song.live", "son", "sub", "", "song.wav")
    found = {key: {raw.track.file_name for raw in bucket.find_by_key(key)} for key in keys}
    assert found["song"] == {"song.wav", "song"}
    assert (found["song2"], found["song.live"]) == ({"song2.mp3"}, {"song.live.mp3"})
    assert not any(found[key] for key in ("son", "sub", "", "song.wav"))
    assert all(raw == bucket.find_raw(raw.track) for raw in bucket.find_by_key("song"))


def test_a_listing_of_many_pages(bucket: TrackBucket, s3_server: S3Server) -> None:
    for number in range(1005):
        s3_server.put(f"tracks/{number}.mp3", b"")
    objects = bucket.list_raw().objects
    assert len(objects) == 1005
    assert all(isinstance(raw, RawObject) for raw in objects)


def test_a_look_costs_one_request(bucket: TrackBucket, s3_server: S3Server) -> None:
    for number in range(20):
        s3_server.put(f"tracks/{number}.mp3", b"sound")
    before = len(s3_server.calls)
    bucket.look()
    assert len(s3_server.calls) - before == 1


def test_whether_it_can_be_written(bucket: TrackBucket, s3_server: S3Server) -> None:
    assert bucket.check_writable() == (
        "s3://bucket/mwonya_audio_tracks/ and s3://bucket/failedprocessing_tracks/ can be written"
    )
    assert s3_server.keys() == []
    s3_server.policy = {"Statement": []}
    with pytest.raises(AuthenticationError):
        bucket.look()
    with pytest.raises(AuthenticationError):
        bucket.check_writable()
