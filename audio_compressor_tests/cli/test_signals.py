"""A signal at any moment of a command, from its first import on, ends it with 130 and one line."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from audio_compressor_tests.fixtures.studio import Studio


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
