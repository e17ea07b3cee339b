"""Transfer and listing, against the embedded server and OpenSSH."""

import hashlib
import os
import threading
from pathlib import Path

import pytest

from audio_compressor.errors import AccessDeniedError, CancelledError, RemoteFileMissingError
from audio_compressor.recording import Fingerprint
from audio_compressor.sftp.connection import RemoteEntry, SftpConnection
from audio_compressor_tests.fixtures.sftp_servers import ServerUnderTest

# Odd, more than what is in flight at a time, and not a multiple of any block.
SIZE_BYTES = 5_000_003


def test_download_is_byte_for_byte(any_server: ServerUnderTest, tmp_path: Path) -> None:
    content = os.urandom(SIZE_BYTES)
    (any_server.root / "Stereo Mix ü.wav").write_bytes(content)
    remote = f"{any_server.remote_root}/Stereo Mix ü.wav"
    told: list[int] = []
    with SftpConnection(any_server.endpoint) as connection:
        expected = connection.stat(remote).fingerprint
        sha256 = connection.download(remote, tmp_path / "local.wav", expected=expected, on_bytes=told.append)
    assert expected.size_bytes == SIZE_BYTES
    assert (tmp_path / "local.wav").read_bytes() == content
    assert sha256 == hashlib.sha256(content).hexdigest()
    assert sum(told) == SIZE_BYTES
    assert len(told) > 1


@pytest.mark.parametrize("size_bytes", [0, 1, 32_768, 131_072, 131_073])
def test_sizes_at_the_edges_of_a_request(any_server: ServerUnderTest, tmp_path: Path, size_bytes: int) -> None:
    content = os.urandom(size_bytes)
    (tmp_path / "up").write_bytes(content)
    remote = f"{any_server.remote_root}/there"
    with SftpConnection(any_server.endpoint) as connection:
        assert connection.upload(tmp_path / "up", remote) == size_bytes
        connection.download(remote, tmp_path / "down", expected=connection.stat(remote).fingerprint)
        assert connection.sha256(remote) == hashlib.sha256(content).hexdigest()
    assert (any_server.root / "there").read_bytes() == content
    assert (tmp_path / "down").read_bytes() == content


def test_upload_is_byte_for_byte_and_replaces(any_server: ServerUnderTest, tmp_path: Path) -> None:
    content = os.urandom(SIZE_BYTES)
    (tmp_path / "up").write_bytes(content)
    (any_server.root / "there").write_bytes(b"x" * (SIZE_BYTES + 1000))
    with SftpConnection(any_server.endpoint) as connection:
        connection.upload(tmp_path / "up", f"{any_server.remote_root}/there")
    assert (any_server.root / "there").read_bytes() == content


def test_scan_shows_every_kind_of_name(any_server: ServerUnderTest) -> None:
    (any_server.root / "10-17-25").mkdir()
    (any_server.root / "with space").mkdir()
    (any_server.root / "Größe").write_bytes(b"12345")
    Path(os.fsdecode(os.fsencode(any_server.root) + b"/\xff\xfe-10-17-25")).mkdir()
    (any_server.root / "link").symlink_to("10-17-25")
    (any_server.root / "dangling").symlink_to("nowhere")
    os.utime(any_server.root / "Größe", (1_700_000_000, 1_700_000_000))
    with SftpConnection(any_server.endpoint) as connection:
        entries = {entry.name: entry for entry in connection.scan(any_server.remote_root or "/")}
    assert entries.keys() == {"10-17-25", "with space", "Größe", "��-10-17-25", "link", "dangling"}
    assert {name for name, entry in entries.items() if entry.is_directory} == {
        "10-17-25",
        "with space",
        "��-10-17-25",
        "link",
    }
    assert entries["Größe"] == RemoteEntry("Größe", False, True, 5, 1_700_000_000)
    assert entries["Größe"].fingerprint == Fingerprint(5, 1_700_000_000)


def test_scan_of_many(any_server: ServerUnderTest) -> None:
    for number in range(500):
        (any_server.root / f"entry {number}").touch()
    with SftpConnection(any_server.endpoint) as connection:
        assert len(connection.scan(any_server.remote_root or "/")) == 500


