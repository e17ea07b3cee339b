"""The image's HEALTHCHECK against real servers; which they are, the command lines of their processes tell."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from audio_compressor_tests.deploy.probes import free_port

PROGRAMS = Path(sys.executable).parent
_PATIENCE_SECONDS = 120.0

pytestmark = [pytest.mark.timeout(400), pytest.mark.usefixtures("studio", "instance")]


@contextmanager
def running(*command: str, directory: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A program of this environment, by its name as in the image."""
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / command[0]), *command[1:]],
            cwd=directory,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_for_command_line(process)
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def waiting(*words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process with these words in its command line that does nothing."""
    with subprocess.Popen([sys.executable, "-c", "input()", *words], stdin=subprocess.PIPE) as process:
        try:
            _wait_for_command_line(process)
            yield process
        finally:
            process.communicate(b"\n")


def _wait_for_command_line(process: "subprocess.Popen[bytes]") -> None:
    """/proc tells it some microseconds after the program was started."""
    while process.poll() is None and not Path(f"/proc/{process.pid}/cmdline").read_bytes():
        time.sleep(0.001)


def check(process: "subprocess.Popen[bytes]") -> tuple[int, str]:
    command = [sys.executable, "-m", "audio_compressor.healthcheck", str(process.pid)]
    environment = {**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


def wait_until_healthy(process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (found := check(process))[0] != 0:
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < deadline, (found, log.read_text()[-2000:])
        time.sleep(0.5)


@pytest.mark.long
def test_a_code_server_and_its_web_server(tmp_path: Path) -> None:
    port, web_port = free_port(), free_port()
    module = ("--module-name", "audio_compressor.definitions")
    with running("dagster", "api", "grpc", "--port", str(port), *module, directory=tmp_path) as code_server:
        assert check(code_server) == (1, f"the code server on port {port} does not answer: UNAVAILABLE\n")
        wait_until_healthy(code_server, tmp_path / "log")
        arguments = ("--port", str(web_port), "--grpc-port", str(port))
        with running("dagster-webserver", *arguments, directory=tmp_path) as web_server:
            code, reason = check(web_server)
            assert code == 1
            assert reason.startswith(f"the web server on port {web_port} does not answer: ")
            wait_until_healthy(web_server, tmp_path / "log")
            # One that hangs takes connections and says nothing.
            web_server.send_signal(signal.SIGSTOP)
            assert check(web_server) == (1, f"the web server on port {web_port} does not answer: timed out\n")
        code_server.send_signal(signal.SIGSTOP)
        assert check(code_server) == (1, f"the code server on port {port} does not answer: DEADLINE_EXCEEDED\n")


@pytest.mark.long
def test_a_daemon(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """What tells is the database: whether it has heartbeats, and none older than the half hour that Dagster allows."""
    with waiting("dagster-daemon", "run") as silent:
        assert check(silent)[0] == 1
        with running("dagster-daemon", "run", "--empty-workspace", directory=tmp_path) as daemon:
            wait_until_healthy(daemon, tmp_path / "log")
        for beat in instance.get_daemon_heartbeats().values():
            instance.add_daemon_heartbeat(beat._replace(timestamp=time.time() - 3600))
        assert check(silent)[0] == 1


def test_anything_else_is_healthy_while_it_lives() -> None:
    with waiting("audio-compressor", "run", "--port", "1") as run:
        assert check(run) == (0, "")
