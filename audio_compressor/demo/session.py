"""A demo's own world below one directory: recordings, the server that offers them, results, and Dagster's history."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from audio_compressor.errors import ConnectionLostError
from audio_compressor.settings import GROUPS

BUCKET = "music"
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
    def uploads(self) -> Path:
        """The sample tracks, before they are uploaded."""
        return self.root / "uploads"

    @property
    def catalog(self) -> Path:
        return self.root / "catalog.db"

    @property
    def published(self) -> Path:
        """A copy of what lies in the bucket in the end."""
        return self.root / "published"

    @property
    def library(self) -> Path:
        return self.root / "library"

    @property
    def kept_for_processing(self) -> Path:
        """Nothing is there; but nothing of this machine's may be cleaned up."""
        return self.root / "audio_storage"

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
    with (
        _served(directory, password) as port,
        _environment(
            SFTP_HOST="127.0.0.1",
            SFTP_PORT=str(port),
            SFTP_USERNAME=_USERNAME,
            SFTP_PASSWORD=password,
            SFTP_SECRETS_NAME="none",
            SFTP_KNOWN_HOSTS=str(directory.root / "known_hosts"),
            OUTPUT_DIR=str(directory.output),
            TEMP_DIR=str(directory.root / "staging"),
            SETTLE_SECONDS="5",
            AUDIO_STORAGE_PATH=str(directory.kept_for_processing),
            DAGSTER_HOME=str(directory.dagster_home),
        ),
    ):
        yield


@contextmanager
def track_environment(directory: DemoDirectory, *, is_alone: bool) -> Iterator[None]:
    """A bucket for the sample tracks and a table of their uploads; within `demo_environment`, unless ``is_alone``.

    Raises:
        ConnectionLostError: the server did not start.
    """
    directory.catalog.unlink(missing_ok=True)  # the bucket is a new one each time
    port_file = directory.root / "s3-port"
    command = [sys.executable, "-m", "audio_compressor.demo.bucket", str(port_file)]
    with (
        _running(command, os.environ, port_file) as port,
        _environment(
            forget=is_alone,
            TRACKS_BUCKET=BUCKET,
            S3_ENDPOINT_URL=f"http://127.0.0.1:{port}",
            AWS_ACCESS_KEY_ID="demo",
            AWS_SECRET_ACCESS_KEY=secrets.token_urlsafe(16),
            AWS_DEFAULT_REGION="us-east-1",
            CATALOG_URL=f"sqlite:///{directory.catalog}",
            TEMP_DIR=str(directory.root / "staging"),
            AUDIO_STORAGE_PATH=str(directory.kept_for_processing),
            DAGSTER_HOME=str(directory.dagster_home),
        ),
    ):
        yield


@contextmanager
def library_environment(directory: DemoDirectory, *, is_alone: bool) -> Iterator[None]:
    """The library, which is looked at every few minutes; within `demo_environment`, unless ``is_alone``."""
    with _environment(
        forget=is_alone,
        LIBRARY_DIR=str(directory.library),
        ARCHIVE_SCHEDULE="*/5 * * * *",
        TEMP_DIR=str(directory.root / "staging"),
        AUDIO_STORAGE_PATH=str(directory.kept_for_processing),
        DAGSTER_HOME=str(directory.dagster_home),
    ):
        yield


@contextmanager
def _environment(*, forget: bool = True, **variables: str) -> Iterator[None]:
    """These variables, and with ``forget`` no other that is ours, until the end of the block."""
    before = dict(os.environ)
    for name in (name.upper() for group in GROUPS for name in group.model_fields) if forget else ():
        os.environ.pop(name, None)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _served(directory: DemoDirectory, password: str) -> Iterator[int]:
    """Run the server as a process of its own; gives its port."""
    port_file = directory.root / "sftp-port"
    command = [sys.executable, "-m", "audio_compressor.demo.server", str(directory.server_root)]
    command += ["--username", _USERNAME, "--password-env", "SFTP_PASSWORD", "--port-file", str(port_file)]
    command += ["--host-key", str(directory.root / "host_key")]
    with _running(command, {**os.environ, "SFTP_PASSWORD": password}, port_file) as port:
        yield port


@contextmanager
def _running(command: list[str], environment: Mapping[str, str], port_file: Path) -> Iterator[int]:
    """A server that writes its port to a file."""
    port_file.unlink(missing_ok=True)
    # In a session of its own, or Ctrl+C would end the server before those who still talk to it.
    server = subprocess.Popen(command, env=environment, start_new_session=True)
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
    raise ConnectionLostError(f"The demo's server ({port_file.stem}) did not start; its own message is above.")
