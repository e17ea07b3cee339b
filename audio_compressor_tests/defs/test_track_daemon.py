"""Uploads as they come in at a deployment: a real daemon and code server, real runs, and one of these killed."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from audio_compressor.defs.names import HLS_RENDITIONS, PARTITION_TAG, PROCESS_TAG
from audio_compressor_tests.defs.test_daemon import running_daemon
from audio_compressor_tests.defs.test_tracks import states
from audio_compressor_tests.fixtures.music import FAILED, PUBLISHED, RAW, Music
from audio_compressor_tests.fixtures.s3_server import BUCKET, Answer, Call, Drop
from audio_compressor_tests.tracks.listener import play

_PATIENCE_SECONDS = 120.0
_SECONDS = 3.0


class Stall:
    """Keeps whoever reads a key waiting, until it is lifted; then the connection is dropped."""

    def __init__(self, key: str) -> None:
        self.reading = threading.Event()
        self._key = key
        self._lifted = threading.Event()

    def __call__(self, call: Call) -> Answer | None:
        if (call.method, call.key) == ("GET", self._key) and not self._lifted.is_set():
            self.reading.set()
            self._lifted.wait(_PATIENCE_SECONDS)
            raise Drop
        return None

    def lift(self) -> None:
        self._lifted.set()


def wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def published(music: Music) -> Counter[str]:
    """How often the master of each track was written."""
    masters = (call.key for call in music.server.calls if call.method == "PUT" and call.key.endswith("/playlist.m3u8"))
    folders = (key.removeprefix(PUBLISHED).split("/") for key in masters)
    return Counter(folder[0] for folder in folders if len(folder) == 2)


@pytest.mark.long
@pytest.mark.timeout(400)
def test_uploads_come_in_and_a_run_is_killed(music: Music, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    for name in ("first.wav", "second.wav"):
        music.add(name, seconds=_SECONDS)
    music.add("spoilt.mp3", b"no sound in here" * 100)
    stall = Stall(f"{RAW}late-2.wav")
    with running_daemon(tmp_path), music.server.hooked(before=stall):
        try:
            wait_until(lambda: set(music.catalog.statuses().values()) == {"completed", "failed"}, "the first look")
            assert music.status("spoilt.mp3") == "failed"
            assert "holds no sound" in music.error_message("spoilt.mp3")
            assert music.server.keys(FAILED) == [f"{FAILED}spoilt.mp3", f"{FAILED}spoilt.mp3.error.json"]

            wait_until(lambda: all(run.is_finished for run in instance.get_runs()), "the end of the first run")

            # The next look finds two more. Their run has made one of them when it is killed.
            for name in ("late-1.wav", "late-2.wav"):
                music.add(name, seconds=_SECONDS)
            assert stall.reading.wait(_PATIENCE_SECONDS)
            wait_until(lambda: music.status("late-1.wav") == "completed", "the first of them")
            [cut] = [run for run in instance.get_runs() if not run.is_finished]
            assert len(music.claims()) == 1
            os.kill(int(cut.tags[PROCESS_TAG].split()[3]), signal.SIGKILL)
        finally:
            stall.lift()
        wait_until(lambda: music.status("late-2.wav") == "completed", "the look that releases what it had claimed")
        wait_until(lambda: all(run.is_finished for run in instance.get_runs()), "the end of all runs")
    assert states(instance) == {
        **dict.fromkeys(("first", "second", "late-1", "late-2"), "MATERIALIZED"),
        "spoilt": "FAILED",
    }
    assert music.claims() == []
    assert published(music) == Counter({"first": 1, "second": 1, "late-1": 1, "late-2": 1})
    made = instance.fetch_materializations(HLS_RENDITIONS, limit=100).records
    assert Counter(record.partition_key for record in made) == published(music)
    for key in published(music):
        url = f"{music.server.url}/{BUCKET}/{PUBLISHED}{key}/playlist.m3u8"
        assert play(url) == pytest.approx(_SECONDS, abs=0.1), key
    rest, dead, _ = instance.get_runs()  # the newest first
    assert (dead.run_id, dead.status) == (cut.run_id, dg.DagsterRunStatus.FAILURE)
    assert (rest.tags[PARTITION_TAG], rest.status) == ("late-2", dg.DagsterRunStatus.SUCCESS)
    assert [path for path in (tmp_path / "staging").iterdir() if not path.name.startswith(".")] == []
