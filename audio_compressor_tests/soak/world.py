"""Where the nights happen: an SFTP server whose faults are ours, a destination, staging, and a Dagster instance."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from audio_compressor.demo.server import kept_host_key
from audio_compressor.settings import GROUPS
from audio_compressor_tests.fixtures.sftp_servers import PASSWORD, USERNAME, Faults, FaultyServer
from audio_compressor_tests.soak.disks import disk
from audio_compressor_tests.soak.night import Night
from audio_compressor_tests.soak.sources import SETTLE_SECONDS, Sources

CHECKOUT = Path(__file__).parents[2]
Destination = Literal["local", "sftp"]
DESTINATIONS: tuple[Destination, ...] = get_args(Destination)
# What the server shows as /compressed, below the world's directory.
ARCHIVE = "server/compressed"
FORMATS = ("wav", "opus", "mp3", "m4a", "flac")
# Of a night's reads, so that a download can be met in the middle: 32 kB each, about 8 MB/s.
READ_PAUSE_SECONDS = 0.004


@dataclass
class World:
    """``disks_can_be_filled``: the destinations and staging are file systems of their own.

    ``output`` is the local destination, and the fallback of the other one, ``archive`` on the server.
    """

    directory: Path
    server: FaultyServer
    sources: Sources
    disks_can_be_filled: bool
    audio_format: str = "wav"
    destination: Destination = "local"

    @property
    def output(self) -> Path:
        return self.directory / "output"

    @property
    def archive(self) -> Path:
        return self.directory / ARCHIVE

    @property
    def destination_path(self) -> Path:
        """Where results belong now."""
        return self.archive if self.destination == "sftp" else self.output

    @property
    def staging(self) -> Path:
        return self.directory / "staging"

    @property
    def home(self) -> Path:
        return self.directory / "dagster"

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    def start_night(self, name: str, **settings: str) -> Night:
        """``settings`` are variables of the environment."""
        return Night(f"{os.getpid()}-{name}", {**self._environment(), **settings}, self.logs)

    def keep(self, name: str) -> Path:
        """Copy what a round left, for somebody to look at; gives the copy's directory."""
        kept = self.directory / name
        for path in (self.output, self.archive, self.staging, self.home):
            if path.exists():
                shutil.copytree(path, kept / path.name, symlinks=True, ignore_dangling_symlinks=True)
        return kept

    def age_leftovers(self) -> None:
        """Let it be two days later for what killed or cut off writers left, which the product removes after one."""
        notes = (note for note in self.output.glob(".*.stranding") if not self._is_published(note))
        for path in (*self.archive.glob(".*.part"), *notes):
            then = time.time() - 2 * 86_400
            os.utime(path, (then, then))

    def _is_published(self, note: Path) -> bool:
        """Whether the note is about a file that is there, which then tells since when it is stranded."""
        stem = note.name.removeprefix(".").partition(".")[0]
        return any(self.output.glob(f"{stem}*"))

    def _environment(self) -> dict[str, str]:
        ours = {name.upper() for group in GROUPS for name in group.model_fields}
        inherited = {name: value for name, value in os.environ.items() if name.upper() not in ours}
        return {
            **inherited,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH")))),
            "PYTHONFAULTHANDLER": "1",  # where a night hangs
            "SFTP_HOST": "127.0.0.1",
            "SFTP_PORT": str(self.server.port),
            "SFTP_USERNAME": USERNAME,
            "SFTP_PASSWORD": PASSWORD,
            "SFTP_SECRETS_NAME": "none",
            "SFTP_KNOWN_HOSTS": str(self.directory / "known_hosts"),
            "OUTPUT_DIR": str(self.output),
            "TEMP_DIR": str(self.staging),
            "DAGSTER_HOME": str(self.home),
            "STORAGE_BACKEND": self.destination,
            "UPLOAD_RETRY_DELAY": "0.1",
            "AUDIO_FORMAT": self.audio_format,
            "SETTLE_SECONDS": str(SETTLE_SECONDS),
            "RETRY_DELAY": "0.1",
            "BATCH_SIZE": "3",
        }


@contextmanager
def new_world(directory: Path, seed: int) -> Iterator[World]:
    """In an empty directory. What remains of it afterwards is the caller's."""
    root = directory / "server"
    root.mkdir(parents=True)
    (directory / "logs").mkdir()
    (directory / "dagster").mkdir()
    shutil.copyfile(CHECKOUT / "dagster.yaml", directory / "dagster" / "dagster.yaml")
    sources = Sources(root / "audio", root / "scratch", seed)
    server = FaultyServer(root, USERNAME, PASSWORD, host_key=kept_host_key(directory / "host_key"))
    server.faults = Faults(read_pause_seconds=READ_PAUSE_SECONDS)
    with ExitStack() as stack:
        mounted = [stack.enter_context(disk(directory / name)) for name in ("output", "staging", ARCHIVE)]
        stack.enter_context(server)
        world = World(directory, server, sources, all(mounted))
        stack.callback(server.faults.stall_reads.clear)
        yield world
