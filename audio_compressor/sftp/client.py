"""Paramiko's SFTP client with requests in flight: many stats at once, reads and writes that keep the line full.

Paramiko itself reads ahead with a second thread and all requests at once, and throws away the answers to the last
pipelined writes, a full disk among them. Here one thread sends and receives in bounded memory and sees every answer.
Errors are still paramiko's: `audio_compressor.sftp.translation` is the boundary.
"""

import stat
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO

from paramiko import SFTPAttributes, SFTPClient, SSHException
from paramiko.message import Message
from paramiko.sftp import (
    CMD_ATTRS,
    CMD_CLOSE,
    CMD_DATA,
    CMD_EXTENDED,
    CMD_EXTENDED_REPLY,
    CMD_NAME,
    CMD_OPEN,
    CMD_OPENDIR,
    CMD_READ,
    CMD_READDIR,
    CMD_STAT,
    CMD_STATUS,
    CMD_WRITE,
    SFTP_FLAG_CREATE,
    SFTP_FLAG_READ,
    SFTP_FLAG_TRUNC,
    SFTP_FLAG_WRITE,
    SFTPError,
    int64,
)

# Every server takes requests of 32 KiB (draft-ietf-secsh-filexfer-02, section 3); OpenSSH's tell that they take more.
# 115 MB over loopback with 2 MiB in flight: 135 to 193 MB/s in pieces of 32 KiB, 211 to 275 in pieces of 128 KiB, no
# more with larger pieces or more in flight; OpenSSH's own client 164 to 302. All of that only with TCP_NODELAY (see
# session.py): without it, anything but unbounded requests waits for delayed acknowledgements, at 50 MB/s.
SMALL_REQUEST_BYTES = 32_768
LARGE_REQUEST_BYTES = 131_072
IN_FLIGHT_BYTES = 2_097_152
STATS_IN_FLIGHT = 64


