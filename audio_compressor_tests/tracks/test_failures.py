"""A track that fails is copied, with the reason beside it; the raw object stays, and a success removes the copy."""

import json
import logging
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from audio_compressor.errors import CancelledError, NotAudioError, SourceChangedError, StorageError
from audio_compressor.storage.s3_writer import Encryption
from audio_compressor.tracks.bucket import TrackBucket
from audio_compressor.tracks.raw import RawObject
from audio_compressor_tests.fixtures.s3_server import BUCKET, Answer, Call, S3Server, refusal
from audio_compressor_tests.tracks.conftest import ABOUT, RETRY, SIZES, SONG
from audio_compressor_tests.tracks.local_tracks import small_track

FAILED = "failedprocessing_tracks/"
SMALL, LARGE = b"nothing that can be decoded", bytes(range(256)) * 1500
ERROR = NotAudioError("song.mp3: FFmpeg finds no audio in it; upload it again")


@pytest.fixture(params=[SMALL, LARGE], ids=["in one request", "in parts"])
def raw(request: pytest.FixtureRequest, bucket: TrackBucket, s3_server: S3Server) -> RawObject:
    s3_server.put("tracks/song.mp3", request.param, **{"Content-Type": "audio/mpeg", "x-amz-tagging": "a=b"})
    found = bucket.find_raw(SONG)
    assert found is not None
    return found


def test_the_copy_and_the_reason(bucket: TrackBucket, s3_server: S3Server, raw: RawObject) -> None:
    content = s3_server.get("tracks/song.mp3")
    uri = bucket.record_failure(raw, ERROR)
    assert uri == "s3://bucket/failedprocessing_tracks/song.mp3.error.json"
    assert s3_server.get(f"{FAILED}song.mp3") == content
    assert s3_server.get("tracks/song.mp3") == content
    assert s3_server.unfinished() == []
    note = json.loads(s3_server.get(f"{FAILED}song.mp3.error.json"))
    assert note.pop("failed_at").endswith("+00:00")
    assert note == {
        "file_name": "song.mp3",
        "size_bytes": len(content),
        "etag": raw.etag,
        "error": "NotAudioError",
        "reason": "song.mp3: FFmpeg finds no audio in it; upload it again",
        "is_permanent": True,
    }
    assert s3_server.head(f"{FAILED}song.mp3.error.json")["content-type"] == "application/json"


def test_the_same_failure_again_copies_nothing(bucket: TrackBucket, s3_server: S3Server, raw: RawObject) -> None:
    bucket.record_failure(raw, ERROR)
    s3_server.calls.clear()
    bucket.record_failure(raw, StorageError("the bucket was away"))
    assert [call.key for call in s3_server.calls if call.is_write] == [f"{FAILED}song.mp3.error.json"]
    assert json.loads(s3_server.get(f"{FAILED}song.mp3.error.json"))["is_permanent"] is False


@pytest.mark.parametrize("note", [b"", b"[]", b'{"etag": 3}', b"\xff"])
def test_a_copy_that_nobody_knows_of_is_made_again(
    bucket: TrackBucket, s3_server: S3Server, raw: RawObject, note: bytes
) -> None:
    content = s3_server.get("tracks/song.mp3")
    s3_server.put(f"{FAILED}song.mp3", content[::-1])
    s3_server.put(f"{FAILED}song.mp3.error.json", note)
    bucket.record_failure(raw, ERROR)
    assert s3_server.get(f"{FAILED}song.mp3") == content


def test_another_version_of_the_source_is_copied(bucket: TrackBucket, s3_server: S3Server, raw: RawObject) -> None:
    bucket.record_failure(raw, ERROR)
    other = s3_server.get("tracks/song.mp3")[::-1]
    s3_server.put("tracks/song.mp3", other)
    found = bucket.find_raw(SONG)
    assert found is not None
    bucket.record_failure(found, ERROR)
    assert s3_server.get(f"{FAILED}song.mp3") == other


