"""What only one of the destinations has: locks and full disks, leftovers on a server, S3's own errors."""

import errno
import hashlib
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from audio_compressor.errors import (
    AccessDeniedError,
    AuthenticationError,
    CancelledError,
    ConfigurationError,
    ConnectionLostError,
    CredentialsError,
    OutOfSpaceError,
    RemoteFileMissingError,
    StorageError,
)
from audio_compressor.local_files import local_errors
from audio_compressor.retries import Retry
from audio_compressor.sftp.connection import SftpEndpoint
from audio_compressor.storage.fallback import FallbackStorage
from audio_compressor.storage.local import LocalStorage
from audio_compressor.storage.s3 import S3Storage
from audio_compressor.storage.sftp import SftpStorage
from audio_compressor_tests.fixtures.answering_server import answering_server
from audio_compressor_tests.fixtures.directories import names_in

NAME = "10-17-25_compressed.wav"
CONTENT = b"speech" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


# -- local


def test_others_may_read_a_local_result(tmp_path: Path, source: Path) -> None:
    source.chmod(0o600)
    LocalStorage(tmp_path / "a" / "b").publish(source, NAME, SHA256)
    assert stat.S_IMODE((tmp_path / "a" / "b" / NAME).stat().st_mode) == 0o644


def test_a_full_local_disk_leaves_nothing(small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 3_000_000)
    with pytest.raises(OutOfSpaceError, match=str(small_disk)):
        LocalStorage(small_disk).publish(tmp_path / "large", NAME, hashlib.sha256(b"x" * 3_000_000).hexdigest())
    assert names_in(small_disk) == []


def test_what_is_not_what_was_promised_is_not_published(tmp_path: Path, source: Path) -> None:
    storage = LocalStorage(tmp_path / "results")
    with pytest.raises(StorageError, match="does not hold"):
        storage.publish(source, NAME, hashlib.sha256(b"other").hexdigest())
    assert names_in(tmp_path / "results") == []