class PipelinedSftpClient(SFTPClient):
    """One SFTP session, used by one thread at a time."""

    if TYPE_CHECKING:  # paramiko's own building blocks, which its type stubs leave out

        def _request(self, kind: int, *arguments: Any) -> tuple[int, Message]: ...
        def _async_request(self, receiver: object, kind: int, *arguments: Any) -> int: ...
        def _read_response(self) -> object: ...
        def _convert_status(self, message: Message) -> None: ...

    @cached_property
    def request_bytes(self) -> tuple[int, int]:
        """How much to ask for in one read, and to send in one write, by what the server says that it takes."""
        try:
            kind, message = self._request(CMD_EXTENDED, "limits@openssh.com")
        except OSError as error:
            if not _refused(error):
                raise
            return SMALL_REQUEST_BYTES, SMALL_REQUEST_BYTES
        _expect(CMD_EXTENDED_REPLY, kind, message)
        _, read_bytes, write_bytes = (message.get_int64() for _ in range(3))
        return _request_bytes(read_bytes), _request_bytes(write_bytes)

    def list_attributes(self, path: str) -> Iterator[tuple[bytes, SFTPAttributes]]:
        """Names and attributes of a directory's entries. Names are bytes, because paramiko's own listing fails on the
        whole directory when one name in it is not UTF-8.
        """
        handle = self._request(CMD_OPENDIR, path)[1].get_binary()
        try:
            while True:
                try:
                    message = _expect(CMD_NAME, *self._request(CMD_READDIR, handle))
                except EOFError:
                    return
                for _ in range(message.get_int()):
                    name, long_name = message.get_binary(), message.get_binary()
                    attributes = SFTPAttributes._from_msg(message)  # type: ignore[attr-defined]
                    if attributes.st_mode is None:  # optional in the protocol; the long name looks like `ls -l`
                        attributes.st_mode = stat.S_IFDIR if long_name.startswith(b"d") else stat.S_IFREG
                    if name not in {b".", b".."}:
                        yield name, attributes
        finally:
            self._close(handle)

    def stat_many(self, paths: Sequence[bytes]) -> list[SFTPAttributes | OSError]:
        """The attributes of each path (links followed), or the error that the server answered for it."""
        results: dict[int, SFTPAttributes | OSError] = {}
        answers = _Answers(self)

        def take() -> None:
            index, kind, message = answers.take()
            try:
                self._raise_for_status(kind, message)
                results[index] = SFTPAttributes._from_msg(_expect(CMD_ATTRS, kind, message))  # type: ignore[attr-defined]
            except OSError as error:
                results[index] = error

        for index, path in enumerate(paths):
            if answers.pending >= STATS_IN_FLIGHT:
                take()
            answers.ask(index, CMD_STAT, path)
        while answers.pending:
            take()
        return [results[index] for index in range(len(paths))]

    def read_file(self, path: str, size_bytes: int) -> Generator[bytes]:
        """The first ``size_bytes`` of a file in order; ends early where the file ends."""
        handle = self._request(CMD_OPEN, path, SFTP_FLAG_READ, SFTPAttributes())[1].get_binary()
        try:
            yield from self._read(handle, size_bytes)
        finally:
            self._close(handle)

    def _read(self, handle: bytes, size_bytes: int) -> Iterator[bytes]:
        answers = _Answers(self)
        request_bytes = self.request_bytes[0]
        in_flight = IN_FLIGHT_BYTES // request_bytes
        early: dict[int, bytes] = {}  # what came before what belongs before it
        asked, delivered, end = 0, 0, size_bytes
        while delivered < end:
            while asked < end and answers.pending + len(early) < in_flight:
                length = min(request_bytes, end - asked)
                answers.ask(asked, CMD_READ, handle, int64(asked), length)
                asked += length
            offset, kind, message = answers.take()
            try:
                self._raise_for_status(kind, message)
            except EOFError:
                end = min(end, offset)
                continue
            data = _expect(CMD_DATA, kind, message).get_binary()
            length = min(request_bytes, size_bytes - offset)
            while len(data) < length:  # allowed by the protocol, and rare: ask for the rest at once
                try:
                    rest = self._request(CMD_READ, handle, int64(offset + len(data)), length - len(data))
                except EOFError:
                    end = min(end, offset + len(data))
                    break
                data += _expect(CMD_DATA, *rest).get_binary()
            early[offset] = data
            while delivered in early:
                block = early.pop(delivered)
                delivered += len(block)
                yield block

    def write_file(self, path: str, source: BinaryIO, on_bytes: Callable[[int], None] | None = None) -> int:
        """Write all of ``source`` to a new or emptied file, ask the server to flush it to disk, return the size."""
        flags = SFTP_FLAG_WRITE | SFTP_FLAG_CREATE | SFTP_FLAG_TRUNC
        handle = self._request(CMD_OPEN, path, flags, SFTPAttributes())[1].get_binary()
        try:
            size_bytes = self._write(handle, source, on_bytes)
            self._flush(handle)
        finally:
            self._close(handle)
        return size_bytes

    def _write(self, handle: bytes, source: BinaryIO, on_bytes: Callable[[int], None] | None) -> int:
        answers = _Answers(self)
        request_bytes = self.request_bytes[1]
        offset = 0
        while block := source.read(request_bytes):
            if answers.pending >= IN_FLIGHT_BYTES // request_bytes:
                self._raise_for_status(*answers.take()[1:])
            answers.ask(offset, CMD_WRITE, handle, int64(offset), block)
            offset += len(block)
            if on_bytes is not None:
                on_bytes(len(block))
        while answers.pending:
            self._raise_for_status(*answers.take()[1:])
        return offset

    def free_bytes(self, path: str) -> int | None:
        """Free space of the file system of ``path``, or None when the server does not tell (an OpenSSH extension)."""
        try:
            kind, message = self._request(CMD_EXTENDED, "statvfs@openssh.com", path)
        except OSError as error:
            if not _refused(error):
                raise
            return None
        if kind != CMD_EXTENDED_REPLY:
            return None
        _, fragment_bytes, _, _, available = (message.get_int64() for _ in range(5))
        return int(fragment_bytes * available)

    def _flush(self, handle: bytes) -> None:
        try:
            self._request(CMD_EXTENDED, "fsync@openssh.com", handle)
        except OSError as error:
            # An extension of OpenSSH's that not every server has; a failure to write was answered to a write.
            if not _refused(error):
                raise

    def _close(self, handle: bytes) -> None:
        # Not waited for: the answer holds nothing of use, and after an error there may never be one.
        # Nor may it hide the error that led here.
        with suppress(EOFError, OSError, SSHException):
            self._async_request(type(None), CMD_CLOSE, handle)

    def _raise_for_status(self, kind: int, message: Message) -> None:
        if kind == CMD_STATUS:
            self._convert_status(message)


class _Answers:
    """Requests that were sent together and what came back, in whatever order the server answers."""

    def __init__(self, client: PipelinedSftpClient) -> None:
        self._client = client
        self._asked: dict[int, int] = {}
        self._arrived: list[tuple[int, int, Message]] = []

    @property
    def pending(self) -> int:
        """How many answers are still to be taken."""
        return len(self._asked) + len(self._arrived)

    def ask(self, key: int, kind: int, *arguments: Any) -> None:
        number = self._client._async_request(self, kind, *arguments)
        self._asked[number] = key

    def take(self) -> tuple[int, int, Message]:
        """The next answer: the key it was asked with, its kind and its content."""
        while not self._arrived:
            self._client._read_response()
        return self._arrived.pop()

    def _async_response(self, kind: int, message: Message, number: int) -> None:
        """Called by paramiko for each answer to a request of ours."""
        self._arrived.append((self._asked.pop(number), kind, message))


def _request_bytes(limit_bytes: int) -> int:
    return LARGE_REQUEST_BYTES if limit_bytes >= LARGE_REQUEST_BYTES else SMALL_REQUEST_BYTES


def _refused(error: OSError) -> bool:
    """Whether the server answered with an error, rather than not at all; paramiko numbers only two of the answers."""
    if isinstance(error, FileNotFoundError | PermissionError):
        return True
    return type(error) is OSError and error.errno is None and str(error) != "Socket is closed"


def _expect(expected: int, kind: int, message: Message) -> Message:
    if kind != expected:
        raise SFTPError(f"the server answered with message {kind} where {expected} belongs")
    return message
