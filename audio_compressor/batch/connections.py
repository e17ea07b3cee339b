"""Who gives a batch the connection with which it downloads."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from audio_compressor.sftp.endpoint import SftpEndpoint
from audio_compressor.sftp.process import SftpProcess


class SourceConnections:
    """Gives each batch a connection of its own."""

    @contextmanager
    def open(self, endpoint: SftpEndpoint) -> Iterator[SftpProcess]:
        with closing(SftpProcess(endpoint)) as connection:
            yield connection


class SharedConnection(SourceConnections):
    """One for batches that follow each other: to start a process and to connect takes 0.3 s. To be closed."""

    def __init__(self) -> None:
        self._connection: SftpProcess | None = None

    def start(self, endpoint: SftpEndpoint) -> None:
        """Start the process before the first batch needs it."""
        self._of(endpoint).start()

    @contextmanager
    def open(self, endpoint: SftpEndpoint) -> Iterator[SftpProcess]:
        yield self._of(endpoint)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _of(self, endpoint: SftpEndpoint) -> SftpProcess:
        if self._connection is None:
            self._connection = SftpProcess(endpoint)
        return self._connection
