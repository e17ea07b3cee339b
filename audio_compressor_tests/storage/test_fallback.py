"""A destination that is away, and what happens when it comes back."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import asyncssh
import pytest

from audio_compressor.errors import CancelledError, ConnectionLostError, OutOfSpaceError, StorageError
from audio_compressor.retries import Retry
from audio_compressor.settings import load_settings
from audio_compressor.sftp.connection import SftpEndpoint
from audio_compressor.storage import build_primary, build_storage
from audio_compressor.storage.base import Storage
from audio_compressor.storage.fallback import PROBE_SECONDS, FallbackStorage
from audio_compressor.storage.local import LocalStorage
from audio_compressor.storage.s3 import S3Storage
from audio_compressor.storage.sftp import SftpStorage
from audio_compressor_tests.fixtures.directories import names_in
from audio_compressor_tests.fixtures.sftp_servers import FaultyServer, password_credentials

NAME = "10-17-25_compressed.wav"
CONTENT = b"speech" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
REFUSED = asyncssh.SFTPFailure("try later")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def local(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "fallback")


def build(endpoint: SftpEndpoint, local: LocalStorage, probe_seconds: float = PROBE_SECONDS) -> FallbackStorage:
    return FallbackStorage(SftpStorage(endpoint, "/compressed"), local, Retry(3, 0), probe_seconds=probe_seconds)


def test_refused_then_local_then_moved(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, local: LocalStorage, source: Path, tmp_path: Path
) -> None:
    faulty_server.faults.refuse_writes = REFUSED
    with build(faulty_endpoint, local) as storage:
        stored = storage.publish(source, NAME, SHA256)
        assert stored.location == "local"
        assert stored.uri == (local.directory / NAME).as_uri()
        assert stored.fallback_reason is not None
        assert "try later" in stored.fallback_reason
        assert (local.directory / NAME).read_bytes() == CONTENT
        assert storage.stranded() == [NAME]
        # It can be used meanwhile.
        found = storage.find(NAME)
        assert found is not None
        assert storage.entries() == {NAME: found}
        assert storage.uri(NAME) == stored.uri
        storage.fetch(NAME, tmp_path / "fetched")
        assert (tmp_path / "fetched").read_bytes() == CONTENT
        assert list(storage.relocate()) == []
        assert storage.stranded() == [NAME]

    faulty_server.faults.refuse_writes = None
    with build(faulty_endpoint, local) as storage:
        (relocated,) = storage.relocate()
        assert (relocated.name, relocated.local_uri) == (NAME, stored.uri)
        assert (relocated.stored.location, relocated.stored.sha256) == ("sftp", SHA256)
        assert relocated.stored.uri == storage.uri(NAME)
        assert relocated.stored.uri.startswith("sftp://")
        assert storage.stranded() == []
    assert (faulty_server.root / "compressed" / NAME).read_bytes() == CONTENT
    assert names_in(faulty_server.root / "compressed") == [NAME]
    assert names_in(local.directory) == []


def test_one_failure_is_retried_away(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, local: LocalStorage, source: Path
) -> None:
    with build(faulty_endpoint, local) as storage:
        storage.check_writable()
        faulty_server.drop_connections()
        stored = storage.publish(source, NAME, SHA256)
    assert (stored.location, stored.fallback_reason) == ("sftp", None)
    assert not local.directory.exists() or names_in(local.directory) == []


def test_the_local_copy_goes_only_after_the_move_was_noted(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, local: LocalStorage, source: Path
) -> None:
    faulty_server.faults.refuse_writes = REFUSED
    with build(faulty_endpoint, local) as storage:
        storage.publish(source, NAME, SHA256)
        faulty_server.faults.refuse_writes = None
        moving = storage.relocate()
        next(moving)
        moving.close()  # type: ignore[attr-defined]  # as a crash while the event log is written
        assert (local.directory / NAME).exists()
        (relocated,) = storage.relocate()
    assert relocated.stored.was_there
    assert names_in(local.directory) == []


def test_a_server_that_is_away_is_not_asked_for_every_file(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, local: LocalStorage, source: Path
) -> None:
    faulty_server.faults.stall_reads.set()
    endpoint = replace(faulty_endpoint, timeouts=replace(faulty_endpoint.timeouts, channel_seconds=0.3))
    with build(endpoint, local, probe_seconds=60) as storage:
        storage.publish(source, NAME, SHA256)
        assert faulty_server.connections == 3
        started = time.monotonic()
        for number in range(20):
            storage.publish(source, f"{number}.wav", SHA256)
        assert faulty_server.connections == 3
        assert time.monotonic() - started < 5
    assert len(storage.stranded()) == 21


def test_a_server_that_comes_back_is_used_again(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, local: LocalStorage, source: Path
) -> None:
    faulty_server.stop()
    with build(faulty_endpoint, local, probe_seconds=0) as storage:
        assert storage.publish(source, "1.wav", SHA256).location == "local"
        assert storage.publish(source, "2.wav", SHA256).location == "local"
        faulty_server.start()
        assert storage.publish(source, "3.wav", SHA256).location == "sftp"
        assert [relocated.name for relocated in storage.relocate()] == ["1.wav", "2.wav"]


def test_a_refused_login_is_tried_once_for_all_files(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, local: LocalStorage, source: Path
) -> None:
    endpoint = replace(faulty_endpoint, credentials=lambda: password_credentials("wrong"))
    with build(endpoint, local) as storage:
        for number in range(5):
            stored = storage.publish(source, f"{number}.wav", SHA256)
            assert "refuses the user name" in str(stored.fallback_reason)
    assert faulty_server.connections == 1


def test_other_content_of_that_name_at_the_destination(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, local: LocalStorage, source: Path
) -> None:
    with build(faulty_endpoint, local) as storage:
        faulty_server.faults.refuse_writes = REFUSED
        storage.publish(source, NAME, SHA256)
        faulty_server.faults.refuse_writes = None
        (faulty_server.root / "compressed").mkdir(exist_ok=True)
        (faulty_server.root / "compressed" / NAME).write_bytes(b"older")
        (relocated,) = storage.relocate()
    assert relocated.name == NAME
    assert relocated.stored.is_duplicate
    assert (faulty_server.root / "compressed" / NAME).read_bytes() == b"older"
    assert (faulty_server.root / "compressed" / relocated.stored.name).read_bytes() == CONTENT


def test_a_local_file_from_before_is_not_removed(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, local: LocalStorage, source: Path
) -> None:
    """The same content was published locally once, before the destination was an SFTP server."""
    local.publish(source, NAME, SHA256)
    with build(faulty_endpoint, local) as storage:
        faulty_server.faults.refuse_writes = REFUSED
        assert storage.publish(source, NAME, SHA256).was_there
        faulty_server.faults.refuse_writes = None
        assert len(list(storage.relocate())) == 1
    assert names_in(local.directory) == [NAME]


def test_a_removed_file_does_not_come_back(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, local: LocalStorage, source: Path
) -> None:
    with build(faulty_endpoint, local) as storage:
        faulty_server.faults.refuse_writes = REFUSED
        storage.publish(source, NAME, SHA256)
        faulty_server.faults.refuse_writes = None
        storage.remove(NAME)
        assert list(storage.relocate()) == []
        assert storage.find(NAME) is None


def test_a_marker_without_its_file_is_forgotten(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, local: LocalStorage, source: Path
) -> None:
    with build(faulty_endpoint, local) as storage:
        faulty_server.faults.refuse_writes = REFUSED
        storage.publish(source, NAME, SHA256)
        (local.directory / NAME).unlink()
        assert list(storage.relocate()) == []
        assert storage.stranded() == []


def test_both_fail(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, small_disk: Path, tmp_path: Path
) -> None:
    content = b"x" * 3_000_000
    (tmp_path / "large").write_bytes(content)
    faulty_server.faults.refuse_writes = asyncssh.SFTPFailure("no space left on device")
    with build(faulty_endpoint, LocalStorage(small_disk)) as storage, pytest.raises(StorageError) as caught:
        storage.publish(tmp_path / "large", NAME, hashlib.sha256(content).hexdigest())
    for part in (NAME, "sftp", "no space left", str(small_disk), "No space left for"):
        assert part in str(caught.value)
    assert isinstance(caught.value.__cause__, OutOfSpaceError)
    assert names_in(small_disk) == []


def test_a_stopped_run_does_not_fall_back(faulty_endpoint: SftpEndpoint, local: LocalStorage, source: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    storage = FallbackStorage(SftpStorage(faulty_endpoint, "/compressed"), local, Retry(3, 30), cancel)
    with pytest.raises(CancelledError):
        storage.publish(source, NAME, SHA256)
    assert not local.directory.exists()


def test_listing_a_server_that_is_away_is_an_error(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, local: LocalStorage
) -> None:
    faulty_server.stop()
    with build(faulty_endpoint, local) as storage, pytest.raises(ConnectionLostError):
        storage.entries()


@pytest.mark.parametrize(("backend", "kind"), [("local", LocalStorage), ("sftp", SftpStorage), ("s3", S3Storage)])
def test_what_the_settings_say_is_built(
    sftp_endpoint: SftpEndpoint, tmp_path: Path, backend: Literal["local", "sftp", "s3"], kind: type
) -> None:
    settings = load_settings(
        sftp_host="x", storage_backend=backend, s3_bucket="bucket", output_dir=str(tmp_path / "results")
    )
    with build_storage(settings, sftp_endpoint) as storage:
        assert storage.location == backend
        if backend == "local":
            assert isinstance(storage, LocalStorage)
            assert "can be written" in storage.check_writable()
        else:
            assert isinstance(storage, FallbackStorage)
            assert storage.uri("a").startswith(f"{backend}://")
        if backend == "sftp":
            assert "fallback: " in storage.check_writable()
    with build_primary(settings, sftp_endpoint) as primary:
        assert isinstance(primary, kind)


# -- what is newer stays


def _replacing(endpoint: SftpEndpoint, directory: Path) -> FallbackStorage:
    return FallbackStorage(
        SftpStorage(endpoint, "/compressed", "replace"), LocalStorage(directory, "replace"), Retry(1, 0)
    )


def test_what_was_stranded_does_not_replace_what_was_published_later(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, local: LocalStorage, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "second").write_bytes(b"second")
    with _replacing(faulty_endpoint, local.directory) as storage:
        faulty_server.faults.refuse_writes = REFUSED
        storage.publish(source, NAME, SHA256)
        faulty_server.faults.refuse_writes = None
        stored = storage.publish(tmp_path / "second", NAME, hashlib.sha256(b"second").hexdigest())
        assert stored.location == "sftp"
        assert storage.uri(NAME) == stored.uri
        found = storage.find(NAME)
        assert found is not None
        assert found.size_bytes == len(b"second")
        assert storage.stranded() == []
        assert list(storage.relocate()) == []
    assert (faulty_server.root / "compressed" / NAME).read_bytes() == b"second"
    assert names_in(local.directory) == []


def test_what_another_machine_published_later_is_not_replaced(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, local: LocalStorage, source: Path, tmp_path: Path
) -> None:
    with _replacing(faulty_endpoint, local.directory) as storage:
        faulty_server.faults.refuse_writes = REFUSED
        storage.publish(source, NAME, SHA256)
        faulty_server.faults.refuse_writes = None
        (faulty_server.root / "compressed").mkdir(exist_ok=True)
        (faulty_server.root / "compressed" / NAME).write_bytes(b"newer")
        (relocated,) = storage.relocate()
    assert relocated.stored.is_duplicate
    assert (faulty_server.root / "compressed" / NAME).read_bytes() == b"newer"
    assert (faulty_server.root / "compressed" / relocated.stored.name).read_bytes() == CONTENT


def test_what_is_older_is_replaced_by_what_was_stranded(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, local: LocalStorage, source: Path
) -> None:
    older = faulty_server.root / "compressed" / NAME
    older.parent.mkdir()
    older.write_bytes(b"older")
    os.utime(older, (1_700_000_000, 1_700_000_000))
    with _replacing(faulty_endpoint, local.directory) as storage:
        faulty_server.faults.refuse_writes = REFUSED
        storage.publish(source, NAME, SHA256)
        faulty_server.faults.refuse_writes = None
        (relocated,) = storage.relocate()
    assert not relocated.stored.is_duplicate
    assert older.read_bytes() == CONTENT


# -- damage and interruptions


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"name": 1}', b"\xff\xfe"])
def test_a_damaged_marker_holds_up_nobody_else(
    faulty_server: FaultyServer,
    faulty_endpoint: SftpEndpoint,
    local: LocalStorage,
    source: Path,
    caplog: pytest.LogCaptureFixture,
    damage: bytes,
) -> None:
    with build(faulty_endpoint, local) as storage:
        faulty_server.faults.refuse_writes = REFUSED
        for name in ("a.wav", "b.wav", "c.wav"):
            storage.publish(source, name, SHA256)
        (local.directory / ".a.wav.stranded").write_bytes(damage)
        assert storage.stranded() == ["b.wav", "c.wav"]
        assert storage.find("b.wav") is not None
        assert storage.uri("a.wav") == (local.directory / "a.wav").as_uri()
        faulty_server.faults.refuse_writes = None
        assert [relocated.name for relocated in storage.relocate()] == ["b.wav", "c.wav"]
        assert storage.publish(source, "d.wav", SHA256).location == "sftp"
        assert set(storage.entries()) == {"a.wav", "b.wav", "c.wav", "d.wav"}
    assert ".a.wav.stranded" in caplog.text
    assert (local.directory / "a.wav").read_bytes() == CONTENT


KILLED_BEFORE_THE_MARKER = """
import os, signal, sys
from pathlib import Path
from audio_compressor.retries import Retry
from audio_compressor.storage.fallback import FallbackStorage
from audio_compressor.storage.local import LocalStorage
from audio_compressor.storage.s3 import S3Storage

