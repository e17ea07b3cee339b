"""Other processes that use the store: one that works on audio until its input ends, or it is killed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WORKER = """
import sys
from pathlib import Path
from audio_compressor.retention.store import AudioStore

store = AudioStore(Path(sys.argv[1]))
with store.begin(sys.argv[2]):
    print("begun", flush=True)
    sys.stdin.read()
    store.finish(sys.argv[2], "completed")
"""
# Killed at the start of the n-th step that changes what a directory holds; ends well when there are fewer.
_SAVER = """
import os
import signal
import sys
from pathlib import Path
from audio_compressor.retention.store import AudioStore

steps = int(sys.argv[3])

def count(event, arguments):
    global steps
    if event in {"os.mkdir", "os.rename", "os.remove"} or (event == "open" and arguments[2] & os.O_CREAT):
        steps -= 1
        if steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)

store, source = AudioStore(Path(sys.argv[1])), Path(sys.argv[4])
sys.addaudithook(count)
store.save(source, "talk.wav", sys.argv[2])
"""


@contextmanager
def working(directory: Path, job_id: str) -> Iterator["subprocess.Popen[str]"]:
    """A worker that has begun; it finishes at the end of the block, unless it was killed."""
    command = [sys.executable, "-c", _WORKER, str(directory), job_id]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        try:
            yield process
        finally:
            process.communicate(timeout=30)


def save_and_be_killed(directory: Path, job_id: str, source: Path, step: int) -> int:
    command = [sys.executable, "-c", _SAVER, str(directory), job_id, str(step), str(source)]
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode
