"""The policy in the documentation is enough for everything, and nothing in it is too much."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from audio_compressor.errors import ConnectionLostError, NotAudioError, RemoteFileMissingError
from audio_compressor.staging import Staging
from audio_compressor.tracks.bucket import TrackBucket
from audio_compressor.tracks.layout import DOCUMENTED
from audio_compressor.tracks.policy import least_policy
from audio_compressor.tracks.raw import RawObject
from audio_compressor.tracks.track import Track
from audio_compressor_tests.fixtures.s3_policy import grants
from audio_compressor_tests.fixtures.s3_server import BUCKET, Call, Drop, S3Server
from audio_compressor_tests.tracks.conftest import ABOUT, SONG
from audio_compressor_tests.tracks.local_tracks import Made, small_track

POLICY = least_policy(BUCKET, DOCUMENTED)
LARGE = bytes(range(256)) * 1500


@pytest.fixture
def limited(s3_server: S3Server, bucket: TrackBucket) -> TrackBucket:
    """A bucket of which nothing is allowed but what the policy says."""
    s3_server.policy = POLICY
    s3_server.calls.clear()
    return bucket


def do_everything(bucket: TrackBucket, server: S3Server, staging: Staging, directory: Path) -> None:
    """Every scenario of the other tests that makes requests of another kind."""
    server.put("tracks/song.mp3", LARGE)
    server.put("tracks/small.mp3", b"small")
    large, small = (bucket.find_raw(Track(name)) for name in ("song.mp3", "small.mp3"))
    assert large is not None
    assert small is not None
    assert len(bucket.list_raw().objects) == 2
    bucket.download(large, staging.path / "song.mp3", staging)
    gone = replace(small, track=Track("gone.mp3"))
    with pytest.raises(RemoteFileMissingError):
        bucket.download(gone, staging.path / "gone.mp3", staging)
    for raw in (large, small, large):
        bucket.record_failure(raw, NotAudioError("no audio"))
    assert bucket.published(SONG) is None
    assert bucket.forget_failure(SONG)
    assert not bucket.verify_published(SONG).is_intact
    old, new = small_track(directory / "a", "old"), small_track(directory / "b", "new")
    new.local.audio.write_bytes(LARGE)
    abandon_uploads(bucket, server, large, new)
    for made in (old, new, new):
        bucket.publish(SONG, made.local, ABOUT)
    assert bucket.verify_published(SONG, read_all=True).is_intact
    assert bucket.prune(SONG, 0).remove != ()
    assert bucket.forget_failure(Track("small.mp3"))


def abandon_uploads(bucket: TrackBucket, server: S3Server, large: RawObject, made: Made) -> None:
    """Uploads in parts of which nothing comes to an end, not even their abortion; a later look finds them."""

    def drop(call: Call) -> None:
        if "uploadId" in call.query:
            raise Drop

    with server.hooked(drop):
        with pytest.raises(ConnectionLostError):
            bucket.publish(SONG, made.local, ABOUT)
        with pytest.raises(ConnectionLostError):
            bucket.record_failure(large, NotAudioError("no audio"))
    server.uploads_begun_at -= timedelta(days=2)
    assert set(bucket.abort_unfinished()) == {f"{DOCUMENTED.processed}song/song.m4a", f"{DOCUMENTED.failed}song.mp3"}
    assert server.unfinished() == []


def test_the_policy_is_the_least_that_works(
    limited: TrackBucket, s3_server: S3Server, staging: Staging, tmp_path: Path
) -> None:
    do_everything(limited, s3_server, staging, tmp_path)
    needs = {need for call in s3_server.calls for need in call.needs}
    for statement in POLICY["Statement"]:
        unused = [
            action
            for action in statement["Action"]
            if not any(grants({**statement, "Action": [action]}, need) for need in needs)
        ]
        patterns = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix", [])
        unused += [
            pattern
            for pattern in patterns
            if not any(grants({**statement, "Condition": {"StringLike": {"s3:prefix": [pattern]}}}, n) for n in needs)
        ]
        assert unused == [], statement["Sid"]


def test_other_places_are_out_of_reach(limited: TrackBucket, s3_server: S3Server) -> None:
    """Raw tracks are never written to, and nothing outside of the three prefixes is seen."""
    s3_server.put("elsewhere/a", b"x")
    with limited.client.calls("s3://bucket") as client:
        for call in (
            lambda: client.put_object(Bucket=BUCKET, Key="tracks/a", Body=b"x"),
            lambda: client.delete_object(Bucket=BUCKET, Key="tracks/a"),
            lambda: client.get_object(Bucket=BUCKET, Key="elsewhere/a"),
            lambda: client.list_objects_v2(Bucket=BUCKET),
            lambda: client.list_objects_v2(Bucket=BUCKET, Prefix="elsewhere/"),
            lambda: client.delete_bucket(Bucket=BUCKET),
        ):
            with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
                call()  # type: ignore[no-untyped-call]


def test_a_key_of_kms_is_added_by_its_name_only() -> None:
    arn = "arn:aws:kms:us-east-1:123456789012:key/1"
    statement = least_policy(BUCKET, DOCUMENTED, arn)["Statement"][-1]
    assert (statement["Action"], statement["Resource"]) == (["kms:Decrypt", "kms:GenerateDataKey"], arn)
    assert json.loads(json.dumps(POLICY)) == POLICY
