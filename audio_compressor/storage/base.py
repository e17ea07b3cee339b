"""What every destination can do, and the one procedure by which a file is published without ever being seen half."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Literal

from audio_compressor.closing import Closing
from audio_compressor.local_files import local_errors
from audio_compressor.recording import part_name, timestamped

Location = Literal["local", "sftp", "s3"]
OnExisting = Literal["timestamp", "replace"]

# What is being written, or marks something, starts with a dot and is no result.
HIDDEN = "."
PART_SUFFIX = part_name("").removeprefix(HIDDEN)
# A part file that has not been written to for a day belongs to a run that was killed.
LEFTOVER_SECONDS = 86_400


@dataclass(frozen=True)
class StoredFile:
    size_bytes: int
    modified_at_seconds: int


@dataclass(frozen=True)
class Stored:
    """A published file. ``name`` is a timestamped one when ``is_duplicate``; ``was_there``: nothing was written."""

    location: Location
    uri: str
    name: str
    size_bytes: int
    sha256: str
    is_duplicate: bool = False
    was_there: bool = False
    fallback_reason: str | None = None


@dataclass(frozen=True)
class NewFile:
    """A local file that is to be published under ``name``."""

    path: Path
    name: str
    size_bytes: int
    sha256: str


class Storage(Closing, ABC):
    """One destination. Methods may be called from several threads."""

    location: Location

    @abstractmethod
    def publish(self, source: Path, name: str, sha256: str) -> Stored:
        """Store ``source``, whose SHA-256 is given, under ``name`` or, if other content is there, as settings say.

        Raises:
            AudioCompressorError: nothing was published under any name.
        """

    @abstractmethod
    def fetch(self, name: str, destination: Path) -> None:
        """Copy a stored file to a local one. Raises RemoteFileMissingError when there is none."""

    @abstractmethod
    def find(self, name: str) -> StoredFile | None: ...

    @abstractmethod
    def entries(self) -> Mapping[str, StoredFile]:
        """All files by name, from one listing."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is fine."""

    @abstractmethod
    def uri(self, name: str) -> str:
        """Where a file of this name is, or would be; percent-encoded (RFC 3986)."""

    @abstractmethod
    def check_writable(self) -> str:
        """Write and remove a small file; returns one line for people, with the free space where it is known."""

    def close(self) -> None:
        """Let go of connections, for good. May be called from any thread: a ``publish`` in another one then ends soon,
        with CancelledError and nothing published, unless it was just done.
        """


class PublishingStorage(Storage):
    """``publish`` in terms of what differs between destinations."""

    def __init__(self, on_existing: OnExisting, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.on_existing = on_existing
        self._now = now

    def publish(
        self, source: Path, name: str, sha256: str, *, not_over_newer_than_seconds: float | None = None
    ) -> Stored:
        """As every storage does. With ``not_over_newer_than_seconds`` (Unix time of ``source``), what is there already
        and not older than that is never replaced: ``source`` gets a timestamped name then.
        """
        with local_errors(source):
            size_bytes = source.stat().st_size
        with self._alone(name):
            versions = self._versions(name)
            for version, file in versions.items():
                if file.size_bytes == size_bytes and self._sha256(version) == sha256:
                    return self._stored(name, version, size_bytes, sha256, was_there=True)
            new = NewFile(source, name, size_bytes, sha256)
            replace = self.on_existing == "replace" and not _is_newer(versions.get(name), not_over_newer_than_seconds)
            target = name if replace or name not in versions else self._free_name(name, versions)
            while not self._put(new, target, replace=replace):
                # Another publisher took the name after we looked.
                versions = self._versions(name)
                target = self._free_name(name, {**versions, target: StoredFile(0, 0)})
            return self._stored(name, target, size_bytes, sha256, was_there=False)

    def _stored(self, name: str, actual: str, size_bytes: int, sha256: str, *, was_there: bool) -> Stored:
        return Stored(self.location, self.uri(actual), actual, size_bytes, sha256, actual != name, was_there)

    def _free_name(self, name: str, taken: Mapping[str, StoredFile]) -> str:
        at = self._now()
        while (candidate := timestamped(name, at)) in taken:
            at += timedelta(seconds=1)
        return candidate

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:  # noqa: ARG002 - for those that can
        """Keep other publishers of this name out, where that can be done."""
        yield

    @abstractmethod
    def _versions(self, name: str) -> Mapping[str, StoredFile]:
        """``name`` and its timestamped duplicates, as far as they are there."""

    @abstractmethod
    def _sha256(self, name: str) -> str:
        """SHA-256 of what is stored."""

    @abstractmethod
    def _put(self, file: NewFile, target: str, *, replace: bool) -> bool:
        """Write, verify, and only then let ``target`` appear; False, with nothing changed, when it is taken."""


def _is_newer(there: StoredFile | None, than_seconds: float | None) -> bool:
    """In doubt, which is within one second, yes: storages tell times in whole seconds."""
    return there is not None and than_seconds is not None and there.modified_at_seconds >= int(than_seconds)


def versions_among(name: str, files: Mapping[str, StoredFile]) -> dict[str, StoredFile]:
    """``name`` first, then its timestamped duplicates, the oldest first."""
    path = PurePosixPath(name)
    duplicate = re.compile(rf"{re.escape(path.stem)}_\d{{8}}_\d{{6}}{re.escape(path.suffix)}")
    found = sorted(other for other in files if duplicate.fullmatch(other))
    return {version: files[version] for version in (name, *found) if version in files}


def gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:,.1f} GB"