def test_a_missing_directory_is_not_an_empty_one(any_server: ServerUnderTest) -> None:
    with SftpConnection(any_server.endpoint) as connection, pytest.raises(RemoteFileMissingError, match="/nowhere"):
        connection.scan(f"{any_server.remote_root}/nowhere")


def test_stat_many_keeps_order_and_reports_each_error(any_server: ServerUnderTest) -> None:
    for number in range(0, 1000, 2):
        (any_server.root / f"{number}").write_bytes(b"x" * number)
    paths = [f"{any_server.remote_root}/{number}" for number in range(1000)]
    with SftpConnection(any_server.endpoint) as connection:
        found = connection.stat_many(paths)
        assert connection.stat_many([]) == []
    for number, entry in enumerate(found):
        if number % 2:
            assert isinstance(entry, RemoteFileMissingError)
            assert paths[number] in str(entry)
        else:
            assert isinstance(entry, RemoteEntry)
            assert (entry.name, entry.size_bytes) == (str(number), number)


def test_rename_never_replaces_but_replace_does(any_server: ServerUnderTest) -> None:
    root = any_server.remote_root
    (any_server.root / "new").write_bytes(b"new")
    (any_server.root / "old").write_bytes(b"old")
    with SftpConnection(any_server.endpoint) as connection:
        assert not connection.rename(f"{root}/new", f"{root}/old")
        assert (any_server.root / "old").read_bytes() == b"old"
        assert connection.rename(f"{root}/new", f"{root}/free")
        connection.replace(f"{root}/free", f"{root}/old")
    assert [(path.name, path.read_bytes()) for path in any_server.root.iterdir()] == [("old", b"new")]


def test_directories_files_and_free_space(any_server: ServerUnderTest) -> None:
    root = any_server.remote_root
    with SftpConnection(any_server.endpoint) as connection:
        connection.make_directories(f"{root}/a/b c/d")
        connection.make_directories(f"{root}/a/b c/d")
        assert (any_server.root / "a/b c/d").is_dir()
        assert connection.exists(f"{root}/a/b c")
        (any_server.root / "a/text").write_bytes(b"0123456789")
        assert connection.sha256(f"{root}/a/text") == hashlib.sha256(b"0123456789").hexdigest()
        connection.remove(f"{root}/a/text")
        assert not connection.exists(f"{root}/a/text")
        free_bytes = connection.free_bytes(root or "/")
    assert free_bytes is not None
    found = os.statvfs(any_server.root)
    assert free_bytes == pytest.approx(found.f_bavail * found.f_frsize, rel=0.05)


def test_uri_is_percent_encoded(any_server: ServerUnderTest) -> None:
    port = any_server.endpoint.port
    with SftpConnection(any_server.endpoint) as connection:
        assert connection.uri("/a b/ü#?") == f"sftp://127.0.0.1:{port}/a%20b/%C3%BC%23%3F"


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_without_permission(any_server: ServerUnderTest, tmp_path: Path) -> None:
    (any_server.root / "secret").write_bytes(b"x")
    (any_server.root / "secret").chmod(0)
    with SftpConnection(any_server.endpoint) as connection, pytest.raises(AccessDeniedError, match="secret"):
        connection.sha256(f"{any_server.remote_root}/secret")


def test_close_is_final(any_server: ServerUnderTest) -> None:
    connection = SftpConnection(any_server.endpoint)
    connection.stat(any_server.remote_root or "/")
    connection.close()
    with pytest.raises(CancelledError):
        connection.stat(any_server.remote_root or "/")
    with pytest.raises(CancelledError):
        connection.reconnect()


def test_threads_may_share_a_connection(any_server: ServerUnderTest, tmp_path: Path) -> None:
    contents = [os.urandom(700_000 + number) for number in range(4)]
    for number, content in enumerate(contents):
        (any_server.root / str(number)).write_bytes(content)
    digests: dict[int, str] = {}
    with SftpConnection(any_server.endpoint) as connection:

        def read(number: int) -> None:
            digests[number] = connection.sha256(f"{any_server.remote_root}/{number}")

        threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert digests == {number: hashlib.sha256(content).hexdigest() for number, content in enumerate(contents)}
