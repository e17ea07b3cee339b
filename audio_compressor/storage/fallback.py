"""A destination that may be away: results then go to the local directory, and to where they belong later.

A file that was left behind has a marker beside it, ``.{name}.stranded``, which says what it is to be called there. A
note, ``.{name}.{hash}.stranding``, is there from before the file until after its marker, so that a run that is killed
in between leaves nothing that no later run would move.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from audio_compressor.errors import (
    AudioCompressorError,
    AuthenticationError,
    CancelledError,
    ConfigurationError,
    ConnectionLostError,
    CredentialsError,
    HostKeyError,
    StorageError,
    TimedOutError,
    TransientError,
)
from audio_compressor.local_files import local_errors, sha256_of, write_atomically
from audio_compressor.recording import is_plain_name
from audio_compressor.retries import Retry
from audio_compressor.storage.base import (
    HIDDEN,
    LEFTOVER_SECONDS,
    Location,
    PublishingStorage,
    Storage,
    Stored,
    StoredFile,
    versions_among,
)
from audio_compressor.storage.local import LocalStorage

log = logging.getLogger(__name__)

_MARKER = ".stranded"
_NOTE = ".stranding"
# A destination that was away is asked again at most this often, with one attempt. Each of 25 recordings waiting out its
# own retries would hold up a night; and a server that refuses a login may lock the account when it is asked too often.
PROBE_SECONDS = 60.0

# These are about the connection and not about one file: the next file would meet the same.
_UNREACHABLE = (
    ConnectionLostError,
    TimedOutError,
    AuthenticationError,
    CredentialsError,
    HostKeyError,
    ConfigurationError,
)
# How often a wait looks whether the run is being stopped: there are two signals, and no event waits for both.
_LOOK_SECONDS = 0.1


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
        primary: PublishingStorage,
        local: LocalStorage,
        retry: Retry,
        cancel: threading.Event | None = None,
        probe_seconds: float = PROBE_SECONDS,
    ) -> None:
        self._primary = primary
        self._local = local
        self._retry = retry
        self._stopping = _Stopping(cancel)
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
            self._stopping.raise_if_set(name)
            log.warning("%s goes to the local directory %s: %s", name, self._local.directory, error)
            return self._strand(source, name, sha256, error)

    def _publish_to_primary(self, source: Path, name: str, sha256: str) -> Stored:
        self._stopping.raise_if_set(name)
        with self._state:
            away = self._away
            if away is not None:
                if time.monotonic() < self._ask_again_at:
                    raise away
                self._ask_again_at = time.monotonic() + self._probe_seconds
        retry = self._retry if away is None else replace(self._retry, attempts=1)
        try:
            stored = retry.call(
                lambda: self._primary.publish(source, name, sha256), what=f"upload of {name}", cancel=self._stopping
            )
        except _UNREACHABLE as error:
            with self._state:
                self._away, self._ask_again_at = error, time.monotonic() + self._probe_seconds
            raise
        with self._state:
            self._away = None
        self._drop_superseded(name, sha256)
        return stored

    def _drop_superseded(self, name: str, sha256: str) -> None:
        """What was stranded of this name is older than what was just published: forget what that replaces or equals."""
        try:
            for stranded in self._marked():
                marker = self._readable_marker(stranded)
                if marker is None or marker.name != name:
                    continue
                if self._primary.on_existing == "replace" or marker.sha256 == sha256:
                    log.info("%s in %s is superseded by what was published", stranded, self._local.directory)
                    self._let_go(stranded, marker)
        except AudioCompressorError as error:
            log.warning("An older %s may stay in %s: %s", name, self._local.directory, error)

    def _strand(self, source: Path, name: str, sha256: str, error: AudioCompressorError) -> Stored:
        reason = str(error)
        try:
            # Whose file it is, is not known to who finds the note: then it is kept.
            note = self._note(_Marker(name, sha256, reason, keep_local=True))
            try:
                stored = self._local.publish(source, name, sha256)
            except AudioCompressorError:
                _unlink(note)
                raise
            known = self._readable_marker(stored.name)
            keep_local = stored.was_there if known is None else known.keep_local
            self._mark(stored.name, _Marker(name, sha256, reason, keep_local))
            _unlink(note)
        except CancelledError:
            raise
        except AudioCompressorError as local_error:
            raise StorageError(
                f"{name} could not be stored anywhere. {self._primary.location}: {reason}. "
                f"Local fallback {self._local.directory}: {local_error}"
            ) from local_error
        return replace(stored, fallback_reason=reason)

    # -- later

    def stranded(self) -> list[str]:
        """Names, in the local directory, of files that are still to be moved. Those whose marker cannot be read are not
        among them: nothing can be done about them here.
        """
        self._mark_interrupted()
        return [name for name in self._marked() if self._readable_marker(name) is not None]

    def relocate(self) -> Iterator[Relocated]:
        """Move stranded files to the primary storage, one for each step of the iteration.

        The local copy is removed when the next one is asked for, so that whoever iterates can first note where the file
        is now; after a crash in between, the file is reported again. Ends early when the primary storage fails in a way
        that may pass, or that would meet every file; other failures leave the one file where it is.
        """
        for name in self.stranded():
            marker = self._readable_marker(name)
            if marker is None:
                continue  # superseded meanwhile
            try:
                if self._local.find(name) is None:
                    self._forget(name)
                    continue
                stored = self._primary.publish(
                    self._local.path(name),
                    marker.name,
                    marker.sha256,
                    not_over_newer_than_seconds=self._stranded_at_seconds(name),
                )
            except (TransientError, *_UNREACHABLE) as error:
                log.warning("Stranded files stay in %s for now: %s", self._local.directory, error)
                return
            except CancelledError:
                raise
            except AudioCompressorError as error:
                log.warning("%s stays in %s: %s", name, self._local.directory, error)
                continue
            yield Relocated(marker.name, self._local.uri(name), stored)
            self._let_go(name, marker)

    # -- both

    def fetch(self, name: str, destination: Path) -> None:
        self._holder(name).fetch(name, destination)

    def find(self, name: str) -> StoredFile | None:
        return self._holder(name).find(name)

    def entries(self) -> Mapping[str, StoredFile]:
        self._mark_interrupted()
        found = {name: self._local.find(name) for name in self._marked()}
        return {**self._primary.entries(), **{name: file for name, file in found.items() if file is not None}}

    def remove(self, name: str) -> None:
        """Remove it from both, so that it does not come back by a relocation."""
        if self._is_marked(name):
            self._local.remove(name)
            self._forget(name)
        self._primary.remove(name)

    def uri(self, name: str) -> str:
        return self._holder(name).uri(name)

    def check_writable(self) -> str:
        return f"{self._primary.check_writable()}; fallback: {self._local.check_writable()}"

    def close(self) -> None:
        """For good; a ``publish`` in another thread ends with CancelledError, out of a wait between retries too."""
        self._stopping.set()
        self._primary.close()
        self._local.close()

    def _holder(self, name: str) -> Storage:
        return self._local if self._is_marked(name) else self._primary

    # -- markers

    def _marker_path(self, name: str) -> Path:
        return self._local.path(f"{HIDDEN}{name}{_MARKER}")

    def _marked(self) -> list[str]:
        with local_errors(self._local.directory):
            found = [path.name for path in self._local.directory.glob(f"{HIDDEN}*{_MARKER}")]
        return sorted(name.removeprefix(HIDDEN).removesuffix(_MARKER) for name in found)

    def _is_marked(self, name: str) -> bool:
        with local_errors(self._local.directory):
            return self._marker_path(name).exists()

    def _readable_marker(self, name: str) -> _Marker | None:
        return _read(self._marker_path(name))

    def _stranded_at_seconds(self, name: str) -> float:
        with local_errors(self._marker_path(name)):
            return self._marker_path(name).stat().st_mtime

    def _mark(self, name: str, marker: _Marker) -> None:
        write_atomically(self._marker_path(name), _text(marker))

    def _let_go(self, name: str, marker: _Marker) -> None:
        """It is where it belongs: remove the local file, unless it was there before, and forget it."""
        if not marker.keep_local:
            self._local.remove(name)
        self._forget(name)

    def _forget(self, name: str) -> None:
        _unlink(self._marker_path(name))

    # -- notes

    def _note(self, marker: _Marker) -> Path:
        path = self._local.path(f"{HIDDEN}{marker.name}.{marker.sha256[:8]}{_NOTE}")
        with local_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _text(marker))
        return path

    def _mark_interrupted(self) -> None:
        """Mark what a killed run published locally and could not mark any more."""
        with local_errors(self._local.directory):
            notes = list(self._local.directory.glob(f"{HIDDEN}*{_NOTE}"))
        for note in notes:
            marker = _read(note)
            if marker is None:
                continue
            name = self._local_name(marker)
            if name is not None:
                marked = self._readable_marker(name)
                if marked is None or marked.sha256 != marker.sha256:
                    self._mark(name, marker)
                    _copy_times(note, self._marker_path(name))  # which tell since when it is stranded
                _unlink(note)
            elif _age_seconds(note) > LEFTOVER_SECONDS:  # a younger one may be of a run that is just about to publish
                _unlink(note)

    def _local_name(self, marker: _Marker) -> str | None:
        """Under which name the content that the marker tells of was published locally, if it was."""
        for version in reversed(versions_among(marker.name, self._local.entries())):
            path = self._local.path(version)
            with local_errors(path):
                if sha256_of(path) == marker.sha256:
                    return version
        return None


class _Stopping(threading.Event):
    """Set by ``close``, or by whoever stops the run."""

    def __init__(self, cancel: threading.Event | None) -> None:
        super().__init__()
        self._cancel = cancel

    def is_set(self) -> bool:
        return super().is_set() or (self._cancel is not None and self._cancel.is_set())

    def wait(self, timeout: float | None = None) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = _LOOK_SECONDS if end is None else min(_LOOK_SECONDS, end - time.monotonic())
            if left <= 0:
                break
            super().wait(left)
        return self.is_set()

    def raise_if_set(self, name: str) -> None:
        if self.is_set():
            raise CancelledError(f"{name} was not published: the run is being stopped")


def _text(marker: _Marker) -> str:
    return json.dumps(asdict(marker))


def _read(path: Path) -> _Marker | None:
    """None when there is none, or none that can be read; one bad file must not keep the others from their place."""
    try:
        marker = _Marker(**json.loads(path.read_text()))
        if not all(isinstance(text, str) and text for text in (marker.name, marker.sha256)):
            raise ValueError("without name or hash")
        if not is_plain_name(marker.name):
            raise ValueError(f"{marker.name!r} is not the name of a result")
    except FileNotFoundError:
        return None
    except (OSError, TypeError, ValueError) as error:
        log.warning("%s cannot be used (%s); move what it belongs to by hand, and remove it", path, error)
        return None
    return marker


def _copy_times(source: Path, target: Path) -> None:
    with local_errors(target):
        found = source.stat()
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def _unlink(path: Path) -> None:
    with local_errors(path):
        path.unlink(missing_ok=True)


def _age_seconds(path: Path) -> float:
    with local_errors(path):
        return time.time() - path.stat().st_mtime
