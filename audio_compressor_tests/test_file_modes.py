"""Who may read and write what we make, and what others may not have been able to touch before we trust it."""

import logging
import os
import stat
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from audio_compressor.demo.server import EmbeddedSftpServer
from audio_compressor.errors import CredentialsError, HostKeyError
from audio_compressor.local_files import sha256_of, why_others_may_write, write_atomically
from audio_compressor.recording import part_name
from audio_compressor.reporting.files import write_report
from audio_compressor.reporting.table import update
from audio_compressor.retries import Retry
from audio_compressor.sftp.connection import SftpConnection, SftpEndpoint
from audio_compressor.sftp.credentials import Credentials
from audio_compressor.staging import open_staging
from audio_compressor.storage.fallback import FallbackStorage
from audio_compressor.storage.local import LocalStorage
from audio_compressor.storage.sftp import SftpStorage


@pytest.fixture(params=[0o000, 0o022, 0o077], autouse=True)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    try:
        yield
    finally:
        os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_staging_is_for_us_alone(tmp_path: Path) -> None:
    with open_staging(tmp_path / "staging", "run-1") as staging, staging.recording("10-17-25") as path:
        assert {mode_of(place) for place in (tmp_path / "staging", staging.path, path)} == {0o700}


def test_results_are_for_others_to_read_and_parts_are_not(tmp_path: Path) -> None:
    """The SFTP server that serves them runs as another user."""
    source = tmp_path / "source"
    source.write_bytes(b"sound" * 1_000_000)
    modes: set[int] = set()
    part = tmp_path / "out" / part_name("a_compressed.wav")
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            try:
                # Once it is whole it is made readable, just before it is renamed.
                if (found := part.stat()).st_size < source.stat().st_size:
                    modes.add(stat.S_IMODE(found.st_mode))
            except FileNotFoundError:
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        storage = LocalStorage(tmp_path / "out", "replace")
        for number in range(20):
            source.write_bytes(bytes([number]) * 5_000_000)
            storage.publish(source, "a_compressed.wav", sha256_of(source))
    finally:
        done.set()
        watcher.join()
    assert mode_of(tmp_path / "out" / "a_compressed.wav") == 0o644
    assert modes == {0o600}


def test_report_and_manifest_are_for_others_to_read(tmp_path: Path) -> None:
    files = write_report(update(None, []), tmp_path / "out")
    assert {mode_of(files.table), mode_of(files.manifest)} == {0o644}


def test_markers_of_stranded_files_are_for_us_alone(
    tmp_path: Path, sftp_server: EmbeddedSftpServer, sftp_endpoint: SftpEndpoint
) -> None:
    sftp_server.stop()
    source = tmp_path / "source"
    source.write_bytes(b"sound")
    local = LocalStorage(tmp_path / "out")
    with FallbackStorage(SftpStorage(sftp_endpoint, "/compressed"), local, Retry(1, 0)) as storage:
        storage.publish(source, "a_compressed.wav", sha256_of(source))
    modes = {path.name: mode_of(path) for path in (tmp_path / "out").iterdir()}
    assert modes == {"a_compressed.wav": 0o644, ".a_compressed.wav.stranded": 0o600}


def test_a_link_where_the_part_file_belongs_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / part_name("text")).symlink_to(victim)
    with pytest.raises(Exception, match="text"):
        write_atomically(tmp_path / "text", "new")
    write_atomically(tmp_path / "text", "new")  # the link is gone
    assert (victim.read_text(), (tmp_path / "text").read_text()) == ("kept", "new")


# -- known hosts


def connect(endpoint: SftpEndpoint) -> None:
    with SftpConnection(endpoint) as connection:
        connection.stat("/")


def test_known_hosts_are_for_us_alone(sftp_endpoint: SftpEndpoint) -> None:
    connect(sftp_endpoint)
    assert mode_of(sftp_endpoint.known_hosts) == 0o600


@pytest.mark.parametrize("mode", [0o602, 0o622, 0o666, 0o777])
def test_known_hosts_that_others_may_write_are_refused(sftp_endpoint: SftpEndpoint, mode: int) -> None:
    connect(sftp_endpoint)
    sftp_endpoint.known_hosts.chmod(mode)
    with pytest.raises(
        HostKeyError, match=rf"everybody may write to it \(mode {mode:o}\).*chmod 600 {sftp_endpoint.known_hosts}"
    ):
        connect(sftp_endpoint)
    sftp_endpoint.known_hosts.chmod(0o644)
    connect(sftp_endpoint)


def test_the_directory_of_known_hosts_may_be_as_volumes_are(sftp_endpoint: SftpEndpoint) -> None:
    """Those of a ConfigMap and of an emptyDir have mode 777."""
    sftp_endpoint.known_hosts.parent.chmod(0o777)
    for _ in range(2):
        connect(sftp_endpoint)


def test_known_hosts_on_a_mount_that_is_read_only(sftp_endpoint: SftpEndpoint, small_disk: Path) -> None:
    connect(sftp_endpoint)
    mounted = small_disk / "known_hosts"
    mounted.write_bytes(sftp_endpoint.known_hosts.read_bytes())
    mounted.chmod(0o666)
    endpoint = replace(sftp_endpoint, known_hosts=mounted, host_key_policy="strict")
    with pytest.raises(HostKeyError, match="everybody may write"):
        connect(endpoint)
    subprocess.run(["/bin/mount", "-o", "remount,ro", str(small_disk)], check=True)
    connect(endpoint)


@pytest.mark.parametrize(
    ("mode", "owner", "group", "reason"),
    [
        (0o100600, 1000, 1000, None),
        (0o100644, 0, 0, None),  # a mounted ConfigMap
        (0o100660, 1000, 2000, None),  # a volume with the fsGroup 2000, which is one of ours
        (0o100660, 1000, 3000, "the group 3000"),
        (0o100600, 1001, 1000, "another user (1001)"),
        (0o100646, 1000, 1000, "everybody"),
        (0o020666, 0, 0, "everybody"),  # /dev/null, which would trust anybody for ever
        (0o040777, 0, 0, "everybody"),
        (0o041777, 0, 0, None),
    ],
)
def test_who_else_may_write(mode: int, owner: int, group: int, reason: str | None) -> None:
    found = os.stat_result((mode, 0, 0, 1, owner, group, 0, 0, 0, 0))
    said = why_others_may_write(found, 1000, {1000, 2000})
    assert said is None if reason is None else reason in (said or "")


# -- private keys


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o644, 0o602, 0o777])
def test_a_private_key_that_others_may_use_is_refused_as_by_openssh(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "id_ed25519"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(path)
    path.chmod(mode)
    with pytest.raises(CredentialsError, match=rf"used by others \(mode {mode:o}\).*chmod 600 {path}"):
        Credentials("u", "test", private_key_path=path).load_private_key()
    for private in (0o600, 0o400, 0o700):
        path.chmod(private)
        assert Credentials("u", "test", private_key_path=path).load_private_key() is not None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_private_key_that_belongs_to_somebody_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As a Kubernetes secret, which is root's while we are not: OpenSSH uses it."""
    path = tmp_path / "id_ed25519"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(path)
    os.chown(path, 4321, 4321)
    path.chmod(0o440)
    assert Credentials("u", "test", private_key_path=path).load_private_key() is not None
    assert not caplog.records
    path.chmod(0o444)
    with caplog.at_level(logging.WARNING, "audio_compressor"):
        assert Credentials("u", "test", private_key_path=path).load_private_key() is not None
    assert "can be read by everybody" in caplog.text
