"""The embedded server: as a context manager, and as the process that the demo starts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncssh
import pytest

from audio_compressor.demo.server import EmbeddedSftpServer
from audio_compressor.errors import RemoteFileMissingError
from audio_compressor.sftp.connection import SftpConnection
from audio_compressor_tests.fixtures.sftp_servers import PASSWORD, USERNAME, endpoint_for


def test_it_counts_connections_and_keeps_its_port(sftp_root: Path, tmp_path: Path) -> None:
    server = EmbeddedSftpServer(sftp_root, USERNAME, PASSWORD)
    with server:
        port = server.port
        with SftpConnection(endpoint_for(port, tmp_path / "known_hosts")) as connection:
            connection.stat("/")
            assert (server.connections, server.open_connections) == (1, 1)
    assert server.open_connections == 0
    server.stop()
    with server:
        assert server.port == port
    assert asyncssh.import_public_key(server.host_public_key).get_algorithm() == "ssh-ed25519"


def test_nothing_outside_of_its_root_can_be_seen(sftp_root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("x")
    with (
        EmbeddedSftpServer(sftp_root, USERNAME, PASSWORD) as server,
        SftpConnection(endpoint_for(server.port, tmp_path / "known_hosts")) as connection,
    ):
        for path in ("/../outside", str(tmp_path / "outside")):
            with pytest.raises(RemoteFileMissingError):
                connection.stat(path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_as_a_process(sftp_root: Path, tmp_path: Path, number: signal.Signals) -> None:
    (sftp_root / "10-17-25").mkdir()
    port_file, host_key = tmp_path / "port", tmp_path / "host_key"
    command = [sys.executable, "-m", "audio_compressor.demo.server", str(sftp_root), "--username", USERNAME]
    command += ["--password-env", "DEMO_PASSWORD", "--port-file", str(port_file), "--host-key", str(host_key)]
    with subprocess.Popen(command, env={**os.environ, "DEMO_PASSWORD": PASSWORD}) as process:
        try:
            deadline = time.monotonic() + 20
            while not port_file.exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            endpoint = endpoint_for(int(port_file.read_text()), tmp_path / "known_hosts")
            with SftpConnection(endpoint) as connection:
                assert [entry.name for entry in connection.scan("/")] == ["10-17-25"]
        finally:
            process.send_signal(number)
        assert process.wait(10) == 0
    assert host_key.exists()


def test_without_a_password_the_process_does_not_start(sftp_root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "audio_compressor.demo.server", str(sftp_root), "--username", USERNAME]
    command += ["--password-env", "NO_SUCH_VARIABLE", "--port-file", str(tmp_path / "port")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "NO_SUCH_VARIABLE is not set" in done.stderr
