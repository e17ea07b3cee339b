"""Downloads in a process of their own (see worker.py): decrypting and hashing leave the interpreter lock to the others.

In one process, a thread that downloads and one that writes events to Dagster's database take the lock from each other:
an event took 23 ms to log beside a download, and 6 by itself.
"""

import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from audio_compressor.errors import AudioCompressorError, CancelledError, ConnectionLostError, TimedOutError
from audio_compressor.processes import INTERRUPTIBLE_SECONDS
from audio_compressor.recording import Fingerprint
from audio_compressor.sftp.connection import RemoteEntry
from audio_compressor.sftp.endpoint import SftpEndpoint

# What the process runs: this very package, installed or not, and never what lies in the working directory (-P).
_PROGRAM = (
    "import sys; p = sys.argv[1]; p in sys.path or sys.path.insert(0, p); "
    "from audio_compressor.sftp.worker import main; main(int(sys.argv[2]))"
)
_PACKAGE_PARENT = str(Path(__file__).parents[2])
_ENDING_SECONDS = 2.0
# Its own time limits are shorter. One that was stopped, or hangs, would hold up the run until it is ended as a whole.
_SILENCE_SECONDS = 600.0
# Data arrives in blocks of 32 kB to 1 MB, and glibc would ask the kernel for many of them, and give them back, each
# time: 23 MB at 156 MB/s on a new connection and 320 on an old one; with these, 360 to 440 from the start, at half the
# CPU time. Other C libraries do not know the variables.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024), "MALLOC_TRIM_THRESHOLD_": str(64 * 1024 * 1024)}


class SftpProcess:
    """What a batch needs of `SftpConnection`, with the same errors; used by one thread at a time, and to be closed.

    Credentials are looked up here, each time the process connects, and go to it through a pipe that nobody else sees.
    """

    def __init__(self, endpoint: SftpEndpoint, silence_seconds: float = _SILENCE_SECONDS) -> None:
        self._endpoint = endpoint
        self._silence_seconds = silence_seconds
        self._worker: _Worker | None = None

    def start(self) -> None:
        """Start the process before it is needed; otherwise the first call does, and waits for it."""
        self._running()

    def uri(self, path: str) -> str:
        return self._endpoint.uri(path)

    def stat(self, path: str, *, cancel: threading.Event) -> RemoteEntry:
        """See `SftpConnection.stat`. Raises CancelledError soon after ``cancel`` is set."""
        entry: RemoteEntry = self._call("stat", (path,), cancel)
        return entry

    def download(
        self,
        remote: str,
        local: Path,
        *,
        expected: Fingerprint,
        cancel: threading.Event,
        on_bytes: Callable[[int], None] | None = None,
    ) -> str:
        """See `SftpConnection.download`. When ``cancel`` is set, the part file may be left.

        Raises:
            CancelledError: soon after ``cancel`` is set.
            TimedOutError: also when the process says nothing for long.
        """
        sha256: str = self._call("download", (remote, local, expected), cancel, on_bytes)
        return sha256

    def close(self) -> None:
        """Disconnect and end the process; a later call starts another."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()

    def _running(self) -> "_Worker":
        if self._worker is None:
            self._worker = _Worker(self._endpoint)
        return self._worker

    def _call(
        self,
        operation: str,
        arguments: tuple[object, ...],
        cancel: threading.Event,
        on_bytes: Callable[[int], None] | None = None,
    ) -> Any:
        worker = self._running()
        try:
            answer = worker.call(operation, arguments, cancel, on_bytes, self._silence_seconds)
        except _PipeClosedError as error:
            self._worker = None
            raise ConnectionLostError(
                f"The process that downloads from {self._endpoint.server} ended unexpectedly, with exit code "
                f"{worker.end()}; a negative one is the signal that killed it (9: out of memory?)"
            ) from error
        except BaseException:
            # Whatever it was, the answer is still to come and would be taken for the next one.
            self._worker = None
            worker.kill()
            raise
        if isinstance(answer, Exception):
            raise answer
        return answer


class _PipeClosedError(Exception):
    pass


class _Worker:
    """The process, and the pipe over which requests go and answers come."""

    def __init__(self, endpoint: SftpEndpoint) -> None:
        self._credentials = endpoint.credentials
        self._pipe, its_end = multiprocessing.Pipe()
        with its_end:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, _PACKAGE_PARENT, str(its_end.fileno())],
                pass_fds=[its_end.fileno()],
                stdin=subprocess.PIPE,  # it ends when this closes, be it because we were killed
                start_new_session=True,  # Ctrl+C is for us; we end it
                env={**os.environ, **_KEEP_MEMORY},
            )
        known = {field.name: getattr(endpoint, field.name) for field in fields(endpoint) if field.name != "credentials"}
        with suppress(BrokenPipeError):  # it has ended already; the first request tells
            self._pipe.send((logging.getLogger("audio_compressor").getEffectiveLevel(), known))

    def call(
        self,
        operation: str,
        arguments: tuple[object, ...],
        cancel: threading.Event,
        on_bytes: Callable[[int], None] | None,
        silence_seconds: float,
    ) -> Any:
        """The result, or the exception that it is instead."""
        self._send((operation, arguments))
        while True:
            deadline = time.monotonic() + silence_seconds
            while not cancel.is_set() and not self._pipe.poll(INTERRUPTIBLE_SECONDS):
                if time.monotonic() > deadline:
                    raise TimedOutError(
                        f"{arguments[0]}: the process that downloads said nothing for {silence_seconds:g} s"
                    )
            if cancel.is_set():
                raise CancelledError(f"{arguments[0]}: stopped, for the run is being cancelled")
            kind, value = self._receive()
            if kind == "answer":
                return value
            if kind == "credentials":
                self._send_credentials()
            elif kind == "log":
                name, level, text = value
                logging.getLogger(name).log(level, "%s", text)
            elif on_bytes is not None:
                on_bytes(value)

    def kill(self) -> None:
        self._process.kill()
        self.end()

    def end(self) -> int:
        """Let the process disconnect and end, or kill it; returns its exit code."""
        self._pipe.close()
        with self._process as process:
            try:
                return process.wait(_ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                return process.wait()

    def _send_credentials(self) -> None:
        try:
            answer: object = self._credentials()
        except AudioCompressorError as error:
            answer = error
        self._send(answer)

    def _send(self, message: object) -> None:
        try:
            self._pipe.send(message)
        except OSError as error:
            raise _PipeClosedError from error

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise _PipeClosedError from error
