"""The client is one for all threads, and what its answers mean."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from audio_compressor.errors import CancelledError, StorageError, TransientError
from audio_compressor.retries import Retry
from audio_compressor.storage.s3 import S3Storage
from audio_compressor.storage.s3_client import S3Client
from audio_compressor.storage.s3_objects import S3Objects
from audio_compressor_tests.fixtures.s3_server import BUCKET, S3Server


@contextmanager
def server_that_says(answer: bytes) -> Iterator[str]:
    """Whatever it is asked, and then hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:  # of the shutdown
                    return
                with connection:
                    connection.recv(65_536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_threads_that_begin_together_have_one_client(aws_credentials: None) -> None:
    """Of two, one would never be closed."""
    client = S3Client("http://127.0.0.1:9")
    together = threading.Barrier(8)

    def use() -> int:
        together.wait()
        with client.calls("s3://bucket/a") as calls:
            return id(calls)

    with ThreadPoolExecutor(8) as pool:
        found = {future.result() for future in [pool.submit(use) for _ in range(8)]}
    client.close()
    assert len(found) == 1


def test_a_closed_client_is_not_used_again(aws_credentials: None) -> None:
    client = S3Client("http://127.0.0.1:9")
    client.close()
    with pytest.raises(CancelledError, match="s3://bucket/a"), client.calls("s3://bucket/a"):
        pass


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 19:05:10 GMT\r\nContent-Ty",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<ListBucketResult>",
        b"HTTP/1.1 20",
        b"",
    ],
)
def test_a_listing_that_was_cut_off_is_not_an_empty_one(aws_credentials: None, answer: bytes) -> None:
    with server_that_says(answer) as url:
        client = S3Client(url)
        objects = S3Objects(client, BUCKET, Retry(1, 0), 1)
        with pytest.raises(TransientError):
            objects.listing("tracks/")
        with pytest.raises(TransientError):
            objects.find("tracks/a")
        with pytest.raises(TransientError):
            objects.unfinished("tracks/")
        client.close()
        with S3Storage(BUCKET, endpoint_url=url) as storage, pytest.raises(TransientError):
            storage.entries()


def test_a_connection_that_breaks_inside_a_100_continue(aws_credentials: None, tmp_path: Path) -> None:
    """botocore 1.44.5 reads the rest of such an answer for ever, so it must not be asked for."""
    path = tmp_path / "a"
    path.write_bytes(b"speech")
    with (
        server_that_says(b"HTTP/1.1 100 Continue\r\nConn") as url,
        S3Storage(BUCKET, endpoint_url=url, on_existing="replace") as storage,
        pytest.raises(TransientError),
    ):
        storage.publish(path, "a", hashlib.sha256(b"speech").hexdigest())


def test_a_server_that_knows_no_checksums_is_not_asked_for_ever(s3_server: S3Server, tmp_path: Path) -> None:
    """Recordings are stored with a SHA-256 only; a refusal was taken for a name that is taken, again and again."""
    (tmp_path / "a").write_bytes(b"speech")
    s3_server.refused = frozenset({"x-amz-checksum-sha256"})
    for on_existing in ("replace", "timestamp"):
        with (
            S3Storage(BUCKET, "", s3_server.url, on_existing) as storage,
            pytest.raises(StorageError, match="NotImplemented"),
        ):
            storage.publish(tmp_path / "a", "a.wav", hashlib.sha256(b"speech").hexdigest())
    assert len([call for call in s3_server.calls if call.is_write]) == 3
