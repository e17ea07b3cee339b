"""Where the SFTP server is, how it is trusted, and how long it may be silent."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from audio_compressor.sftp.credentials import Credentials
from audio_compressor.sftp.hostkeys import HostKeyPolicy


@dataclass(frozen=True)
class Timeouts:
    """How long to wait for the TCP connection, the SSH handshake, the login, and any answer after that."""

    connect_seconds: float = 15
    banner_seconds: float = 15
    auth_seconds: float = 30
    channel_seconds: float = 60


@dataclass(frozen=True)
class SftpEndpoint:
    """``credentials`` is called for each connection, so that a rotated secret is used by the next one."""

    host: str
    port: int
    host_key_policy: HostKeyPolicy
    known_hosts: Path
    credentials: Callable[[], Credentials]
    timeouts: Timeouts = Timeouts()
    keepalive_seconds: int = 30

    @property
    def server(self) -> str:
        """How messages name the server."""
        return f"SFTP server {self._address}"

    def uri(self, path: str) -> str:
        """``sftp://host:port/path``, percent-encoded (RFC 3986)."""
        return f"sftp://{self._address}{quote(path)}"

    @property
    def _address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
