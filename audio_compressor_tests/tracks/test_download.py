"""A raw object arrives in staging as one version of it, proven by what the bucket knows of it; or not at all."""

import base64
import hashlib
import random
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from audio_compressor.errors import (
    AudioCompressorError,
    AuthenticationError,
    CancelledError,
    ConnectionLostError,
    NotAudioError,
    OutOfSpaceError,
    RemoteFileMissingError,
    SourceChangedError,
    StorageError,
)
from audio_compressor.staging import Staging, open_staging
from audio_compressor.tracks.bucket import TrackBucket
from audio_compressor.tracks.crc64 import Crc64Nvme
from audio_compressor.tracks.policy import least_policy
from audio_compressor.tracks.raw import RawObject
from audio_compressor_tests.fixtures.s3_server import BUCKET, Answer, Call, S3Server, refusal
from audio_compressor_tests.fixtures.tcp_proxy import Fault, tcp_proxy
from audio_compressor_tests.tracks.conftest import RETRY, SIZES, SONG

KEY = "tracks/song.mp3"
# Five requests, the last a short one.
CONTENT = random.Random(1).randbytes(420_001)  # noqa: S311


def encoded(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def crc64(content: bytes) -> str:
    digest = Crc64Nvme()
    digest.update(content)
    return encoded(digest.digest())


def raw_of(bucket: TrackBucket) -> RawObject:
    raw = bucket.find_raw(SONG)
    assert raw is not None
    return raw


@pytest.fixture
def destination(staging: Staging) -> Path:
    return staging.path / "song.mp3"


@pytest.mark.parametrize(
    ("headers", "other_etags", "checked_by"),
    [
        ({"x-amz-checksum-sha256": encoded(hashlib.sha256(CONTENT).digest())}, True, "SHA256"),
        ({"x-amz-checksum-sha1": encoded(hashlib.sha1(CONTENT, usedforsecurity=False).digest())}, True, "SHA1"),
        ({"x-amz-checksum-crc64nvme": crc64(CONTENT)}, True, "CRC64NVME"),
        ({"x-amz-checksum-crc32": encoded(zlib.crc32(CONTENT).to_bytes(4, "big"))}, True, "CRC32"),
        ({"x-amz-checksum-crc32": "AAAAAA==-3"}, False, "MD5"),
        ({}, False, "MD5"),
        ({}, True, "reading twice"),
        ({"x-amz-server-side-encryption": "aws:kms"}, True, "size"),
    ],
)
def test_what_the_bucket_knows_is_compared(
    bucket: TrackBucket,
    s3_server: S3Server,
    staging: Staging,
    destination: Path,
    headers: dict[str, str],
    other_etags: bool,
    checked_by: str,
) -> None:
    s3_server.put(KEY, CONTENT, **headers)
    s3_server.other_etags = other_etags
    counted: list[int] = []
    raw = raw_of(bucket)
    downloaded = bucket.download(raw, destination, staging, on_bytes=counted.append)
    assert (downloaded.raw, downloaded.checked_by) == (raw, checked_by)
    assert downloaded.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert destination.read_bytes() == CONTENT
    assert sum(counted) == len(CONTENT) * (2 if checked_by == "reading twice" else 1)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-sha256": encoded(hashlib.sha256(b"other").digest())},
        {"x-amz-checksum-crc64nvme": crc64(b"other")},
        {"x-amz-checksum-crc32": "AAAAAA=="},
    ],
)
def test_what_is_not_what_the_bucket_knows_is_not_taken(
    bucket: TrackBucket, s3_server: S3Server, staging: Staging, destination: Path, headers: dict[str, str]
) -> None:
    s3_server.put(KEY, CONTENT, **headers)
    with pytest.raises(StorageError, match=r"s3://bucket/tracks/song\.mp3 arrived with the .* upload it again"):
        bucket.download(raw_of(bucket), destination, staging)
    assert not destination.exists()


