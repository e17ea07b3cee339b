"""A destination that may be away: results then go to the local directory, and to where they belong later.

A file that was left behind has a marker beside it, ``.{name}.stranded``, which says what it is to be called there.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from audio_compressor.errors import (
    AudioCompressorError,
    AuthenticationError,
    CancelledError,
    ConnectionLostError,
    CredentialsError,
    HostKeyError,
    StorageError,
    TimedOutError,
    TransientError,
)
from audio_compressor.local_files import local_errors, write_atomically
from audio_compressor.retries import Retry
from audio_compressor.storage.base import HIDDEN, Location, Storage, Stored, StoredFile
from audio_compressor.storage.local import LocalStorage

log = logging.getLogger(__name__)

_MARKER = ".stranded"
# A destination that was away is asked again at most this often, with one attempt. Each of 25 recordings waiting out its
# own retries would hold up a night; and a server that refuses a login may lock the account when it is asked too often.
PROBE_SECONDS = 60.0

# These are about the connection and not about one file: the next file would meet the same.
_UNREACHABLE = (ConnectionLostError, TimedOutError, AuthenticationError, CredentialsError, HostKeyError)


@dataclass(frozen=True)
class Relocated:
    """A file that has reached its destination. ``local_uri`` is what ``Stored.uri`` was when it was left behind."""

    name: str
    local_uri: str
    stored: Stored


@dataclass(frozen=True)
class _Marker:
    name: str
    sha256: str
    reason: str
    keep_local: bool  # the local file was there before, so it is not ours to remove


class FallbackStorage(Storage):
    """``primary``, with retries, or else ``local``. A stranded file can be found, fetched and removed here too."""

    def __init__(
        self,
        primary: Storage,
        local: LocalStorage,
        retry: Retry,
        cancel: threading.Event | None = None,
        probe_seconds: float = PROBE_SECONDS,
    ) -> None:
        self._primary = primary
        self._local = local
        self._retry = retry
        self._cancel = cancel
        self._probe_seconds = probe_seconds
        self._state = threading.Lock()
        self._away: AudioCompressorError | None = None
        self._ask_again_at = 0.0

    @property
    def location(self) -> Location:  # type: ignore[override]
        """Where results belong; ``Stored.location`` tells where each one is."""
        return self._primary.location

    def publish(self, source: Path, name: str, sha256: str) -> Stored:
        try:
            return self._publish_to_primary(source, name, sha256)
        except CancelledError:
            raise
        except AudioCompressorError as error:
            log.warning("%s goes to the local directory %s: %s", name, self._local.directory, error)
            return self._strand(source, name, sha256, error)

    def _publish_to_primary(self, source: Path, name: str, sha256: str) -> Stored:
        with self._state:
            away = self._away
            if away is not None:
                if time.monotonic() < self._ask_again_at:
                    raise away
                self._ask_again_at = time.monotonic() + self._probe_seconds
        retry = self._retry if away is None else replace(self._retry, attempts=1)
        try:
            stored = retry.call(
                lambda: self._primary.publish(source, name, sha256), what=f"upload of {name}", cancel=self._cancel
            )
        except _UNREACHABLE as error:
            with self._state:
                self._away, self._ask_again_at = error, time.monotonic() + self._probe_seconds
            raise
        with self._state:
            self._away = None
        return stored

    def _strand(self, source: Path, name: str, sha256: str, error: AudioCompressorError) -> Stored:
        reason = str(error)
        try:
            stored = self._local.publish(source, name, sha256)
            known = self._marker(stored.name)
            keep_local = stored.was_there if known is None else known.keep_local
            self._mark(stored.name, _Marker(name, sha256, reason, keep_local))
        except AudioCompressorError as local_error:
            raise StorageError(
                f"{name} could not be stored anywhere. {self._primary.location}: {reason}. "
                f"Local fallback {self._local.directory}: {local_error}"
            ) from local_error
        return replace(stored, fallback_reason=reason)

    # -- later

    def stranded(self) -> list[str]:
        """Names, in the local directory, of files that are still to be moved."""
        with local_errors(self._local.directory):
            found = [path.name for path in self._local.directory.glob(f"{HIDDEN}*{_MARKER}")]
        return sorted(name.removeprefix(HIDDEN).removesuffix(_MARKER) for name in found)

    def relocate(self) -> Iterator[Relocated]:
        """Move stranded files to the primary storage, one for each step of the iteration.

        The local copy is removed when the next one is asked for, so that whoever iterates can first note where the file
        is now; after a crash in between, the file is reported again. Ends early when the primary storage fails in a way
        that may pass, or that would meet every file; other failures leave the one file where it is.
        """
        for name in self.stranded():
            marker = self._marker(name)
            if marker is None or self._local.find(name) is None:
                self._forget(name)
                continue
            try:
                stored = self._primary.publish(self._local.path(name), marker.name, marker.sha256)
            except (TransientError, *_UNREACHABLE) as error:
                log.warning("Stranded files stay in %s for now: %s", self._local.directory, error)
                return
            except CancelledError:
                raise
            except AudioCompressorError as error:
                log.warning("%s stays in %s: %s", name, self._local.directory, error)
                continue
            yield Relocated(marker.name, self._local.uri(name), stored)
            if not marker.keep_local:
                self._local.remove(name)
            self._forget(name)

    # -- both

    def fetch(self, name: str, destination: Path) -> None:
        self._holder(name).fetch(name, destination)

    def find(self, name: str) -> StoredFile | None:
        return self._holder(name).find(name)

    def entries(self) -> Mapping[str, StoredFile]:
        found = {name: self._local.find(name) for name in self.stranded()}
        return {**self._primary.entries(), **{name: file for name, file in found.items() if file is not None}}

    def remove(self, name: str) -> None:
        """Remove it from both, so that it does not come back by a relocation."""
        if self._marker(name) is not None:
            self._local.remove(name)
            self._forget(name)
        self._primary.remove(name)

    def uri(self, name: str) -> str:
        return self._holder(name).uri(name)

    def check_writable(self) -> str:
        return f"{self._primary.check_writable()}; fallback: {self._local.check_writable()}"

    def close(self) -> None:
        self._primary.close()
        self._local.close()

    def _holder(self, name: str) -> Storage:
        return self._primary if self._marker(name) is None else self._local

    # -- markers

    def _marker_path(self, name: str) -> Path:
        return self._local.path(f"{HIDDEN}{name}{_MARKER}")

    def _marker(self, name: str) -> _Marker | None:
        path = self._marker_path(name)
        with local_errors(path):
            try:
                return _Marker(**json.loads(path.read_text()))
            except FileNotFoundError:
                return None
            except (TypeError, ValueError) as error:
                raise StorageError(f"{path} is not a marker of a stranded file; remove it and run again") from error

    def _mark(self, name: str, marker: _Marker) -> None:
        path = self._marker_path(name)
        write_atomically(path, json.dumps(asdict(marker)))

    def _forget(self, name: str) -> None:
        with local_errors(self._marker_path(name)):
            self._marker_path(name).unlink(missing_ok=True)
