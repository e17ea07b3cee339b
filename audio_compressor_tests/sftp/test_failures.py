"""What a server, a network or another person does to a transfer, and what is left afterwards: nothing, or all of it."""

import asyncio
import hashlib
import os
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from audio_compressor.errors import (
    AccessDeniedError,
    CancelledError,
    ConfigurationError,
    ConnectionLostError,
    OutOfSpaceError,
    PermanentError,
    RemoteFileMissingError,
    SourceChangedError,
    StorageError,
    TimedOutError,
)
from audio_compressor.recording import Fingerprint
from audio_compressor.retries import Retry
from audio_compressor.sftp.connection import SftpConnection, SftpEndpoint, Timeouts
from audio_compressor_tests.fixtures.sftp_servers import FaultyServer, OpenSshServer, endpoint_for

SIZE_BYTES = 4_000_000


@pytest.fixture
def content(sftp_root: Path) -> bytes:
    content = os.urandom(SIZE_BYTES)
    (sftp_root / "audio.wav").write_bytes(content)
    return content


def fingerprint(path: Path) -> Fingerprint:
    found = path.stat()
    return Fingerprint(found.st_size, int(found.st_mtime))


def download(connection: SftpConnection, root: Path, staging: Path) -> str:
    return connection.download("/audio.wav", staging / "out.wav", expected=fingerprint(root / "audio.wav"))


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    path = tmp_path / "staging"
    path.mkdir()
    return path


@pytest.mark.parametrize("drop_at", [0, 1, 32_768, 1_234_567, 2_999_999, SIZE_BYTES - 1])
def test_dropped_then_whole_by_a_retry(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, content: bytes, staging: Path, drop_at: int
) -> None:
    faulty_server.faults.drop_after_read_bytes = drop_at
    with SftpConnection(faulty_endpoint) as connection:
        with pytest.raises(ConnectionLostError):
            download(connection, faulty_server.root, staging)
        assert list(staging.iterdir()) == []
        faulty_server.faults.drop_after_read_bytes = drop_at
        sha256 = Retry(3, 0).call(lambda: download(connection, faulty_server.root, staging), what="download")
    assert sha256 == hashlib.sha256(content).hexdigest()
    assert (staging / "out.wav").read_bytes() == content
    assert faulty_server.connections == 3


def test_a_stall_ends_in_a_timeout(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, content: bytes, staging: Path
) -> None:
    faulty_server.faults.stall_reads.set()
    endpoint = replace(faulty_endpoint, timeouts=Timeouts(5, 10, 10, channel_seconds=0.5))
    with SftpConnection(endpoint) as connection:
        with pytest.raises(TimedOutError, match=r"reading /audio\.wav"):
            download(connection, faulty_server.root, staging)
        assert list(staging.iterdir()) == []
        faulty_server.faults.stall_reads.clear()
        assert download(connection, faulty_server.root, staging) == hashlib.sha256(content).hexdigest()


def test_close_wakes_up_a_blocked_download(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, content: bytes, staging: Path
) -> None:
    faulty_server.faults.stall_reads.set()
    connection = SftpConnection(faulty_endpoint)
    errors: list[BaseException] = []

    def blocked() -> None:
        try:
            download(connection, faulty_server.root, staging)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=blocked)
    thread.start()
    assert faulty_server.faults.reading.wait(10)
    started = time.monotonic()
    connection.close()
    thread.join(5)
    assert not thread.is_alive()
    assert time.monotonic() - started < 2
    assert [type(error) for error in errors] == [CancelledError]
    assert list(staging.iterdir()) == []


def test_a_file_that_grows_meanwhile(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, content: bytes, staging: Path
) -> None:
    path = faulty_server.root / "audio.wav"

    def grow(offset: int) -> None:
        if offset > SIZE_BYTES // 2:
            faulty_server.faults.on_read = None
            with path.open("ab") as file:
                file.write(b"more")

    faulty_server.faults.on_read = grow
    with SftpConnection(faulty_endpoint) as connection, pytest.raises(SourceChangedError) as caught:
        download(connection, faulty_server.root, staging)
    assert "4,000,000 bytes" in str(caught.value)
    assert "4,000,004 bytes" in str(caught.value)
    assert list(staging.iterdir()) == []


