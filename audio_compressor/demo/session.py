"""A demo's own world below one directory: recordings, the server that offers them, results, and Dagster's history."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from audio_compressor.errors import ConnectionLostError
from audio_compressor.settings import GROUPS

_USERNAME = "demo"
_START_SECONDS = 20.0


@dataclass(frozen=True)
class DemoDirectory:
    """Where everything of a demo lies."""

    root: Path

    @property
    def server_root(self) -> Path:
        return self.root / "sftp-server"

    @property
    def recordings(self) -> Path:
        """What the server offers as ``/audio``."""
        return self.server_root / "audio"

    @property
    def output(self) -> Path:
        return self.root / "compressed"

    @property
    def dagster_home(self) -> Path:
        return self.root / "dagster"


@contextmanager
def demo_environment(directory: DemoDirectory) -> Iterator[None]:
    """Serve the recordings, and make this process's environment that of the demo, until the end of the block.

    Raises:
        ConnectionLostError: the server did not start.
    """
    password = secrets.token_urlsafe(16)
    with _served(directory, password) as port:
        before = dict(os.environ)
        for name in (name.upper() for group in GROUPS for name in group.model_fields):
            os.environ.pop(name, None)
        os.environ.update(
            SFTP_HOST="127.0.0.1",
            SFTP_PORT=str(port),
            SFTP_USERNAME=_USERNAME,
            SFTP_PASSWORD=password,
            SFTP_SECRETS_NAME="none",
            SFTP_KNOWN_HOSTS=str(directory.root / "known_hosts"),
            OUTPUT_DIR=str(directory.output),
            TEMP_DIR=str(directory.root / "staging"),
            SETTLE_SECONDS="5",
            DAGSTER_HOME=str(directory.dagster_home),
        )
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


@contextmanager
def _served(directory: DemoDirectory, password: str) -> Iterator[int]:
    """Run the server as a process of its own; gives its port."""
    port_file = directory.root / "sftp-port"
    port_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "audio_compressor.demo.server", str(directory.server_root)]
    command += ["--username", _USERNAME, "--password-env", "SFTP_PASSWORD", "--port-file", str(port_file)]
    command += ["--host-key", str(directory.root / "host_key")]
    # In a session of its own, or Ctrl+C would end the server before those who still talk to it.
    server = subprocess.Popen(command, env={**os.environ, "SFTP_PASSWORD": password}, start_new_session=True)
    try:
        yield _port(server, port_file)
    finally:
        server.terminate()
        server.wait()


def _port(server: "subprocess.Popen[bytes]", port_file: Path) -> int:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        if port_file.exists():
            return int(port_file.read_text())
        time.sleep(0.05)
    raise ConnectionLostError("The demo's SFTP server did not start; its own message is above.")