def test_a_byte_that_changes_on_the_way_is_noticed(s3_server: S3Server, staging: Staging, destination: Path) -> None:
    s3_server.put(KEY, CONTENT)
    fault = Fault("to client", 50_000, "change")
    # 0 finds the object, 1 asks for its checksum, 2 reads the first piece.
    with tcp_proxy(s3_server.url, lambda number: fault if number == 2 else None) as proxy:
        with (
            TrackBucket(BUCKET, endpoint_url=proxy.url, retry=RETRY, sizes=SIZES) as bucket,
            pytest.raises(StorageError, match="MD5"),
        ):
            bucket.download(raw_of(bucket), destination, staging)
        assert proxy.struck == 1
    assert not destination.exists()


@pytest.mark.parametrize("seed", range(4))
def test_a_connection_that_breaks_goes_on_where_it_ended(
    s3_server: S3Server, staging: Staging, destination: Path, seed: int
) -> None:
    s3_server.put(KEY, CONTENT, **{"x-amz-checksum-sha256": encoded(hashlib.sha256(CONTENT).digest())})
    dice = random.Random(seed)  # noqa: S311
    faults = [Fault("to client", dice.randrange(100, 90_000)) for _ in range(8)]
    counted: list[int] = []
    with tcp_proxy(s3_server.url, lambda number: faults[number] if number < 8 else None) as proxy:
        retry = type(RETRY)(12, 0)
        with TrackBucket(BUCKET, endpoint_url=proxy.url, retry=retry, sizes=SIZES) as bucket:
            downloaded = bucket.download(raw_of(bucket), destination, staging, on_bytes=counted.append)
        assert proxy.struck > 2
    assert destination.read_bytes() == CONTENT
    assert downloaded.checked_by == "SHA256"
    assert sum(counted) == len(CONTENT)  # nothing was read twice
    starts = [call.headers["range"] for call in s3_server.calls if "range" in call.headers]
    assert any(not start.split("-")[0].endswith("00000") for start in starts[1:])


def test_a_server_that_stays_away(
    bucket: TrackBucket, s3_server: S3Server, staging: Staging, destination: Path
) -> None:
    s3_server.put(KEY, CONTENT)
    raw = raw_of(bucket)

    def fail_in_the_midst(call: Call) -> Answer | None:
        return refusal(500, "InternalError") if call.headers.get("range", "").startswith("bytes=2") else None

    with s3_server.hooked(fail_in_the_midst), pytest.raises(StorageError, match="InternalError"):
        bucket.download(raw, destination, staging)
    assert not destination.exists()
    with (
        TrackBucket(BUCKET, endpoint_url="http://127.0.0.1:9", retry=RETRY) as away,
        pytest.raises(ConnectionLostError),
    ):
        away.download(raw, destination, staging)


@pytest.mark.parametrize("content", [CONTENT[::-1], CONTENT + b"more"], ids=["same size", "longer"])
@pytest.mark.parametrize("when", ["before", "while it is read", "at the end"])
def test_an_object_that_is_replaced_is_an_error(
    bucket: TrackBucket, s3_server: S3Server, staging: Staging, destination: Path, content: bytes, when: str
) -> None:
    s3_server.put(KEY, CONTENT)
    raw = raw_of(bucket)
    starts = {"before": None, "while it is read": "bytes=200000-", "at the end": "bytes=400000-"}
    if when == "before":
        s3_server.put(KEY, content)

    def replace(call: Call, _: int) -> None:
        start = starts[when]
        if start is not None and call.headers.get("range", "").startswith(start):
            s3_server.put(KEY, content)

    with s3_server.hooked(after=replace), pytest.raises(SourceChangedError, match="was replaced meanwhile"):
        bucket.download(raw, destination, staging)
    assert not destination.exists()
    ranges = [call.headers["range"] for call in s3_server.calls if "range" in call.headers]
    assert len(ranges) == {"before": 0, "while it is read": 4, "at the end": 5}[when]  # not one byte of another is read
    assert bucket.download(raw_of(bucket), destination, staging).sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("with_least_rights", [False, True])