class KilledStorage(LocalStorage):
    def publish(self, *arguments, **options):
        super().publish(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

away = S3Storage("bucket", endpoint_url="http://127.0.0.1:9")
FallbackStorage(away, KilledStorage(Path(sys.argv[1])), Retry(1, 0)).publish(Path(sys.argv[2]), *sys.argv[3:])
"""


def test_a_run_killed_while_it_falls_back_leaves_nothing_behind(
    aws_credentials: None, faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, local: LocalStorage, source: Path
) -> None:
    command = [sys.executable, "-c", KILLED_BEFORE_THE_MARKER, str(local.directory), str(source), NAME, SHA256]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert (local.directory / NAME).read_bytes() == CONTENT
    with build(faulty_endpoint, local) as storage:
        assert storage.stranded() == [NAME]
        (relocated,) = storage.relocate()
        assert relocated.stored.location == "sftp"
        assert storage.stranded() == []
    assert (faulty_server.root / "compressed" / NAME).read_bytes() == CONTENT
    assert names_in(local.directory) == [NAME]


# -- stopping


def _publishing(storage: Storage, source: Path) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []

    def publish() -> None:
        try:
            results.append(storage.publish(source, NAME, SHA256))
        except BaseException as error:
            results.append(type(error))

    thread = threading.Thread(target=publish)
    thread.start()
    return thread, results


def _closed_promptly(storage: Storage, thread: threading.Thread) -> bool:
    started = time.monotonic()
    storage.close()
    thread.join(20)
    return time.monotonic() - started < 2


def test_close_ends_an_upload(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, local: LocalStorage, source: Path
) -> None:
    faulty_server.faults.stall_reads.set()  # the upload is read back
    storage = build(faulty_endpoint, local)
    thread, results = _publishing(storage, source)
    assert faulty_server.faults.reading.wait(10)
    assert _closed_promptly(storage, thread)
    assert results == [CancelledError]
    assert not local.directory.exists()
    assert not (faulty_server.root / "compressed" / NAME).exists()


def test_close_ends_a_wait_between_retries(
    faulty_server: FaultyServer,
    faulty_endpoint: SftpEndpoint,
    local: LocalStorage,
    source: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    faulty_server.faults.refuse_writes = REFUSED
    storage = FallbackStorage(SftpStorage(faulty_endpoint, "/compressed"), local, Retry(3, 10), threading.Event())
    thread, results = _publishing(storage, source)
    deadline = time.monotonic() + 10
    while "attempt 1 of 3 failed" not in caplog.text and time.monotonic() < deadline:
        thread.join(0.01)
    assert _closed_promptly(storage, thread)
    assert results == [CancelledError]
    assert not local.directory.exists()


def test_after_close_nothing_is_published(faulty_endpoint: SftpEndpoint, local: LocalStorage, source: Path) -> None:
    storage = build(faulty_endpoint, local)
    storage.close()
    for closed in (storage, local):
        with pytest.raises(CancelledError):
            closed.publish(source, NAME, SHA256)
    assert not local.directory.exists() or names_in(local.directory) == []
