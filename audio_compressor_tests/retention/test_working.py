"""Audio that is worked on: by one at a time, as the kernel tells, and what is deleted when."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from audio_compressor.errors import PermanentError, StorageError
from audio_compressor.retention.locks import locked
from audio_compressor.retention.store import AudioStore
from audio_compressor_tests.fixtures.directories import names_in
from audio_compressor_tests.retention.conftest import Clock
from audio_compressor_tests.retention.workers import working

JOB = "0d3e7b1c-6f0a-4b52-9c3a-1f2e3d4c5b6a"
OTHER = "1d3e7b1c-6f0a-4b52-9c3a-1f2e3d4c5b6a"


def document(store: AudioStore) -> dict[str, str]:
    found: dict[str, str] = json.loads((store.directory / f"{JOB}.json").read_text())
    return found


# -- working


def test_the_state_tells_how_far_the_work_has_come(store: AudioStore, talk: Path, clock: Clock) -> None:
    created = store.save(talk, "talk.wav", JOB).state
    clock.turn(minutes=1)
    with store.begin(JOB) as audio:
        assert audio.path.read_bytes() == talk.read_bytes()
        begun = store.state(JOB)
        clock.turn(minutes=1)
        store.finish(JOB, "completed")
    finished = store.state(JOB)
    assert (created.status, begun.status, finished.status) == ("pending", "processing", "completed")
    assert begun.started_at is not None
    assert finished.finished_at is not None
    assert created.created_at < begun.started_at < finished.finished_at
    assert (finished.created_at, finished.started_at) == (created.created_at, begun.started_at)


def test_a_block_that_ends_with_an_exception_has_failed(store: AudioStore, talk: Path) -> None:
    store.save(talk, "talk.wav", JOB)
    with pytest.raises(OSError, match="no\x1bway"), store.begin(JOB):
        raise OSError("no\x1bway")  # the caller's own, and not of the store
    assert (document(store)["status"], document(store)["error"]) == ("failed", "no\ufffdway")
    with store.begin(JOB):  # once more
        assert store.state(JOB).error is None
        store.finish(JOB, "failed", "as the service says")
    assert document(store)["error"] == "as the service says"


def test_what_was_finished_before_an_exception_stays_finished(store: AudioStore, talk: Path) -> None:
    store.save(talk, "talk.wav", JOB)

    def be_interrupted() -> None:
        with store.begin(JOB):
            store.finish(JOB, "completed")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        be_interrupted()
    assert store.state(JOB).status == "completed"


def test_one_works_at_a_time_and_the_kernel_tells_when_it_is_gone(store: AudioStore, talk: Path) -> None:
    store.save(talk, "talk.wav", JOB)
    with working(store.directory, JOB) as worker:
        with pytest.raises(StorageError, match="is being worked on by somebody else"):
            store.finish(JOB, "failed")
        assert store.delete(JOB, only_if=store.state(JOB)) == "in use"
        assert store.path(JOB).exists()
        worker.kill()
    assert store.state(JOB).status == "processing"
    with store.begin(JOB):
        store.finish(JOB, "completed")
    assert store.state(JOB).status == "completed"


def test_a_worker_waits_for_one_who_only_looks(store: AudioStore, talk: Path) -> None:
    store.save(talk, "talk.wav", JOB)
    begun, end = threading.Event(), threading.Event()

    def look() -> None:
        with AudioStore(store.directory).begin(JOB):
            begun.set()
            end.wait(10)

    looking = threading.Thread(target=look)
    looking.start()
    assert begun.wait(10)
    threading.Timer(0.1, end.set).start()
    with store.begin(JOB):
        looking.join()
        store.finish(JOB, "completed")


# -- deleting


def test_audio_and_state_are_deleted(store: AudioStore, talk: Path) -> None:
    for job_id in (JOB, OTHER):
        store.save(talk, "talk.wav", job_id)
    assert store.delete(JOB) == "deleted"
    assert names_in(store.directory) == [f"{OTHER}.json", f"{OTHER}.wav"]
    with store.begin(OTHER):
        assert store.delete(OTHER) == "deleted"  # by the one who works on it
    assert names_in(store.directory) == []


def test_what_has_changed_since_it_was_looked_at_is_not_deleted(store: AudioStore, talk: Path) -> None:
    before = store.save(talk, "talk.wav", JOB).state
    now = store.finish(JOB, "completed")
    assert store.delete(JOB, only_if=before) == "changed"
    assert store.path(JOB).exists()
    assert store.delete(JOB, only_if=now) == "deleted"


def test_what_was_planned_takes_nothing_away_from_the_same_store(store: AudioStore, talk: Path) -> None:
    store.save(talk, "talk.wav", JOB)
    with store.begin(JOB):
        assert store.delete(JOB, only_if=store.state(JOB)) == "in use"
        store.finish(JOB, "completed")


def test_who_waited_for_audio_that_was_exchanged_meanwhile_does_not_get_it(store: AudioStore, talk: Path) -> None:
    path = store.save(talk, "talk.wav", JOB).path
    with ThreadPoolExecutor(1) as pool, locked(path):
        waiting = pool.submit(lambda: store.begin(JOB).__enter__())
        wait_until(lambda: opened_times(path) == 2)
        (store.directory / "other").write_bytes(b"other")
        (store.directory / "other").replace(path)
        assert opened_times(path) == 0
    with pytest.raises(PermanentError, match="No audio is kept"):
        waiting.result()
    assert store.state(JOB).status == "pending"


def opened_times(path: Path) -> int:
    """How many descriptors of this process are of the file that has this name now."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found += descriptor.samefile(path)
    return found


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_state_whose_audio_is_gone_can_be_deleted(store: AudioStore, talk: Path) -> None:
    store.save(talk, "talk.wav", JOB).path.unlink()
    assert store.delete(JOB) == "deleted"
    assert names_in(store.directory) == []
