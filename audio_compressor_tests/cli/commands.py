"""Runs the command as a user does: in a process of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


def audio_compressor(*arguments: str, cwd: Path) -> Ended:
    """Run to the end; Python's warnings are errors here too."""
    command = [sys.executable, "-m", "audio_compressor", *arguments]
    done = subprocess.run(command, cwd=cwd, env=os.environ, capture_output=True, text=True, timeout=150, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)
