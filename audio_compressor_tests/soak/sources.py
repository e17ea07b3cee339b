"""The recordings on the server: every version that ever existed, what it sounds like, and how one becomes the next."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Literal

from audio_compressor.recording import Fingerprint
from audio_compressor_tests.soak.melody import Melody
from audio_compressor_tests.wav_files import opposite_phase, with_dead_channel, write_truncated_wav, write_wav

AUDIO, METADATA = "StereoMix.wav", "Meta.xml"
# SFTP tells whole seconds, so what is 1.1 s old may look 2 s old: half of it is what really counts.
SETTLE_SECONDS = 2
SETTLED_FOR_SURE_SECONDS = SETTLE_SECONDS + 1.5
_DAY = 86_400

Change = Literal["rewrite", "grow", "replace"]
Writer = Callable[[Path, Melody], None]


def _plain(path: Path, melody: Melody) -> None:
    write_wav(path, melody.sound(channels=2, sample_rate_hz=44_100, level_dbfs=-12))


def _mono_24_bits(path: Path, melody: Melody) -> None:
    write_wav(path, melody.sound(channels=1, sample_rate_hz=48_000, level_dbfs=-12), sample_rate_hz=48_000, kind="s24")


def _hot_float(path: Path, melody: Melody) -> None:
    write_wav(path, melody.sound(channels=2, sample_rate_hz=44_100, level_dbfs=6), kind="f32")


def _rf64(path: Path, melody: Melody) -> None:
    write_wav(path, melody.sound(channels=2, sample_rate_hz=44_100, level_dbfs=-12), container="RF64")


def _w64(path: Path, melody: Melody) -> None:
    write_wav(path, melody.sound(channels=2, sample_rate_hz=44_100, level_dbfs=-12), container="W64")


def _crashed_recorder(path: Path, melody: Melody) -> None:
    sound = melody.sound(channels=2, sample_rate_hz=44_100, level_dbfs=-12)
    write_wav(path, sound, declared_data_bytes=0)


def _cut_copy(path: Path, melody: Melody) -> None:
    whole = Melody(melody.seed, 2 * melody.seconds).sound(channels=2, sample_rate_hz=44_100, level_dbfs=-12)
    write_truncated_wav(path, whole, keep=0.5)


def _opposite_phase(path: Path, melody: Melody) -> None:
    write_wav(path, opposite_phase(melody.sound(channels=2, sample_rate_hz=44_100, level_dbfs=-12)))


def _dead_channel(path: Path, melody: Melody) -> None:
    write_wav(path, with_dead_channel(melody.sound(channels=2, sample_rate_hz=44_100, level_dbfs=-12)))


KINDS: Mapping[str, Writer] = {
    "plain": _plain,
    "mono, 24 bits": _mono_24_bits,
    "float over full scale": _hot_float,
    "RF64": _rf64,
    "W64": _w64,
    "of a crashed recorder": _crashed_recorder,
    "cut copy": _cut_copy,
    "opposite phase": _opposite_phase,
    "dead channel": _dead_channel,
}


@dataclass(frozen=True)
class Version:
    """One state of an audio file. ``settled_at_seconds`` (Unix time) is from when on a night has to take it."""

    directory: str
    kind: str
    melody: Melody
    sha256: str
    fingerprint: Fingerprint
    settled_at_seconds: float


class Sources:
    """Thread-safe: the server's thread changes files while they are read."""

    def __init__(self, root: Path, scratch: Path, seed: int) -> None:
        self.root = root
        self._scratch = scratch
        self._seeds = seed * 1_000_003
        self._lock = threading.RLock()
        self._versions: dict[str, list[Version]] = {}
        root.mkdir(parents=True)
        scratch.mkdir()

    def audio(self, directory: str) -> Path:
        return self.root / directory / AUDIO

    def metadata(self, directory: str) -> bytes:
        return f"<Recording><Title>Session of {directory} &amp; more</Title></Recording>".encode()

    def directories(self) -> list[str]:
        with self._lock:
            return list(self._versions)

    def versions(self, directory: str) -> list[Version]:
        with self._lock:
            return list(self._versions.get(directory, []))

    def current(self, directory: str) -> Version:
        return self.versions(directory)[-1]

    def wait_until_settled(self) -> None:
        """Until a night has to take everything that is there."""
        latest = max(self.current(directory).settled_at_seconds for directory in self.directories())
        time.sleep(max(0.0, latest - time.time()))

    def add(self, random: Random) -> Version:
        """A new, settled recording."""
        with self._lock:
            number = len(self._versions)
            directory = f"{date(2024, 1, 1) + timedelta(days=number // 3):%m-%d-%y}-{number % 3 + 1:02}"
            melody = Melody(self._next_seed(), _length_seconds(random))
            kind = random.choice(list(KINDS))
            path = self.audio(directory)
            path.parent.mkdir()
            (path.parent / METADATA).write_bytes(self.metadata(directory))
            path.write_bytes(self._render(kind, melody))
            return self._remember(directory, kind, melody, settled=True)

    def change(self, directory: str, change: Change, random: Random) -> Version:
        """Give the recording another content, in one of the ways in which that happens."""
        with self._lock:
            old = self.current(directory)
            grown = change == "grow"
            seconds = old.melody.seconds + (random.uniform(0.5, 4.0) if grown else 0.0)
            melody = Melody(old.melody.seed if grown else self._next_seed(), seconds)
            content = self._render(old.kind, melody)
            path = self.audio(directory)
            if change == "replace":
                other = self._scratch / "replacement"
                other.write_bytes(content)
                other.replace(path)
            else:
                with path.open("r+b") as file:
                    file.write(content)
            was_fresh = time.time() < old.settled_at_seconds + SETTLED_FOR_SURE_SECONDS
            return self._remember(directory, old.kind, melody, settled=was_fresh or random.random() < 0.5)

    def _remember(self, directory: str, kind: str, melody: Melody, *, settled: bool) -> Version:
        """``settled``: with a time of yesterday, another one for each version; else with the time that it is."""
        path = self.audio(directory)
        settled_at_seconds = time.time() if settled else time.time() + SETTLED_FOR_SURE_SECONDS
        if settled:
            then = int(time.time()) - _DAY + 2 * len(self._versions.get(directory, []))
            os.utime(path, (then, then))
        found = path.stat()
        version = Version(
            directory,
            kind,
            melody,
            hashlib.sha256(path.read_bytes()).hexdigest(),
            Fingerprint(found.st_size, int(found.st_mtime)),
            settled_at_seconds,
        )
        self._versions.setdefault(directory, []).append(version)
        return version

    def _render(self, kind: str, melody: Melody) -> bytes:
        path = self._scratch / "rendered"
        KINDS[kind](path, melody)
        return path.read_bytes()

    def _next_seed(self) -> int:
        self._seeds += 1
        return self._seeds


def _length_seconds(random: Random) -> float:
    """Mostly short, some long enough to be met in the middle; in whole samples at every rate."""
    return round(random.uniform(1.0, 4.0) if random.random() < 0.7 else random.uniform(8.0, 25.0), 2)
