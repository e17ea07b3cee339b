"""An SFTP connection that opens when it is first used, reopens after it broke, and can be cut from another thread.

Every failure leaves here as an error of `audio_compressor.errors`.
"""

import hashlib
import logging
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from posixpath import basename, dirname
from typing import BinaryIO

from paramiko import SFTPAttributes, Transport

from audio_compressor.closing import Closing
from audio_compressor.errors import (
    AudioCompressorError,
    CancelledError,
    ConnectionLostError,
    OutOfSpaceError,
    PermanentError,
    RemoteFileMissingError,
    SourceChangedError,
    StorageError,
    TimedOutError,
)
from audio_compressor.local_files import local_errors
from audio_compressor.recording import Fingerprint, part_name
from audio_compressor.sftp.client import PipelinedSftpClient
from audio_compressor.sftp.endpoint import SftpEndpoint, Timeouts
from audio_compressor.sftp.session import Session, open_session
from audio_compressor.sftp.translation import remote_errors, translated

__all__ = ["RemoteEntry", "SftpConnection", "SftpEndpoint", "Timeouts"]

log = logging.getLogger(__name__)

# Blocks are gathered to this size before they are written and hashed.
_WRITE_BYTES = 1_048_576


@dataclass(frozen=True)
class RemoteEntry:
    """A file or directory on the server. In a name that is not UTF-8, what cannot be decoded is U+FFFD."""

    name: str
    is_directory: bool
    is_file: bool  # a regular one, as links are followed: no pipe, socket or device
    size_bytes: int
    modified_at_seconds: int

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint(self.size_bytes, self.modified_at_seconds)