@contextmanager
def somebody_writing(part: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Another process that holds the lock on a part file, half written, until its input ends."""
    part.parent.mkdir()
    program = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); f.write('half'); f.flush();"
        "print('locked', flush=True); sys.stdin.read(); f.close()"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(part)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        yield holder


def test_a_writer_waits_for_another_process_with_the_same_part_file(tmp_path: Path, source: Path) -> None:
    directory = tmp_path / "results"
    part = directory / f".{NAME}.part"
    with somebody_writing(part) as holder:
        assert holder.stdin is not None
        thread = threading.Thread(target=LocalStorage(directory).publish, args=(source, NAME, SHA256))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        assert part.read_text() == "half"
        holder.stdin.close()
        thread.join(10)
    assert names_in(directory) == [NAME]
    assert (directory / NAME).read_bytes() == CONTENT


def test_a_writer_that_waits_can_be_stopped(tmp_path: Path, source: Path) -> None:
    """The other one may be stopped itself, and would be waited for until the service manager kills."""
    directory = tmp_path / "results"
    storage = LocalStorage(directory)
    with somebody_writing(directory / f".{NAME}.part"), ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(storage.publish, source, NAME, SHA256)
        assert not wait([publishing], 0.3).done
        storage.close()
        with pytest.raises(CancelledError):
            publishing.result(5)


def test_local_leftovers_of_killed_runs_are_removed(tmp_path: Path, source: Path) -> None:
    old, fresh, own = (tmp_path / f".{name}.part" for name in ("old_compressed.wav", "fresh_compressed.wav", NAME))
    for part in (old, fresh, own):
        part.write_bytes(b"half of something that was much longer than what comes now" * 1000)
    os.utime(old, (1, 1))
    LocalStorage(tmp_path).publish(source, NAME, SHA256)
    assert names_in(tmp_path) == sorted([fresh.name, NAME, source.name])
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_leftover_that_is_another_name_of_a_result_is_not_written_to(tmp_path: Path, source: Path) -> None:
    """A run was killed between `link` and `unlink`."""
    directory = tmp_path / "results"
    directory.mkdir()
    published = directory / "10-17-25_compressed_20251104_214530.wav"
    published.write_bytes(b"published long ago")
    os.link(published, directory / f".{NAME}.part")
    LocalStorage(directory).publish(source, NAME, SHA256)
    assert published.read_bytes() == b"published long ago"
    assert (directory / NAME).read_bytes() == CONTENT
    assert names_in(directory) == sorted([NAME, published.name])


def test_a_leftover_of_this_very_result(tmp_path: Path, source: Path) -> None:
    directory = tmp_path / "results"
    LocalStorage(directory).publish(source, NAME, SHA256)
    os.link(directory / NAME, directory / f".{NAME}.part")
    with (directory / NAME).open("rb") as reader:
        (tmp_path / "other").write_bytes(b"other")
        other = hashlib.sha256(b"other").hexdigest()
        stored = LocalStorage(directory, "replace").publish(tmp_path / "other", NAME, other)
        assert reader.read() == CONTENT
    assert stored.name == NAME
    assert (directory / NAME).read_bytes() == b"other"
    assert names_in(directory) == [NAME]


def test_many_processes_replace_one_file(tmp_path: Path) -> None:
    """None takes the part file of another that lives."""
    program = (
        "import hashlib, sys; from pathlib import Path; from audio_compressor.storage.local import LocalStorage\n"
        "source, directory = Path(sys.argv[1]), Path(sys.argv[2])\n"
        "sha256 = hashlib.sha256(source.read_bytes()).hexdigest()\n"
        "for _ in range(40): LocalStorage(directory, 'replace').publish(source, 'a.wav', sha256)\n"
    )
    contents = [bytes([number]) * 500_000 for number in range(3)]
    running = []
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
        command = [sys.executable, "-c", program, str(tmp_path / str(number)), str(tmp_path / "results")]
        running.append(subprocess.Popen(command))
    assert [process.wait() for process in running] == [0, 0, 0]
    assert names_in(tmp_path / "results") == ["a.wav"]
    assert (tmp_path / "results" / "a.wav").read_bytes() in contents


def test_a_directory_in_the_way(tmp_path: Path, source: Path) -> None:
    (tmp_path / "results" / NAME).mkdir(parents=True)
    stored = LocalStorage(tmp_path / "results").publish(source, NAME, SHA256)
    assert stored.is_duplicate


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, OutOfSpaceError),
        (errno.EDQUOT, OutOfSpaceError),
        (errno.EACCES, AccessDeniedError),
        (errno.EROFS, AccessDeniedError),
        (errno.EIO, StorageError),
    ],
)
def test_local_errors(number: int, expected: type[Exception]) -> None:
    with pytest.raises(expected, match=f"/x.*{os.strerror(number)}"), local_errors(Path("/x")):
        raise OSError(number, os.strerror(number))


# -- SFTP


def test_leftovers_of_killed_runs_are_removed_from_the_server(
    sftp_root: Path, sftp_endpoint: SftpEndpoint, source: Path
) -> None:
    results = sftp_root / "compressed"
    results.mkdir()
    old, fresh = results / ".old_compressed.wav.0011aabb.part", results / ".fresh_compressed.wav.0011aabb.part"
    old.touch()
    fresh.touch()
    two_days_ago = time.time() - 2 * 86_400
    os.utime(old, (two_days_ago, two_days_ago))
    (results / "unrelated.part").touch()
    os.utime(results / "unrelated.part", (two_days_ago, two_days_ago))
    with SftpStorage(sftp_endpoint, "/compressed") as storage:
        storage.publish(source, NAME, SHA256)
    assert set(names_in(results)) == {NAME, fresh.name, "unrelated.part"}


def test_an_upload_that_is_not_what_was_promised(sftp_root: Path, sftp_endpoint: SftpEndpoint, source: Path) -> None:
    with SftpStorage(sftp_endpoint, "/a/b") as storage, pytest.raises(StorageError, match="does not hold"):
        storage.publish(source, NAME, hashlib.sha256(b"other").hexdigest())
    assert names_in(sftp_root / "a" / "b") == []


# -- S3


@pytest.fixture
def s3(aws_credentials: None) -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        yield client
        client.close()


def test_the_hash_is_in_the_metadata(s3: Any, source: Path) -> None:
    with S3Storage("bucket", "p/") as storage:
        storage.publish(source, NAME, SHA256)
    assert s3.head_object(Bucket="bucket", Key=f"p/{NAME}")["Metadata"] == {"sha256": SHA256}


def test_a_file_too_large_for_one_request(s3: Any, tmp_path: Path) -> None:
    content = os.urandom(9_000_000)
    sha256 = hashlib.sha256(content).hexdigest()
    (tmp_path / "large").write_bytes(content)
    with S3Storage("bucket", "p/", single_request_bytes=8_000_000) as storage:
        assert storage.publish(tmp_path / "large", NAME, sha256).name == NAME
        assert storage.publish(tmp_path / "large", NAME, sha256).was_there
        storage.fetch(NAME, tmp_path / "fetched")
        (tmp_path / "large").write_bytes(content[::-1])
        other = storage.publish(tmp_path / "large", NAME, hashlib.sha256(content[::-1]).hexdigest())
    assert other.is_duplicate
    assert (tmp_path / "fetched").read_bytes() == content


def test_only_this_level_of_the_bucket_is_listed(s3: Any) -> None:
    for key in ("p/a.wav", "p/deeper/b.wav", "other/c.wav"):
        s3.put_object(Bucket="bucket", Key=key, Body=b"x")
    with S3Storage("bucket", "p/") as storage:
        assert list(storage.entries()) == ["a.wav"]


def test_many_objects_are_listed_to_the_end(s3: Any) -> None:
    for number in range(1005):
        s3.put_object(Bucket="bucket", Key=f"{number}.wav", Body=b"")
    with S3Storage("bucket") as storage:
        assert len(storage.entries()) == 1005


def test_no_bucket_is_not_an_empty_one(s3: Any, source: Path) -> None:
    with S3Storage("no-such-bucket") as storage:
        with pytest.raises(ConfigurationError, match="S3_BUCKET"):
            storage.entries()
        with pytest.raises(ConfigurationError, match="S3_BUCKET"):
            storage.publish(source, NAME, SHA256)


def test_s3_that_cannot_be_reached_or_has_no_credentials(
    aws_credentials: None, monkeypatch: pytest.MonkeyPatch, source: Path, tmp_path: Path
) -> None:
    with (
        S3Storage("bucket", endpoint_url="http://127.0.0.1:9") as storage,
        pytest.raises(ConnectionLostError, match=r"cannot connect to 127\.0\.0\.1:9; check S3_ENDPOINT_URL"),
    ):
        storage.publish(source, NAME, SHA256)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with S3Storage("bucket", endpoint_url="http://127.0.0.1:9") as storage, pytest.raises(CredentialsError):
        storage.fetch(NAME, tmp_path / "x")


def test_a_missing_object(s3: Any, tmp_path: Path) -> None:
    with S3Storage("bucket") as storage, pytest.raises(RemoteFileMissingError, match="s3://bucket/nothing"):
        storage.fetch("nothing", tmp_path / "x")


@pytest.mark.parametrize(
    ("status", "code", "expected", "advice"),
    [
        (403, "AccessDenied", AuthenticationError, "s3:PutObject"),
        (403, "InvalidAccessKeyId", AuthenticationError, "check the AWS credentials"),
        (404, "NoSuchBucket", ConfigurationError, "create the bucket"),
    ],
)
def test_what_s3_refuses_for_good_is_asked_once_for_all_files(
    aws_credentials: None, tmp_path: Path, source: Path, status: int, code: str, expected: type[Exception], advice: str
) -> None:
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    with answering_server(status, body) as (url, requests):
        with S3Storage("bucket", endpoint_url=url) as alone, pytest.raises(expected, match=advice):
            alone.publish(source, NAME, SHA256)
        requests.clear()
        local = LocalStorage(tmp_path / "fallback")
        with FallbackStorage(S3Storage("bucket", endpoint_url=url), local, Retry(3, 0)) as storage:
            for number in range(5):
                assert advice in str(storage.publish(source, f"{number}.wav", SHA256).fallback_reason)
            assert list(storage.relocate()) == []
        assert len(requests) == 2  # one for all, one by the relocation


def test_close_ends_an_upload_to_s3(aws_credentials: None, tmp_path: Path) -> None:
    content = b"x" * 50_000_000
    (tmp_path / "large").write_bytes(content)
    errors: list[type[BaseException]] = []

    def publish() -> None:
        try:
            storage.publish(tmp_path / "large", NAME, hashlib.sha256(content).hexdigest())
        except BaseException as error:
            errors.append(type(error))

    listing = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    with answering_server(200, listing, slowly=True) as (url, requests):
        storage = S3Storage("bucket", endpoint_url=url)
        thread = threading.Thread(target=publish)
        thread.start()
        deadline = time.monotonic() + 10
        while "PUT" not in requests and time.monotonic() < deadline:
            thread.join(0.01)
        started = time.monotonic()
        storage.close()
        thread.join(10)
        assert time.monotonic() - started < 3
    assert errors == [CancelledError]