def test_a_file_that_shrinks_meanwhile(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, content: bytes, staging: Path
) -> None:
    def shrink(offset: int) -> None:
        faulty_server.faults.on_read = None
        os.truncate(faulty_server.root / "audio.wav", 1_000_000)

    faulty_server.faults.on_read = shrink
    with SftpConnection(faulty_endpoint) as connection:
        with pytest.raises(SourceChangedError, match=r"1,000,000 of 4,000,000 bytes"):
            download(connection, faulty_server.root, staging)
        # The answers that were still on their way do not confuse what follows.
        assert connection.stat("/audio.wav").size_bytes == 1_000_000
    assert list(staging.iterdir()) == []


def test_a_file_that_was_replaced_before(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, content: bytes, staging: Path
) -> None:
    expected = fingerprint(faulty_server.root / "audio.wav")
    os.utime(faulty_server.root / "audio.wav", (1, 1))
    with SftpConnection(faulty_endpoint) as connection, pytest.raises(SourceChangedError, match="1970-01-01"):
        connection.download("/audio.wav", staging / "out.wav", expected=expected)
    assert list(staging.iterdir()) == []


def test_a_file_that_is_deleted_before_or_meanwhile(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, content: bytes, staging: Path
) -> None:
    path = faulty_server.root / "audio.wav"
    expected = fingerprint(path)
    faulty_server.faults.on_read = lambda _: path.unlink(missing_ok=True)
    with SftpConnection(faulty_endpoint) as connection:
        for _ in range(2):
            with pytest.raises(RemoteFileMissingError, match=r"/audio\.wav"):
                connection.download("/audio.wav", staging / "out.wav", expected=expected)
    assert list(staging.iterdir()) == []
    assert faulty_server.connections == 1


def test_a_refused_read(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, content: bytes, staging: Path
) -> None:
    faulty_server.faults.refuse_reads = asyncssh.SFTPPermissionDenied("not for you")
    with SftpConnection(faulty_endpoint) as connection:
        with pytest.raises(AccessDeniedError, match=r"/audio\.wav"):
            download(connection, faulty_server.root, staging)
        faulty_server.faults.refuse_reads = asyncssh.SFTPFailure("disk error 17")
        with pytest.raises(StorageError, match="disk error 17"):
            download(connection, faulty_server.root, staging)
    assert list(staging.iterdir()) == []
    assert faulty_server.connections == 1


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (asyncssh.SFTPPermissionDenied("read-only account"), AccessDeniedError),
        (asyncssh.SFTPFailure("No space left on device"), OutOfSpaceError),
        (asyncssh.SFTPFailure("Disk quota exceeded"), OutOfSpaceError),
        (asyncssh.SFTPFailure("something else"), StorageError),
    ],
)
def test_a_refused_write(
    faulty_server: FaultyServer,
    faulty_endpoint: SftpEndpoint,
    tmp_path: Path,
    refusal: asyncssh.SFTPError,
    expected: type[Exception],
) -> None:
    (tmp_path / "up").write_bytes(b"x" * 10)  # one request: paramiko's own upload would lose the answer to it
    faulty_server.faults.refuse_writes = refusal
    with SftpConnection(faulty_endpoint) as connection, pytest.raises(expected, match="/there"):
        connection.upload(tmp_path / "up", "/there")


def test_the_local_disk_is_full(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, content: bytes, small_disk: Path
) -> None:
    with SftpConnection(faulty_endpoint) as connection:
        with pytest.raises(OutOfSpaceError, match=str(small_disk)):
            download(connection, faulty_server.root, small_disk)
        assert connection.stat("/audio.wav").size_bytes == SIZE_BYTES
    assert list(small_disk.iterdir()) == []
    assert faulty_server.connections == 1


