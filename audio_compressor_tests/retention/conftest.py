"""A store, a clock that tests turn, and something to put in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audio_compressor.retention.store import AudioStore
from audio_compressor_tests.wav_files import tone, write_wav


@dataclass
class Clock:
    """Runs as the real one does, from an hour that can be set."""

    ahead: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def turn(self, **by: float) -> None:
        self.ahead += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Callable[[], datetime]) -> AudioStore:
    return AudioStore(tmp_path / "store", now=clock)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    path = tmp_path / "talk.wav"
    write_wav(path, tone(0.1, level_dbfs=-20.0, frequency_hz=440.0))
    return path
