"""A signal at any moment of a command, from its first import on, ends it with 130 and one line."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from audio_compressor_tests.fixtures.studio import Studio

# Moments that a soak of some hundred rounds met. Each program sends itself the signal then.
HANDING_BACK_A_CONNECTION = """
import os
import signal
from audio_compressor.cli.environment import exit_on_errors

with exit_on_errors():
    import sqlalchemy as sa

    engine = sa.create_engine("sqlite://", poolclass=sa.pool.NullPool)
    sa.event.listen(engine, "reset", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
"""
IN_A_FINALIZER_DURING_A_STEP = """
import os
import signal
import time
import weakref
from audio_compressor.cli.environment import exit_on_errors

class Thing: pass

def finalize(_):
    os.kill(os.getpid(), signal.SIGTERM)
    sum(range(1000))  # somewhere in here Python looks for signals

with exit_on_errors():
    from dagster._core.errors import raise_execution_interrupts

    with raise_execution_interrupts():
        try:
            thing = Thing()
            reference = weakref.ref(thing, finalize)
            del thing
            time.sleep(10)
        except BaseException as error:
            print(type(error).__name__)
            raise KeyboardInterrupt
"""
AT_THE_END_OF_A_RUN = """
import os
import signal
from dagster import DagsterInstance
from audio_compressor.cli.main import main

store = DagsterInstance.handle_new_event

def handle_new_event(self, event, **options):
    store(self, event, **options)
    if event.is_dagster_event and event.dagster_event.is_job_success:
        os.kill(os.getpid(), getattr(signal, sys.argv.pop()))

import sys
DagsterInstance.handle_new_event = handle_new_event
main(["run"])
"""


def is_past_the_start(process: "subprocess.Popen[bytes]") -> bool:
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(caught & 1 << (signal.SIGTERM - 1))


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after_seconds", [0.0, 0.1, 0.3, 0.6])
def test_while_it_still_imports(studio: Studio, tmp_path: Path, number: signal.Signals, after_seconds: float) -> None:
    studio.add("10-17-25")
    process = subprocess.Popen(
        [sys.executable, "-m", "audio_compressor", "run"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not is_past_the_start(process):
        time.sleep(0.002)
    threading.Event().wait(after_seconds)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err.decode()
    assert err.decode().splitlines()[-1].startswith("audio-compressor: interrupted")
    assert b"Traceback" not in err
    assert studio.leftovers() == []


def execute(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("program", [HANDING_BACK_A_CONNECTION, IN_A_FINALIZER_DURING_A_STEP])
def test_inside_of_what_catches_everything(program: str) -> None:
    ended = execute(program)
    assert ended.returncode == 130
    assert ended.stderr == "audio-compressor: interrupted; what was finished stays\n"


@pytest.mark.parametrize("number", ["SIGHUP", "SIGTERM"])
def test_when_the_last_step_of_a_run_is_done(studio: Studio, monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    monkeypatch.setenv("BATCH_SIZE", "1")
    for key in ("10-17-25", "10-18-25"):
        studio.add(key)
    ended = execute(AT_THE_END_OF_A_RUN, number)
    assert ended.returncode == 130, ended.stderr
    assert ended.stderr.endswith("audio-compressor: interrupted; what was finished stays\n")
    assert [path.name for path in studio.output.iterdir() if path.suffix == ".wav"] == ["10-17-25_compressed.wav"]