def test_a_source_that_was_replaced_is_not_taken_for_the_one_that_failed(
    bucket: TrackBucket, s3_server: S3Server, raw: RawObject
) -> None:
    s3_server.put("tracks/song.mp3", s3_server.get("tracks/song.mp3")[::-1])
    with pytest.raises(SourceChangedError, match=r"song\.mp3 was replaced meanwhile"):
        bucket.record_failure(raw, ERROR)
    assert s3_server.keys(FAILED) == []
    assert s3_server.unfinished() == []


def test_texts_of_other_errors_are_not_quoted(bucket: TrackBucket, s3_server: S3Server, raw: RawObject) -> None:
    """Nobody has looked through them for secrets."""
    bucket.record_failure(raw, ValueError("https://bucket.example.org/a?X-Amz-Signature=0123"))
    note = s3_server.get(f"{FAILED}song.mp3.error.json").decode()
    assert "Signature" not in note
    assert json.loads(note)["reason"] == "unexpected ValueError; the log of the run says more"
    bucket.record_failure(raw, NotAudioError("x" * 10_000))
    assert len(json.loads(s3_server.get(f"{FAILED}song.mp3.error.json"))["reason"]) == 4_000


def test_a_success_removes_the_copy(bucket: TrackBucket, s3_server: S3Server, raw: RawObject, tmp_path: Path) -> None:
    s3_server.put(f"{FAILED}song.mp3x", b"of another track")
    bucket.record_failure(raw, ERROR)
    bucket.publish(SONG, small_track(tmp_path / "a", "first").local, ABOUT)
    assert s3_server.keys(FAILED) == [f"{FAILED}song.mp3x"]
    assert s3_server.keys("tracks/") == ["tracks/song.mp3"]
    s3_server.calls.clear()
    assert bucket.forget_failure(SONG) is False
    assert not any(call.is_write for call in s3_server.calls)


def test_a_copy_that_cannot_be_removed_does_not_unpublish(
    bucket: TrackBucket, s3_server: S3Server, raw: RawObject, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bucket.record_failure(raw, ERROR)
    made = small_track(tmp_path / "a", "first")

    def deny(call: Call) -> Answer | None:
        return refusal(403, "AccessDenied") if call.method == "DELETE" else None

    with s3_server.hooked(deny), caplog.at_level(logging.WARNING):
        _, was_there = bucket.publish(SONG, made.local, ABOUT)
    assert not was_there
    assert "song is published, but its failed copy may be left" in caplog.text
    assert bucket.publish(SONG, made.local, ABOUT)[1]
    assert s3_server.keys(FAILED) == []


def test_a_copy_that_fails_in_the_midst_leaves_no_parts(
    bucket: TrackBucket, s3_server: S3Server, raw: RawObject
) -> None:
    def fail(call: Call) -> Answer | None:
        is_last = call.query.get("partNumber") == "3" or (call.method == "PUT" and "uploadId" not in call.query)
        return refusal(500, "InternalError") if is_last else None

    with s3_server.hooked(fail), pytest.raises(StorageError, match="InternalError"):
        bucket.record_failure(raw, ERROR)
    assert s3_server.keys(FAILED) == []
    assert s3_server.unfinished() == []


def test_a_run_that_is_stopped_copies_nothing_more(bucket: TrackBucket, s3_server: S3Server, raw: RawObject) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(CancelledError):
        bucket.record_failure(raw, ERROR, cancel=cancel)
    assert s3_server.keys(FAILED) == []
    assert s3_server.unfinished() == []


def test_a_copy_is_encrypted_as_all_else(s3_server: S3Server, raw: RawObject) -> None:
    encryption = Encryption("aws:kms", "key-1")
    s3_server.calls.clear()
    sizes = replace(SIZES)
    with TrackBucket(BUCKET, endpoint_url=s3_server.url, retry=RETRY, sizes=sizes, encryption=encryption) as bucket:
        bucket.record_failure(raw, ERROR)
    begun = [call for call in s3_server.calls if call.is_write and "uploadId" not in call.query]
    assert len(begun) == 2
    assert {call.headers["x-amz-server-side-encryption-aws-kms-key-id"] for call in begun} == {"key-1"}
