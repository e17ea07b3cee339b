"""Downloads in a process of their own: the same results and errors as in this one, and no process that stays."""

import hashlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from audio_compressor.errors import (
    AudioCompressorError,
    AuthenticationError,
    CancelledError,
    ConnectionLostError,
    CredentialsError,
    RemoteFileMissingError,
    SourceChangedError,
    TimedOutError,
)
from audio_compressor.recording import Fingerprint
from audio_compressor.sftp.connection import SftpEndpoint
from audio_compressor.sftp.credentials import Credentials
from audio_compressor.sftp.process import SftpProcess
from audio_compressor_tests.fixtures.directories import names_in
from audio_compressor_tests.fixtures.sftp_servers import PASSWORD, FaultyServer, password_credentials
from audio_compressor_tests.test_processes import is_alive, wait_for

SIZE_BYTES = 5_000_003
REMOTE = "/audio.wav"

# Another process that downloads, to be killed; its arguments are port, known_hosts and the local path.
PARENT = """
import sys, threading
from pathlib import Path
from audio_compressor.sftp.process import SftpProcess
from audio_compressor_tests.fixtures.sftp_servers import endpoint_for

process = SftpProcess(endpoint_for(int(sys.argv[1]), Path(sys.argv[2])))
never = threading.Event()
expected = process.stat("/audio.wav", cancel=never).fingerprint
process.download("/audio.wav", Path(sys.argv[3]), expected=expected, cancel=never)
"""


@pytest.fixture
def content(sftp_root: Path) -> bytes:
    content = os.urandom(SIZE_BYTES)
    (sftp_root / "audio.wav").write_bytes(content)
    return content


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    path = tmp_path / "staging"
    path.mkdir()
    return path


@pytest.fixture
def process(faulty_endpoint: SftpEndpoint, content: bytes) -> Iterator[SftpProcess]:
    with closing(SftpProcess(faulty_endpoint)) as process:
        yield process
    assert workers() == []


