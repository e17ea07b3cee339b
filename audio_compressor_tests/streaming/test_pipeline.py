"""A batch of tracks that is stopped in the midst of its work leaves nothing behind, at once."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import FrameType

import pytest

from audio_compressor.audio.ffmpeg import find_ffmpeg
from audio_compressor.audio.normalization import LoudnessTarget
from audio_compressor.retries import Retry
from audio_compressor.streaming.model import Recipe, TrackProgress, TrackTools, Work
from audio_compressor.streaming.pipeline import process_tracks
from audio_compressor.tracks.bucket import TrackBucket
from audio_compressor.tracks.track import Track
from audio_compressor_tests.fixtures.music import PUBLISHED, Music
from audio_compressor_tests.fixtures.s3_server import BUCKET
from audio_compressor_tests.soak.disks import disk, fill

RECIPE = Recipe(LoudnessTarget(), "limit", "fast", 10, "mpegts")


class Stop(Exception):  # noqa: N818
    """What a person's Ctrl+C is to the thread that drives the batch."""


class At(TrackProgress):
    """Sends a signal when a stage is reached."""

    def __init__(self, stage: str) -> None:
        self.reached_at_seconds = 0.0
        self._stage = stage

    def downloading(self, *_: object) -> None:
        self._at("downloading")

    def encoding(self, *_: object) -> None:
        self._at("encoding")

    def publishing(self, *_: object) -> None:
        self._at("publishing")

    def _at(self, stage: str) -> None:
        if stage == self._stage and not self.reached_at_seconds:
            self.reached_at_seconds = time.monotonic()
            os.kill(os.getpid(), signal.SIGALRM)


@pytest.fixture(autouse=True)
def _signal_stops() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def tools(music: Music, tmp_path: Path) -> Callable[[TrackBucket], TrackTools]:
    return lambda bucket: TrackTools(bucket, RECIPE, find_ffmpeg(), 1, tmp_path / "staging")


def threads() -> set[str]:
    return {thread.name.partition("_")[0] for thread in threading.enumerate()} & {
        *("download", "encode", "publish", "rendition")
    }


def test_a_track_that_takes_more_than_was_foretold_fails_alone(
    music: Music, tools: Callable[[TrackBucket], TrackTools], tmp_path: Path
) -> None:
    """Its sound, as floats, has 200 times the size of its file: in each night, all tracks of its run waited again."""
    made = ("-f", "lavfi", "-i", "sine=997:duration=400", "-ar", "16000", "-b:a", "8k", str(tmp_path / "long.mp3"))
    subprocess.run([find_ffmpeg().binary, "-v", "error", *made], check=True)
    music.put("long.mp3", (tmp_path / "long.mp3").read_bytes())
    music.put("good.wav")
    works = [Work(Track("long.mp3")), Work(Track("good.wav"))]
    with disk(tmp_path / "staging") as is_mounted:
        if not is_mounted:
            pytest.skip("no file system can be mounted here")
        fill(tmp_path / "staging", 100_000_000)
        with TrackBucket(BUCKET, endpoint_url=music.server.url, retry=Retry(1, 0)) as bucket:
            outcomes = {each.key: each for each in process_tracks(works, tools(bucket), run_id="run")}
    assert {key: outcome.status for key, outcome in outcomes.items()} == {"long": "failed", "good": "success"}
    assert "no space" in str(outcomes["long"].reason).lower()


@pytest.mark.parametrize("stage", ["downloading", "encoding", "publishing"])
def test_stopped(music: Music, tools: Callable[[TrackBucket], TrackTools], tmp_path: Path, stage: str) -> None:
    works = [Work(Track(f"song-{number}.wav")) for number in range(4)]
    for work in works:
        music.put(work.track.file_name, seconds=40)
    progress = At(stage)
    with TrackBucket(BUCKET, endpoint_url=music.server.url, retry=Retry(1, 0)) as bucket:
        batch = process_tracks(works, tools(bucket), run_id="run", progress=progress)
        with pytest.raises(Stop), closing(batch):
            for _ in batch:
                pass
    assert time.monotonic() - progress.reached_at_seconds < 5
    assert threads() == set()
    assert list((tmp_path / "staging").glob("*/*")) == []
    published = set(music.server.keys(PUBLISHED))
    for work in works:  # a master is the last to be written, so what it leads to is there
        if f"{PUBLISHED}{work.key}/playlist.m3u8" in published:
            assert published >= {f"{PUBLISHED}{work.key}/{name}/playlist.m3u8" for name in ("low", "med", "high")}


def test_a_mistake_in_the_program_ends_the_batch(
    music: Music, tools: Callable[[TrackBucket], TrackTools], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(TrackProgress):
        def publishing(self, *_: object) -> None:
            raise SystemError

    music.put("song.wav")
    with TrackBucket(BUCKET, endpoint_url=music.server.url, retry=Retry(1, 0)) as bucket:
        [outcome] = process_tracks([Work(Track("song.wav"))], tools(bucket), run_id="run", progress=Broken())
    assert outcome.status == "failed"
    assert outcome.reason == "unexpected SystemError; the log of the run says more"
    assert "unexpected error" in caplog.text


def test_what_is_staged_at_a_time_is_bounded(
    music: Music, tools: Callable[[TrackBucket], TrackTools], tmp_path: Path
) -> None:
    staged: list[int] = []

    class Counting(TrackProgress):
        def downloading(self, *_: object) -> None:
            staged.append(sum(path.is_dir() for path in (tmp_path / "staging/run").iterdir()))

    works = [Work(Track(f"song-{number}.wav")) for number in range(8)]
    for work in works:
        music.put(work.track.file_name)
    with TrackBucket(BUCKET, endpoint_url=music.server.url, retry=Retry(1, 0)) as bucket:
        outcomes = list(process_tracks(works, tools(bucket), run_id="run", progress=Counting()))
    assert [outcome.status for outcome in outcomes] == ["success"] * 8
    assert 1 < max(staged) <= 3  # one that is encoded, one that comes, one that is published
