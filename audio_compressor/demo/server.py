"""An SFTP server, on the loopback interface unless told otherwise, for the demo and the tests.

It runs in a thread, or as a process of its own (``python -m audio_compressor.demo.server``), so that client and server
do not share an interpreter lock.
"""

import argparse
import asyncio
import hashlib
import logging
import os
import signal
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import asyncssh
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

log = logging.getLogger(__name__)
Result = TypeVar("Result")

HOST = "127.0.0.1"


class EmbeddedSftpServer:
    """Serves ``root`` as ``/`` to one user. ``port`` 0 takes a free one, which ``stop`` and ``start`` then keep."""

    def __init__(
        self,
        root: Path,
        username: str,
        password: str,
        *,
        host: str = HOST,
        port: int = 0,
        host_key: asyncssh.SSHKey | None = None,
        authorized_public_key: str | None = None,
    ) -> None:
        self.root = root
        self.host = host
        self.port = port
        self.connections = 0
        self.open_connections = 0
        self._username = username
        self._password = password
        self._authorized_keys = (
            asyncssh.import_authorized_keys(authorized_public_key) if authorized_public_key else None
        )
        self._host_keys = [host_key or asyncssh.generate_private_key("ssh-ed25519")]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncssh.SSHAcceptor | None = None
        self._sessions: set[asyncssh.SSHServerConnection] = set()

    @property
    def host_public_key(self) -> str:
        """In the form of a known_hosts line without the host."""
        return self._host_keys[0].export_public_key().decode().strip()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        if self._thread is not None:
            return
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sftp-server", daemon=True)
        self._thread.start()
        try:
            self._server = self._run(self._listen())
        except BaseException:
            self._end_loop()
            raise
        self.port = self._server.get_port()

    def stop(self) -> None:
        """Drop every connection and stop listening."""
        if self._thread is None:
            return
        self._run(self._shut_down())
        self._end_loop()

    def drop_connections(self) -> None:
        """As a network that fails would: without a word."""
        self._run(self._abort_all())

    def sftp_server(self, channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
        """What serves one session; a subclass may give one that misbehaves."""
        return asyncssh.SFTPServer(channel, chroot=os.fsencode(self.root))

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        if self._loop is None:
            work.close()
            raise RuntimeError("the server is not running")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            self.host,
            self.port,
            server_factory=lambda: _Login(self),
            server_host_keys=self._host_keys,
            sftp_factory=self.sftp_server,
            allow_scp=False,
        )

    async def _shut_down(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        await _settle()
        await self._abort_all()
        # Each session's task closes the files that were open in it.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            _, unfinished = await asyncio.wait(others, timeout=2)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_default_executor()
        await _settle()

    async def _abort_all(self) -> None:
        sessions = list(self._sessions)
        for session in sessions:
            session.abort()
        for session in sessions:
            await session.wait_closed()

    def _end_loop(self) -> None:
        if self._loop is None or self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None


class _Login(asyncssh.SSHServer):
    """One connection: counts it, and checks who is there."""

    def __init__(self, server: EmbeddedSftpServer) -> None:
        self._server = server
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._server.connections += 1
        self._server.open_connections += 1
        self._server._sessions.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncssh's signature
        self._server.open_connections -= 1
        if self._connection is not None:
            self._server._sessions.discard(self._connection)

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002 - asyncssh's signature
        if self._connection is not None and self._server._authorized_keys is not None:
            self._connection.set_authorized_keys(self._server._authorized_keys)
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return username == self._server._username and password == self._server._password


async def _settle() -> None:
    """Let the event loop do what it has only scheduled: take connections that were just accepted, close sockets."""
    for _ in range(5):
        await asyncio.sleep(0)


def kept_host_key(path: Path) -> asyncssh.SSHKey:
    """The same from one start to the next, or clients would call the server changed; made at the first."""
    if path.exists():
        return asyncssh.read_private_key(path)
    key = asyncssh.generate_private_key("ssh-ed25519")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.export_private_key())
    return key


def well_known_host_key() -> asyncssh.SSHKey:
    """The same everywhere, and no secret: for samples whose known_hosts is written before the server starts."""
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"Audio Compressor's samples").digest())
    return asyncssh.import_private_key(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))


def _wait_for_signal() -> None:
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()


def parse_arguments() -> argparse.Namespace:
    """As given on the command line; ends the process when they are wrong, or the password is not set."""
    parser = argparse.ArgumentParser(description="Serve until SIGTERM or SIGINT.")
    parser.add_argument("root", type=Path, help="directory to serve")
    parser.add_argument("--username", required=True)
    parser.add_argument("--password-env", required=True, help="environment variable that holds the password")
    parser.add_argument("--host", default=HOST, help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--port-file", type=Path, required=True, help="the port is written here")
    host_key = parser.add_mutually_exclusive_group()
    host_key.add_argument("--host-key", type=Path, help="made at the first start, if it is not there")
    host_key.add_argument("--well-known-host-key", action="store_true", help="one that is no secret")
    arguments = parser.parse_args()
    if not os.environ.get(arguments.password_env):
        parser.error(f"{arguments.password_env} is not set")
    return arguments


def serve(arguments: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT; the port is in ``--port-file`` as soon as connections are taken."""
    host_key = kept_host_key(arguments.host_key) if arguments.host_key else None
    server = EmbeddedSftpServer(
        arguments.root,
        arguments.username,
        os.environ[arguments.password_env],
        host=arguments.host,
        port=arguments.port,
        host_key=well_known_host_key() if arguments.well_known_host_key else host_key,
    )
    with server:
        part = arguments.port_file.with_name(f".{arguments.port_file.name}.part")
        part.write_text(str(server.port))
        part.replace(arguments.port_file)
        _wait_for_signal()


if __name__ == "__main__":
    serve(parse_arguments())
