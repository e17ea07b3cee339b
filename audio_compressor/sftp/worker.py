"""The other side of process.py: holds one SFTP connection and does what it is asked over a pipe, until that closes.

To every request it sends pairs of a kind and a value: any number of ``bytes``, ``log`` and ``credentials`` (which wants
an answer itself), then one ``answer``, which is a result or an exception.
"""

import logging
import os
import sys
import threading
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from audio_compressor.errors import AudioCompressorError
from audio_compressor.recording import Fingerprint
from audio_compressor.sftp.connection import SftpConnection, SftpEndpoint
from audio_compressor.sftp.credentials import Credentials

log = logging.getLogger(__name__)


def main(descriptor: int) -> None:
    """Serve the pipe with this file descriptor."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pipe: Connection[Any, Any] = Connection(descriptor)
    try:
        level, endpoint = pipe.recv()
        logging.basicConfig(handlers=[_ToPipe(pipe)], level=level, format="%(message)s")
        with SftpConnection(SftpEndpoint(**endpoint, credentials=partial(_ask_for_credentials, pipe))) as sftp:
            while True:
                operation, arguments = pipe.recv()
                pipe.send(("answer", _answer(sftp, pipe, operation, arguments)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)  # nobody is there any more, or wants anything; there is nothing to tidy up


def _end_with_parent() -> None:
    """A killed run must not leave us waiting for a silent server, with its output open: a test waited for a minute."""
    sys.stdin.buffer.read()
    os._exit(0)


def _answer(sftp: SftpConnection, pipe: "Connection[Any, Any]", operation: str, arguments: Any) -> object:
    try:
        if operation == "stat":
            return sftp.stat(*arguments)
        return _download(sftp, pipe, *arguments)
    except AudioCompressorError as error:
        return error
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:  # what it is made of may not go through a pipe
        log.exception("%s: unexpected error", arguments[0])
        return RuntimeError(f"{type(error).__name__}: {error}")


def _download(
    sftp: SftpConnection, pipe: "Connection[Any, Any]", remote: str, local: Path, expected: Fingerprint
) -> str:
    return sftp.download(remote, local, expected=expected, on_bytes=lambda size_bytes: pipe.send(("bytes", size_bytes)))


def _ask_for_credentials(pipe: "Connection[Any, Any]") -> Credentials:
    pipe.send(("credentials", None))
    answer: Credentials | AudioCompressorError = pipe.recv()
    if isinstance(answer, AudioCompressorError):
        raise answer
    return answer


class _ToPipe(logging.Handler):
    def __init__(self, pipe: "Connection[Any, Any]") -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        self._pipe.send(("log", (record.name, record.levelno, self.format(record))))