class SftpConnection(Closing):
    """Operations wait for each other: several threads may share a connection, but only ``close`` is immediate.

    Raises:
        ConnectionLostError, TimedOutError: by every method; the next call connects anew.
        AuthenticationError, CredentialsError, HostKeyError: by every method that has to connect.
        RemoteFileMissingError, AccessDeniedError, StorageError: the server's answer about a path.
        CancelledError: by every method, once ``close`` was called.
    """

    def __init__(self, endpoint: SftpEndpoint) -> None:
        self._endpoint = endpoint
        self._session: Session | None = None
        self._transport: Transport | None = None
        self._in_use = threading.RLock()
        self._closed = threading.Event()

    def uri(self, path: str) -> str:
        return self._endpoint.uri(path)

    def reconnect(self) -> None:
        """Drop the connection, if there is one, and connect at once."""
        with self._in_use:
            self._disconnect()
            self._connect()

    def close(self) -> None:
        """Close for good. May be called from any thread: whoever is in the middle of something gets CancelledError."""
        self._closed.set()
        transport = self._transport
        if transport is not None:
            transport.close()

    # -- looking

    def scan(self, path: str) -> list[RemoteEntry]:
        """Everything in a directory, in no particular order; links are followed where they lead somewhere."""
        with self._client(f"listing {path}") as client:
            listed = list(client.list_attributes(path))
            links = [name for name, attributes in listed if stat.S_ISLNK(attributes.st_mode or 0)]
            targets = dict(zip(links, client.stat_many([path.encode() + b"/" + name for name in links]), strict=True))
        entries = []
        for name, attributes in listed:
            target = targets.get(name)
            found = target if isinstance(target, SFTPAttributes) else attributes
            entries.append(_entry(name.decode(errors="replace"), found))
        return entries

    def stat(self, path: str) -> RemoteEntry:
        with self._client(f"looking at {path}") as client:
            return _entry(basename(path), client.stat(path))

    def stat_many(self, paths: Sequence[str]) -> list[RemoteEntry | AudioCompressorError]:
        """An entry, or the server's answer as an error, for each path. 1,000 paths over loopback: 0.1 s."""
        with self._client(f"looking at {len(paths)} files") as client:
            found = client.stat_many([path.encode() for path in paths])
        return [
            translated(answer, self._endpoint.server, f"looking at {path}")
            if isinstance(answer, OSError)
            else _entry(basename(path), answer)
            for path, answer in zip(paths, found, strict=True)
        ]

    def exists(self, path: str) -> bool:
        try:
            self.stat(path)
        except RemoteFileMissingError:
            return False
        return True

    def free_bytes(self, path: str) -> int | None:
        """Free space where ``path`` is, or None when the server does not tell."""
        with self._client(f"looking at {path}") as client:
            return client.free_bytes(path)

    # -- reading

    def sha256(self, path: str) -> str:
        """SHA-256 in hexadecimal of what the server has, by reading it. Raises PermanentError as ``download`` does."""
        digest = hashlib.sha256()
        size_bytes = self._regular(path).size_bytes
        with self._client(f"reading {path}") as client, closing(client.read_file(path, size_bytes)) as blocks:
            for block in blocks:
                digest.update(block)
        return digest.hexdigest()

    def download(
        self,
        remote: str,
        local: Path,
        *,
        expected: Fingerprint,
        on_bytes: Callable[[int], None] | None = None,
    ) -> str:
        """Fetch a file and return its SHA-256 in hexadecimal. ``on_bytes`` is told the size of each piece.

        Raises:
            PermanentError: it is a directory, pipe, socket or device; nothing was opened.
            SourceChangedError: the file is not, or is no longer, the one with this fingerprint.
            OutOfSpaceError: the local disk is full.
        """
        part = local.with_name(part_name(local.name))
        try:
            with local_errors(part):
                with part.open("wb") as file, self._in_use:
                    self._require(remote, expected)
                    sha256 = self._receive(remote, file, part, expected, on_bytes)
                    self._require(remote, expected)
                part.replace(local)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return sha256

    def _require(self, remote: str, expected: Fingerprint) -> None:
        found = self._regular(remote).fingerprint
        if found != expected:
            raise SourceChangedError(
                f"{remote} has changed: {expected.size_bytes:,} bytes of {expected.modified_at:%Y-%m-%d %H:%M:%S} UTC "
                f"became {found.size_bytes:,} bytes of {found.modified_at:%Y-%m-%d %H:%M:%S} UTC; it is still written"
            )

    def _regular(self, path: str) -> RemoteEntry:
        entry = self.stat(path)
        if not entry.is_file:
            # To open a pipe blocks the server, and with it this connection, until somebody writes into it.
            what = "a directory" if entry.is_directory else "a pipe, socket or device"
            raise PermanentError(f"{path} is {what} instead of a file; replace it by the file that belongs there")
        return entry

    def _receive(
        self,
        remote: str,
        file: BinaryIO,
        part: Path,
        expected: Fingerprint,
        on_bytes: Callable[[int], None] | None,
    ) -> str:
        digest = hashlib.sha256()
        received = 0
        with (
            self._client(f"reading {remote}") as client,
            closing(client.read_file(remote, expected.size_bytes)) as blocks,
        ):
            for piece in _gathered(blocks):
                with local_errors(part):
                    file.write(piece)
                digest.update(piece)
                received += len(piece)
                if on_bytes is not None:
                    on_bytes(len(piece))
        if received != expected.size_bytes:
            raise SourceChangedError(
                f"{remote} ended after {received:,} of {expected.size_bytes:,} bytes; it was cut short meanwhile"
            )
        return digest.hexdigest()

    # -- writing

    def upload(self, local: Path, remote: str) -> int:
        """Write a file under this very name, replacing it; returns its size in bytes as the server confirmed it."""
        with local_errors(local), local.open("rb") as file, self._in_use:
            size_bytes = self._send(file, local, remote)
            written = self.stat(remote).size_bytes
        if written != size_bytes:
            raise StorageError(f"{remote} has {written:,} bytes on the server instead of {size_bytes:,}")
        return size_bytes

    def _send(self, file: BinaryIO, local: Path, remote: str) -> int:
        try:
            with self._client(f"writing {remote}") as client:
                return client.write_file(remote, file)
        except StorageError as error:
            # OpenSSH answers a full disk with "Failure" and nothing else.
            free_bytes = self.free_bytes(dirname(remote) or "/")
            if free_bytes is not None and free_bytes < local.stat().st_size:
                raise OutOfSpaceError(
                    f"{self._endpoint.server} has {free_bytes / 1e6:,.1f} MB left in {dirname(remote)}, "
                    f"too little for {basename(remote)}"
                ) from error
            raise

    def rename(self, old: str, new: str) -> bool:
        """Give a file another name, or return False when there is something under that name already."""
        with self._in_use:
            # Asked first, because some servers replace the target although version 3 of the protocol says not to.
            if self.exists(new):
                return False
            try:
                with self._client(f"renaming {old} to {new}") as client:
                    client.rename(old, new)
            except StorageError:
                if self.exists(new):
                    return False
                raise
            return True

    def replace(self, old: str, new: str) -> None:
        """Give a file another name; what was there under that name is replaced in the same instant."""
        with self._client(f"renaming {old} to {new}") as client:
            client.posix_rename(old, new)

    def remove(self, path: str) -> None:
        with self._client(f"removing {path}") as client:
            client.remove(path)

    def make_directories(self, path: str) -> None:
        """Create a directory and those above it, as far as they are missing."""
        with self._in_use:
            if path in {"", "/"} or self.exists(path):
                return
            self.make_directories(dirname(path))
            try:
                with self._client(f"creating {path}") as client:
                    client.mkdir(path)
            except StorageError:  # another run was faster
                if not self.exists(path):
                    raise

    # -- the connection

    @contextmanager
    def _client(self, doing: str) -> Iterator[PipelinedSftpClient]:
        """The connected client, for one operation. After a failure that is not an answer the connection is dropped."""
        with self._in_use:
            session = self._session or self._connect()
            try:
                with remote_errors(self._endpoint.server, doing):
                    yield session.client
            except (ConnectionLostError, TimedOutError) as error:
                self._disconnect()
                self._raise_if_closed(error)
                raise

    def _connect(self) -> Session:
        self._raise_if_closed()
        try:
            self._session = session = open_session(self._endpoint, self._connecting)
        except (ConnectionLostError, TimedOutError) as error:
            self._raise_if_closed(error)
            raise
        log.debug("Connected to %s", self._endpoint.server)
        return session

    def _connecting(self, transport: Transport) -> None:
        """From here on ``close`` can cut the connection; it may have been called just before."""
        self._transport = transport
        self._raise_if_closed()

    def _disconnect(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.transport.close()

    def _raise_if_closed(self, cause: Exception | None = None) -> None:
        if self._closed.is_set():
            raise CancelledError(f"The connection to {self._endpoint.server} was closed") from cause


def _entry(name: str, attributes: SFTPAttributes) -> RemoteEntry:
    return RemoteEntry(
        name=name,
        is_directory=stat.S_ISDIR(attributes.st_mode or 0),
        is_file=attributes.st_mode is None or stat.S_ISREG(attributes.st_mode),  # optional in the protocol
        size_bytes=attributes.st_size or 0,
        modified_at_seconds=attributes.st_mtime or 0,
    )


def _gathered(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of at least ``_WRITE_BYTES``, but for the last."""
    gathered = bytearray()
    for block in blocks:
        gathered += block
        if len(gathered) >= _WRITE_BYTES:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)