def test_an_object_that_is_removed(
    bucket: TrackBucket, s3_server: S3Server, staging: Staging, destination: Path, with_least_rights: bool
) -> None:
    """AWS says "denied" then, to who may list some prefixes only."""
    s3_server.put(KEY, CONTENT)
    raw = raw_of(bucket)
    s3_server.delete(KEY)
    s3_server.policy = least_policy(BUCKET, bucket.prefixes) if with_least_rights else None
    with pytest.raises(RemoteFileMissingError, match=r"s3://bucket/tracks/song\.mp3 does not exist"):
        bucket.download(raw, destination, staging)


def test_an_object_that_may_not_be_read(
    bucket: TrackBucket, s3_server: S3Server, staging: Staging, destination: Path
) -> None:
    s3_server.put(KEY, CONTENT)
    raw = raw_of(bucket)

    def deny(call: Call) -> Answer | None:
        return refusal(403, "AccessDenied") if call.key else None

    with s3_server.hooked(deny), pytest.raises(AuthenticationError, match="s3:GetObject"):
        bucket.download(raw, destination, staging)


def test_a_server_that_knows_no_ranges(
    bucket: TrackBucket, s3_server: S3Server, staging: Staging, destination: Path
) -> None:
    s3_server.put(KEY, CONTENT)
    raw = raw_of(bucket)
    whole = Answer(200, CONTENT, {"Content-Length": str(len(CONTENT)), "ETag": f'"{raw.etag}"'})
    with (
        s3_server.hooked(lambda call: whole if call.method == "GET" and call.key else None),
        pytest.raises(StorageError, match="other bytes than it was asked for"),
    ):
        bucket.download(raw, destination, staging)


def test_an_empty_object(bucket: TrackBucket, s3_server: S3Server, staging: Staging, destination: Path) -> None:
    s3_server.put(KEY, b"")
    with pytest.raises(NotAudioError, match=r"is empty \(0 bytes\)"):
        bucket.download(raw_of(bucket), destination, staging)


@pytest.mark.parametrize(
    "stop_at", [lambda call: call.method == "HEAD", lambda call: call.headers.get("range", "").startswith("bytes=2")]
)
def test_a_run_that_is_stopped(
    bucket: TrackBucket,
    s3_server: S3Server,
    staging: Staging,
    destination: Path,
    stop_at: Callable[[Call], bool],
) -> None:
    s3_server.put(KEY, CONTENT)
    cancel = threading.Event()
    raw = raw_of(bucket)

    def stop(call: Call) -> None:
        if stop_at(call):
            cancel.set()

    with s3_server.hooked(stop), pytest.raises(CancelledError):
        bucket.download(raw, destination, staging, cancel=cancel)
    assert not destination.exists()


def test_too_little_space_is_known_before_the_first_byte(
    bucket: TrackBucket, s3_server: S3Server, small_disk: Path
) -> None:
    s3_server.put(KEY, CONTENT)
    raw = raw_of(bucket)
    s3_server.calls.clear()
    with (
        open_staging(small_disk / "staging", "run-1") as staging,
        pytest.raises(OutOfSpaceError, match="Free some space or point TEMP_DIR"),
    ):
        bucket.download(raw, staging.path / "song.mp3", staging)
    assert s3_server.calls == []


def test_a_disk_that_others_fill_meanwhile(
    bucket: TrackBucket, s3_server: S3Server, staging: Staging, small_disk: Path
) -> None:
    """The space was there when it was looked for; the destination is on a disk of 1 MB here."""
    s3_server.put(KEY, CONTENT * 3)
    destination = small_disk / "song.mp3"
    with pytest.raises(OutOfSpaceError, match=str(destination)):
        bucket.download(raw_of(bucket), destination, staging)
    assert not destination.exists()


def test_no_bucket(s3_server: S3Server, staging: Staging) -> None:
    with (
        TrackBucket("no-such-bucket", endpoint_url=s3_server.url, retry=RETRY) as bucket,
        pytest.raises(AudioCompressorError, match=r"NoSuchBucket.*create the bucket"),
    ):
        bucket.list_raw()
