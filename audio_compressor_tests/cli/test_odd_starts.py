"""The command as supervisors, scripts and people start it: streams closed, the directory gone, too few files."""

import subprocess
import sys
from pathlib import Path

import pytest

from audio_compressor_tests.fixtures.studio import Studio


def shell(line: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """``RUN`` in the line is the command."""
    script = line.replace("RUN", f"{sys.executable} -P -m audio_compressor")
    return subprocess.run(["/bin/sh", "-c", script], cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(studio: Studio, tmp_path: Path, closed: str) -> None:
    studio.add("10-17-25")
    ended = shell(f"RUN run {closed}", tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "10-17-25_compressed.wav" in studio.results()


def test_a_working_directory_that_was_deleted(studio: Studio, tmp_path: Path) -> None:
    studio.add("10-17-25")
    ended = shell("mkdir gone && cd gone && rmdir ../gone && RUN run", tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "10-17-25_compressed.wav" in studio.results()


def test_large_stacks(studio: Studio, tmp_path: Path) -> None:
    """Those of FFmpeg's threads count in its memory limit."""
    studio.add("10-17-25")
    ended = shell("ulimit -s 131072; RUN run", tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr


_USE_UP_FILES = """
import os, resource
from audio_compressor.audio.ffmpeg import find_ffmpeg
from audio_compressor.errors import FfmpegMissingError
binary = find_ffmpeg().binary
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    while True:
        os.dup(0)
except OSError:
    pass
try:
    find_ffmpeg(str(binary))
except FfmpegMissingError as error:
    print(error)
"""


def test_too_few_open_files_are_called_by_their_name() -> None:
    done = subprocess.run([sys.executable, "-c", _USE_UP_FILES], capture_output=True, text=True, check=True)
    assert "too many open files; raise the limit, with ulimit -n" in done.stdout
