"""What every destination promises, against each of them: local, SFTP (both servers) and S3."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import boto3
import pytest
from moto import mock_aws

from audio_compressor.errors import RemoteFileMissingError
from audio_compressor.storage.base import OnExisting, PublishingStorage, StoredFile
from audio_compressor.storage.local import LocalStorage
from audio_compressor.storage.s3 import S3Storage
from audio_compressor.storage.sftp import SftpStorage
from audio_compressor_tests.fixtures.directories import names_in
from audio_compressor_tests.fixtures.sftp_servers import ServerUnderTest

NOW = datetime(2025, 11, 4, 21, 45, 30, tzinfo=UTC)
NAME = "10-17-25_compressed.wav"
FIRST_DUPLICATE = "10-17-25_compressed_20251104_214530.wav"
SECOND_DUPLICATE = "10-17-25_compressed_20251104_214531.wav"


@dataclass(frozen=True)
class Destination:
    """``open`` makes a storage; ``names`` is everything that is there, hidden files too."""

    open: Callable[[OnExisting], PublishingStorage]
    names: Callable[[], set[str]]
    put: Callable[[str, bytes], object]


@pytest.fixture(params=["local", "sftp-embedded", "sftp-openssh", "s3"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Destination]:
    directory = tmp_path / "results ü"
    if request.param == "local":
        directory.mkdir()
        yield Destination(
            lambda on_existing: LocalStorage(directory, on_existing, lambda: NOW),
            lambda: set(names_in(directory)),
            lambda name, content: (directory / name).write_bytes(content),
        )
    elif request.param == "s3":
        request.getfixturevalue("aws_credentials")
        with mock_aws():
            client = boto3.client("s3", region_name="us-east-1")
            client.create_bucket(Bucket="bucket")
            yield Destination(
                lambda on_existing: S3Storage("bucket", "results ü/", "", on_existing, lambda: NOW),
                lambda: {item["Key"][10:] for item in client.list_objects_v2(Bucket="bucket").get("Contents", [])},
                lambda name, content: client.put_object(Bucket="bucket", Key=f"results ü/{name}", Body=content),
            )
            client.close()
    else:
        server: ServerUnderTest = _server(request, request.param.removeprefix("sftp-"))
        there = server.root / "results ü"
        there.mkdir()
        opened: list[SftpStorage] = []

        def open_storage(on_existing: OnExisting) -> SftpStorage:
            opened.append(SftpStorage(server.endpoint, f"{server.remote_root}/results ü", on_existing, lambda: NOW))
            return opened[-1]

        yield Destination(
            open_storage, lambda: set(names_in(there)), lambda name, content: (there / name).write_bytes(content)
        )
        for storage in opened:
            storage.close()


def _server(request: pytest.FixtureRequest, kind: str) -> ServerUnderTest:
    servers: Callable[[str], ServerUnderTest] = request.getfixturevalue("server_of_kind")
    return servers(kind)


@dataclass(frozen=True)
class Sources:
    directory: Path

    def make(self, content: bytes) -> tuple[Path, str]:
        digest = hashlib.sha256(content).hexdigest()
        path = self.directory / digest
        path.write_bytes(content)
        return path, digest


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    path = tmp_path / "sources"
    path.mkdir()
    return Sources(path)


def _content(storage: PublishingStorage, name: str, directory: Path) -> bytes:
    storage.fetch(name, directory / "fetched")
    return (directory / "fetched").read_bytes()


def test_publish_find_fetch_list_remove(destination: Destination, sources: Sources, tmp_path: Path) -> None:
    content = os.urandom(300_001)
    storage = destination.open("timestamp")
    path, sha256 = sources.make(content)
    assert storage.find(NAME) is None
    assert storage.entries() == {}
    stored = storage.publish(path, NAME, sha256)
    assert (stored.name, stored.size_bytes, stored.sha256) == (NAME, 300_001, sha256)
    assert (stored.is_duplicate, stored.was_there, stored.fallback_reason) == (False, False, None)
    assert stored.location == storage.location
    assert stored.uri == storage.uri(NAME)
    assert stored.uri.startswith(
        {"local": "file:///", "sftp": "sftp://127.0.0.1:", "s3": "s3://bucket/"}[stored.location]
    )
    assert " " not in stored.uri
    assert unquote(stored.uri).endswith(f"results ü/{NAME}")
    found = storage.find(NAME)
    assert found is not None
    assert found.size_bytes == 300_001
    assert storage.entries() == {NAME: found}
    assert _content(storage, NAME, tmp_path) == content
    assert destination.names() == {NAME}
    storage.remove(NAME)
    storage.remove(NAME)
    assert destination.names() == set()
    with pytest.raises(RemoteFileMissingError):
        storage.fetch(NAME, tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_an_empty_file(destination: Destination, sources: Sources, tmp_path: Path) -> None:
    storage = destination.open("timestamp")
    storage.publish(*_reordered(sources.make(b"")))
    assert _content(storage, NAME, tmp_path) == b""


def test_equal_content_is_kept_and_other_content_gets_a_timestamp(
    destination: Destination, sources: Sources, tmp_path: Path
) -> None:
    storage = destination.open("timestamp")
    contents = [b"first", b"other", b"third"]
    published = [storage.publish(*_reordered(sources.make(content))) for content in contents]
    assert [stored.name for stored in published] == [NAME, FIRST_DUPLICATE, SECOND_DUPLICATE]
    assert [stored.is_duplicate for stored in published] == [False, True, True]
    before = dict(storage.entries())
    again = [storage.publish(*_reordered(sources.make(content))) for content in contents]
    assert [stored.name for stored in again] == [NAME, FIRST_DUPLICATE, SECOND_DUPLICATE]
    assert all(stored.was_there for stored in again)
    assert storage.entries() == before
    for name, content in zip((NAME, FIRST_DUPLICATE, SECOND_DUPLICATE), contents, strict=True):
        assert _content(storage, name, tmp_path) == content
    assert destination.names() == {NAME, FIRST_DUPLICATE, SECOND_DUPLICATE}


def test_replace(destination: Destination, sources: Sources, tmp_path: Path) -> None:
    storage = destination.open("replace")
    storage.publish(*_reordered(sources.make(b"first")))
    stored = storage.publish(*_reordered(sources.make(b"other")))
    assert (stored.name, stored.is_duplicate, stored.was_there) == (NAME, False, False)
    assert _content(storage, NAME, tmp_path) == b"other"
    assert storage.publish(*_reordered(sources.make(b"other"))).was_there
    assert destination.names() == {NAME}


def test_a_file_of_another_program_is_compared_by_content(destination: Destination, sources: Sources) -> None:
    destination.put(NAME, b"12345")
    storage = destination.open("timestamp")
    assert storage.publish(*_reordered(sources.make(b"12345"))).was_there
    assert storage.publish(*_reordered(sources.make(b"54321"))).name == FIRST_DUPLICATE


def test_names_that_only_look_alike_are_no_versions(destination: Destination, sources: Sources) -> None:
    destination.put("10-17-25_compressed.mp3", b"12345")
    destination.put("10-17-25_compressed_notes.wav", b"12345")
    destination.put("10-17-25-01_compressed.wav", b"12345")
    stored = destination.open("timestamp").publish(*_reordered(sources.make(b"12345")))
    assert (stored.name, stored.was_there) == (NAME, False)


def test_hidden_files_are_no_results(destination: Destination, sources: Sources) -> None:
    destination.put(f".{NAME}.part", b"half of a")
    storage = destination.open("timestamp")
    assert storage.entries() == {}
    assert storage.publish(*_reordered(sources.make(b"half of a whole"))).name == NAME
    assert list(storage.entries()) == [NAME]


def test_many_publish_one_name_at_once(destination: Destination, sources: Sources, tmp_path: Path) -> None:
    """Each with a storage of its own, as runs have: all are kept, none is mixed with another."""
    contents = [bytes([number]) * 200_000 for number in range(5)]
    files = [sources.make(content) for content in contents]
    storages = [destination.open("timestamp") for _ in files]
    with ThreadPoolExecutor(len(files)) as pool:
        stored = list(pool.map(lambda pair: pair[0].publish(*_reordered(pair[1])), zip(storages, files, strict=True)))
    assert len({item.name for item in stored}) == 5
    assert {item.name for item in stored} == destination.names()
    for item, content in zip(stored, contents, strict=True):
        assert _content(storages[0], item.name, tmp_path) == content


def test_check_writable_leaves_nothing(destination: Destination) -> None:
    storage = destination.open("timestamp")
    line = storage.check_writable()
    assert "can be written" in line
    assert storage.location == "s3" or "GB free" in line
    assert destination.names() == set()


def test_find_looks_at_files_only(destination: Destination) -> None:
    destination.put("x", b"abc")
    found = destination.open("timestamp").find("x")
    assert found is not None
    assert found == StoredFile(3, found.modified_at_seconds)
    assert abs(found.modified_at_seconds - datetime.now(UTC).timestamp()) < 600


def _reordered(file: tuple[Path, str]) -> tuple[Path, str, str]:
    path, sha256 = file
    return path, NAME, sha256