def test_the_disk_of_openssh_is_full(openssh_server: OpenSshServer, tmp_path: Path, small_disk: Path) -> None:
    """OpenSSH says no more than "Failure"."""
    (tmp_path / "up").write_bytes(b"x" * 2_000_000)
    endpoint = endpoint_for(openssh_server.port, tmp_path / "known_hosts", openssh_server.credentials)
    with SftpConnection(endpoint) as connection, pytest.raises(OutOfSpaceError, match="MB left"):
        connection.upload(tmp_path / "up", f"{small_disk}/up")


def test_nobody_listens_and_no_such_name(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = endpoint_for(unused.getsockname()[1], tmp_path / "known_hosts")
        with pytest.raises(ConnectionLostError, match="refuses connections"):
            SftpConnection(endpoint).stat("/")
    with pytest.raises(ConnectionLostError, match="does not resolve"):
        SftpConnection(replace(endpoint, host="no-such-host.invalid")).stat("/")


def test_a_server_that_says_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = endpoint_for(silent.getsockname()[1], tmp_path / "known_hosts", timeouts=Timeouts(5, 0.5, 1, 1))
        with pytest.raises(TimedOutError):
            SftpConnection(endpoint).stat("/")


def test_close_wakes_up_one_that_is_connecting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = SftpConnection(endpoint_for(silent.getsockname()[1], tmp_path / "known_hosts"))
        errors: list[BaseException] = []

        def connect() -> None:
            try:
                connection.reconnect()
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=connect)
        thread.start()
        accepted, _ = silent.accept()
        with accepted:
            assert accepted.recv(4) == b"SSH-"
            connection.close()
            thread.join(5)
    assert [type(error) for error in errors] == [CancelledError]


def test_what_is_no_file_is_not_opened(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, tmp_path: Path
) -> None:
    """To open a pipe would block the server until somebody writes into it."""
    os.mkfifo(faulty_server.root / "pipe")
    (faulty_server.root / "link").symlink_to("pipe")
    (faulty_server.root / "directory").mkdir()
    with SftpConnection(faulty_endpoint) as connection:
        entries = {entry.name: entry for entry in connection.scan("/")}
        assert not any(entry.is_file for entry in entries.values())
        for name, complaint in (("pipe", "a pipe"), ("link", "a pipe"), ("directory", "a directory")):
            with pytest.raises(PermanentError, match=complaint):
                connection.download(f"/{name}", tmp_path / "out", expected=entries[name].fingerprint)
            with pytest.raises(PermanentError, match=complaint):
                connection.sha256(f"/{name}")
        assert not (tmp_path / "out").exists()
        assert connection.stat("/").is_directory  # the connection still answers


def test_no_common_algorithm_is_not_tried_again(tmp_path: Path) -> None:
    ready, ports = threading.Event(), []

    async def serve() -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        server = await asyncssh.listen("127.0.0.1", 0, server_host_keys=[key], encryption_algs=["blowfish-cbc"])
        ports.append(server.get_port())
        ready.set()
        await stop.wait()
        server.close()
        await server.wait_closed()

    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        endpoint = endpoint_for(ports[0], tmp_path / "known_hosts")
        with SftpConnection(endpoint) as connection, pytest.raises(ConfigurationError, match="Ciphers"):
            connection.stat("/")
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def test_a_server_that_speaks_something_else(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as web:

        def answer() -> None:
            client, _ = web.accept()
            with client:
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ConnectionLostError, match="check host and port"):
            SftpConnection(endpoint_for(web.getsockname()[1], tmp_path / "known_hosts")).stat("/")
        thread.join()


def test_after_a_restart_the_next_call_connects(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, content: bytes
) -> None:
    port = faulty_server.port
    with SftpConnection(faulty_endpoint) as connection:
        connection.stat("/audio.wav")
        faulty_server.stop()
        with pytest.raises(ConnectionLostError):
            connection.stat("/audio.wav")
        faulty_server.start()
        assert faulty_server.port == port
        assert connection.stat("/audio.wav").size_bytes == SIZE_BYTES
        connection.reconnect()
        assert faulty_server.connections == 3
