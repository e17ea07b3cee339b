"""Results in a local directory, which may be a network file system that an SFTP server reads."""

import fcntl
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from audio_compressor.errors import CancelledError, RemoteFileMissingError, StorageError
from audio_compressor.local_files import READABLE_MODE, local_errors, sha256_of, sync_directory
from audio_compressor.recording import part_name
from audio_compressor.space import check_space
from audio_compressor.storage.base import (
    HIDDEN,
    LEFTOVER_SECONDS,
    PART_SUFFIX,
    NewFile,
    OnExisting,
    PublishingStorage,
    StoredFile,
    gigabytes,
    versions_among,
)

log = logging.getLogger(__name__)

_COPY_BYTES = 1_048_576
_LOOK_SECONDS = 0.1


class LocalStorage(PublishingStorage):
    """Part files are ``.{name}.part`` beside the results, locked by whoever writes them."""

    location = "local"

    def __init__(
        self,
        directory: Path,
        on_existing: OnExisting = "timestamp",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(on_existing, now)
        self.directory = directory
        self._swept = False
        self._closed = threading.Event()

    def path(self, name: str) -> Path:
        return self.directory / name

    def uri(self, name: str) -> str:
        return self.path(name).as_uri()

    def fetch(self, name: str, destination: Path) -> None:
        with local_errors(destination):
            try:
                shutil.copyfile(self.path(name), destination)
            except FileNotFoundError:
                if self.find(name) is None:
                    raise RemoteFileMissingError(f"{self.path(name)} does not exist") from None
                raise

    def find(self, name: str) -> StoredFile | None:
        return self._files([name]).get(name)

    def entries(self) -> Mapping[str, StoredFile]:
        with local_errors(self.directory):
            names = [entry.name for entry in os.scandir(self.directory)] if self.directory.exists() else []
        return self._files(names)

    def remove(self, name: str) -> None:
        with local_errors(self.path(name)):
            self.path(name).unlink(missing_ok=True)

    def check_writable(self) -> str:
        probe = self.path(part_name(f"probe-{os.getpid()}-{threading.get_ident()}"))  # which a later run removes
        with local_errors(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            try:
                probe.write_bytes(b"probe")
            finally:
                probe.unlink(missing_ok=True)
            free_bytes = shutil.disk_usage(self.directory).free
        return f"{self.directory} can be written, {gigabytes(free_bytes)} free"

    def close(self) -> None:
        """Whoever is copying gets CancelledError; may be called from any thread."""
        self._closed.set()

    def _raise_if_closed(self, name: str) -> None:
        if self._closed.is_set():
            raise CancelledError(f"{name} was not published: the run is being stopped")

    def _files(self, names: list[str]) -> dict[str, StoredFile]:
        files = {}
        for name in names:
            path = self.path(name)
            with local_errors(path):
                if not name.startswith(HIDDEN) and path.is_file():
                    found = path.stat()
                    files[name] = StoredFile(found.st_size, int(found.st_mtime))
        return files

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Make the part file and hold the lock on it; what a killed writer left under its name is removed."""
        part = self.path(part_name(name))
        with local_errors(part):
            self.directory.mkdir(parents=True, exist_ok=True)
            self._sweep()
            descriptor = self._create_locked(part)
        try:
            yield
        finally:
            with local_errors(part):
                try:
                    # Before the lock goes: a waiting writer sees that its file is gone. After a rename it is gone
                    # already, and a part file that is there now is the next writer's.
                    if _is_at(descriptor, part):
                        part.unlink()
                finally:
                    os.close(descriptor)

    def _create_locked(self, part: Path) -> int:
        """Make a new, locked part file; waits for a living writer of the same one.

        What a killed writer left is never written to: killed between ``link`` and ``unlink``, it left another name of
        the published file.
        """
        flags = os.O_RDWR | os.O_NOFOLLOW
        while True:
            try:
                descriptor, is_new = os.open(part, flags | os.O_CREAT | os.O_EXCL, 0o600), True
            except FileExistsError:
                try:
                    descriptor, is_new = os.open(part, flags), False
                except FileNotFoundError:
                    continue  # its writer has just finished
            try:
                self._wait_for_lock(descriptor, part)
                if _is_at(descriptor, part):
                    if is_new:
                        return descriptor
                    part.unlink()  # with the lock held: nobody is left who writes it
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _wait_for_lock(self, descriptor: int, part: Path) -> None:
        """In steps: whoever has it may be stopped, and this run shall end within seconds nevertheless."""
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._raise_if_closed(part.name)
                self._closed.wait(_LOOK_SECONDS)
            else:
                return

    def _sweep(self) -> None:
        """Once for each storage: remove what killed runs left of names that may never be published again."""
        if self._swept:
            return
        self._swept = True
        for part in self.directory.glob(f"{HIDDEN}*{PART_SUFFIX}"):
            with suppress(FileNotFoundError):  # another run sweeps too
                if part.stat().st_mtime < time.time() - LEFTOVER_SECONDS:
                    log.info("Removing %s, which an interrupted run left", part)
                    part.unlink()

    def _versions(self, name: str) -> Mapping[str, StoredFile]:
        if self.find(name) is None:
            return {}
        return versions_among(name, self.entries())

    def _sha256(self, name: str) -> str:
        with local_errors(self.path(name)):
            return sha256_of(self.path(name))

    def _put(self, file: NewFile, target: str, *, replace: bool) -> bool:
        part, path = self.path(part_name(file.name)), self.path(target)
        # What has been downloaded and encoded is taken as long as it fits.
        check_space(path, file.size_bytes, warning_bytes=0, least_bytes=0)
        with local_errors(path):
            with file.path.open("rb") as readable, part.open("r+b") as writable:
                writable.truncate()
                while block := readable.read(_COPY_BYTES):
                    self._raise_if_closed(file.name)
                    writable.write(block)
                self._raise_if_closed(file.name)
                writable.flush()
                os.fchmod(writable.fileno(), READABLE_MODE)
                os.fsync(writable.fileno())
            if sha256_of(part) != file.sha256:
                raise StorageError(
                    f"{part} does not hold what was written to it ({file.size_bytes:,} bytes of {file.path})"
                )
            if replace:
                part.replace(path)
            elif not _rename_without_clobbering(part, path):
                return False
            sync_directory(self.directory)
        return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one of this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _rename_without_clobbering(part: Path, path: Path) -> bool:
    try:
        os.link(part, path)
    except FileExistsError:
        return part.samefile(path)  # a network file system that repeats a request reports its own first success so
    except OSError:
        # Some network and FUSE file systems have no hard links. Every writer of ours holds the lock on the part file of
        # this name, so none can take the name between the look and the rename.
        if path.exists():
            return False
        part.rename(path)
    return True