def workers(parent: int | None = None) -> list[int]:
    """The ids of the download processes that ``parent``, or this process, has started."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            parent_of = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
            command = (directory / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent_of == (parent or os.getpid()) and b"audio_compressor.sftp.worker" in command:
            found.append(int(directory.name))
    return found


def download(process: SftpProcess, staging: Path, cancel: threading.Event | None = None) -> str:
    never = threading.Event()
    expected = process.stat(REMOTE, cancel=never).fingerprint
    return process.download(REMOTE, staging / "out.wav", expected=expected, cancel=cancel or never)


def test_download_is_byte_for_byte(process: SftpProcess, content: bytes, staging: Path) -> None:
    told: list[int] = []
    never = threading.Event()
    expected = process.stat(REMOTE, cancel=never).fingerprint
    sha256 = process.download(REMOTE, staging / "out.wav", expected=expected, cancel=never, on_bytes=told.append)
    assert expected.size_bytes == sum(told) == SIZE_BYTES
    assert len(told) > 1
    assert (staging / "out.wav").read_bytes() == content
    assert sha256 == hashlib.sha256(content).hexdigest()
    assert len(workers()) == 1


def no_credentials() -> Credentials:
    raise CredentialsError("There are none in this test")


@pytest.mark.parametrize(
    ("credentials", "remote", "size_bytes", "error", "text"),
    [
        (password_credentials, "/nowhere.wav", SIZE_BYTES, RemoteFileMissingError, r"/nowhere\.wav"),
        (password_credentials, REMOTE, SIZE_BYTES + 1, SourceChangedError, r"/audio\.wav"),
        (lambda: password_credentials("wrong"), REMOTE, SIZE_BYTES, AuthenticationError, "127.0.0.1"),
        (no_credentials, REMOTE, SIZE_BYTES, CredentialsError, "There are none in this test"),
    ],
)
def test_errors_keep_class_and_text(
    faulty_endpoint: SftpEndpoint,
    content: bytes,
    staging: Path,
    credentials: Callable[[], Credentials],
    remote: str,
    size_bytes: int,
    error: type[AudioCompressorError],
    text: str,
) -> None:
    expected = Fingerprint(
        size_bytes, int((faulty_endpoint.known_hosts.parent / "sftp-root/audio.wav").stat().st_mtime)
    )
    with closing(SftpProcess(replace(faulty_endpoint, credentials=credentials))) as process:
        for _ in range(2):  # the process is as good as before
            with pytest.raises(error, match=text) as raised:
                process.download(remote, staging / "out.wav", expected=expected, cancel=threading.Event())
            assert type(raised.value) is error
            assert PASSWORD not in str(raised.value)
        assert len(workers()) == 1
    assert names_in(staging) == []


def test_credentials_are_looked_up_at_each_connection(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, content: bytes, staging: Path
) -> None:
    passwords = ["wrong", PASSWORD]
    endpoint = replace(faulty_endpoint, credentials=lambda: password_credentials(passwords.pop(0)))
    with closing(SftpProcess(endpoint)) as process:
        with pytest.raises(AuthenticationError):
            download(process, staging)
        assert download(process, staging) == hashlib.sha256(content).hexdigest()
    assert passwords == []


def test_its_log_arrives_here(process: SftpProcess, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "audio_compressor"):
        process.stat(REMOTE, cancel=threading.Event())
    [record] = [record for record in caplog.records if "first contact" in record.getMessage().lower()]
    assert record.name == "audio_compressor.sftp.hostkeys"
    assert record.process == os.getpid()


def test_an_unexpected_error_is_a_runtime_error_with_its_traceback_in_the_log(
    process: SftpProcess, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RuntimeError, match="TypeError: "):
        process.stat(cast("str", None), cancel=threading.Event())
    assert "Traceback (most recent call last)" in caplog.text
    assert process.stat(REMOTE, cancel=threading.Event()).size_bytes == SIZE_BYTES
    assert len(workers()) == 1


def test_killed_in_the_middle_then_whole(
    faulty_server: FaultyServer, process: SftpProcess, content: bytes, staging: Path
) -> None:
    def kill(offset: int) -> None:
        if offset > SIZE_BYTES // 2:
            faulty_server.faults.on_read = None
            for pid in workers():
                os.kill(pid, signal.SIGKILL)

    faulty_server.faults.on_read = kill
    with pytest.raises(ConnectionLostError, match=r"exit code -9; .* out of memory"):
        download(process, staging)
    assert workers() == []
    assert download(process, staging) == hashlib.sha256(content).hexdigest()
    assert (staging / "out.wav").read_bytes() == content


def test_cancelled_while_the_server_is_silent(
    faulty_server: FaultyServer, process: SftpProcess, content: bytes, staging: Path
) -> None:
    faulty_server.faults.stall_reads.set()
    cancel, cancelled_at_seconds = threading.Event(), []

    def cancel_it() -> None:
        assert faulty_server.faults.reading.wait(10)
        cancelled_at_seconds.append(time.monotonic())
        cancel.set()

    thread = threading.Thread(target=cancel_it)
    thread.start()
    with pytest.raises(CancelledError, match=r"/audio\.wav"):
        download(process, staging, cancel)
    thread.join()
    assert time.monotonic() - cancelled_at_seconds[0] < 1.5
    assert workers() == []
    assert not (staging / "out.wav").exists()


def test_one_that_is_stopped_is_given_up(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, content: bytes, staging: Path
) -> None:
    """By SIGSTOP, or because it hangs: no time limit of its own would end that."""
    faulty_server.faults.stall_reads.set()
    process = SftpProcess(faulty_endpoint, silence_seconds=3.0)
    with closing(process), ThreadPoolExecutor(1) as thread:
        downloading = thread.submit(download, process, staging)
        assert faulty_server.faults.reading.wait(30)
        [worker] = workers()
        os.kill(worker, signal.SIGSTOP)
        faulty_server.faults.stall_reads.clear()
        with pytest.raises(TimedOutError, match=r"/audio\.wav: the process that downloads said nothing for 3 s"):
            downloading.result(timeout=30)
        assert workers() == []
        assert download(process, staging) == hashlib.sha256(content).hexdigest()


def test_it_ends_when_the_process_that_started_it_is_killed(
    faulty_server: FaultyServer, content: bytes, staging: Path, tmp_path: Path
) -> None:
    faulty_server.faults.stall_reads.set()
    arguments = [str(faulty_server.port), str(tmp_path / "known_hosts"), str(staging / "out.wav")]
    with subprocess.Popen([sys.executable, "-c", PARENT, *arguments]) as parent:
        assert faulty_server.faults.reading.wait(30)
        [worker] = workers(parent.pid)
        parent.kill()
    try:
        wait_for(lambda: not is_alive(worker), seconds=5)
    finally:
        if is_alive(worker):
            os.kill(worker, signal.SIGKILL)


def test_nobody_sees_the_password(process: SftpProcess) -> None:
    process.stat(REMOTE, cancel=threading.Event())
    [worker] = workers()
    for name in ("cmdline", "environ"):
        shown = Path(f"/proc/{worker}/{name}").read_bytes()
        assert shown
        assert PASSWORD.encode() not in shown, name
