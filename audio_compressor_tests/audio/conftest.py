"""The real FFmpeg, and children that are killed when a test ends."""

from collections.abc import Iterator

import pytest

from audio_compressor.audio.ffmpeg import Ffmpeg, find_ffmpeg
from audio_compressor.processes import ChildProcesses


@pytest.fixture(scope="session")
def ffmpeg() -> Ffmpeg:
    return find_ffmpeg()


@pytest.fixture
def children() -> Iterator[ChildProcesses]:
    registry = ChildProcesses()
    yield registry
    registry.kill_all()
