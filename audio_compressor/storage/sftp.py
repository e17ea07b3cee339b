"""Results in a directory on the SFTP server."""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from posixpath import join
from tempfile import TemporaryDirectory

from audio_compressor.errors import (
    AudioCompressorError,
    CancelledError,
    ConnectionLostError,
    RemoteFileMissingError,
    StorageError,
    TimedOutError,
)
from audio_compressor.recording import part_name
from audio_compressor.sftp.connection import SftpConnection, SftpEndpoint
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


class SftpStorage(PublishingStorage):
    """One connection, opened when it is needed; a broken one is made anew by the next call."""

    location = "sftp"

    def __init__(
        self,
        endpoint: SftpEndpoint,
        directory: str,
        on_existing: OnExisting = "timestamp",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(on_existing, now)
        self._connection = SftpConnection(endpoint)
        self._directory = directory
        # Version 3 of the protocol has no locks: two runs that publish one name must not write into one part file.
        self._token = secrets.token_hex(4)
        self._prepared = False
        self._preparing = threading.Lock()

    def uri(self, name: str) -> str:
        return self._connection.uri(self._path(name))

    def fetch(self, name: str, destination: Path) -> None:
        entry = self._connection.stat(self._path(name))
        self._connection.download(self._path(name), destination, expected=entry.fingerprint)

    def find(self, name: str) -> StoredFile | None:
        try:
            entry = self._connection.stat(self._path(name))
        except RemoteFileMissingError:
            return None
        return StoredFile(entry.size_bytes, entry.modified_at_seconds) if entry.is_file else None

    def entries(self) -> Mapping[str, StoredFile]:
        try:
            found = self._connection.scan(self._directory)
        except RemoteFileMissingError:
            return {}
        return {
            entry.name: StoredFile(entry.size_bytes, entry.modified_at_seconds)
            for entry in found
            if entry.is_file and not entry.name.startswith(HIDDEN)
        }

    def remove(self, name: str) -> None:
        self._remove(self._path(name))

    def check_writable(self) -> str:
        self._connection.make_directories(self._directory)
        probe = self._path(part_name(f"probe.{self._token}"))  # which a later run removes
        with TemporaryDirectory() as directory:
            local = Path(directory, "probe")
            local.write_bytes(b"probe")
            self._connection.upload(local, probe)
        self._connection.remove(probe)
        free_bytes = self._connection.free_bytes(self._directory)
        free = "free space unknown" if free_bytes is None else f"{gigabytes(free_bytes)} free"
        return f"{self._connection.uri(self._directory)} can be written, {free}"

    def close(self) -> None:
        self._connection.close()

    def _path(self, name: str) -> str:
        return join(self._directory, name)

    def _versions(self, name: str) -> Mapping[str, StoredFile]:
        # A listing of everything for each file published would cost more than the upload: only where the name is taken.
        if self.find(name) is None:
            return {}
        return versions_among(name, self.entries())

    def _sha256(self, name: str) -> str:
        return self._connection.sha256(self._path(name))

    def _put(self, file: NewFile, target: str, *, replace: bool) -> bool:
        self._prepare()
        part, path = self._path(part_name(f"{file.name}.{self._token}")), self._path(target)
        try:
            # A part file that an earlier attempt left may be the published file under another name, where the server
            # was stopped between the two steps by which it renames. It must not be written to.
            self._remove(part)
            self._connection.upload(file.path, part)
            # Read back: the results are small, and the source may be deleted because of what is said here.
            if self._connection.sha256(part) != file.sha256:
                raise StorageError(
                    f"{self._connection.uri(part)} does not hold what was written to it; nothing was published"
                )
            if replace:
                self._connection.replace(part, path)
                return True
            if self._connection.rename(part, path):
                return True
        except (ConnectionLostError, TimedOutError, CancelledError):
            raise  # to clean up would be to connect again; the next attempt writes to the same part file
        except AudioCompressorError:
            self._try_to_remove(part)
            raise
        self._try_to_remove(part)
        return False

    def _prepare(self) -> None:
        """Once for each storage: make the directory, and remove what killed runs left in it."""
        with self._preparing:
            if self._prepared:
                return
            self._connection.make_directories(self._directory)
            for entry in self._connection.scan(self._directory):
                is_part = entry.name.startswith(HIDDEN) and entry.name.endswith(PART_SUFFIX)
                if is_part and entry.modified_at_seconds < time.time() - LEFTOVER_SECONDS:
                    log.info("Removing %s, which an interrupted run left", self.uri(entry.name))
                    self._try_to_remove(self._path(entry.name))
            self._prepared = True

    def _remove(self, path: str) -> None:
        with suppress(RemoteFileMissingError):
            self._connection.remove(path)

    def _try_to_remove(self, path: str) -> None:
        """Clean up, without hiding why that is needed; what stays is removed by a later run."""
        try:
            self._remove(path)
        except AudioCompressorError as error:
            log.debug("%s stays for now: %s", path, error)
