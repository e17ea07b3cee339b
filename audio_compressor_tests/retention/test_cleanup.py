"""When kept audio goes: by the plan alone, and with real files, locks and workers that are killed."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_compressor.errors import StorageError
from audio_compressor.retention.cleanup import CleanupResult, clean_up, execute, plan_cleanup
from audio_compressor.retention.inventory import Item, take_stock
from audio_compressor.retention.state import JobState
from audio_compressor.retention.store import AudioStore
from audio_compressor_tests.fixtures.directories import names_in
from audio_compressor_tests.retention.conftest import Clock
from audio_compressor_tests.retention.workers import working

JOB = "0d3e7b1c-6f0a-4b52-9c3a-1f2e3d4c5b6a"
OTHER = "1d3e7b1c-6f0a-4b52-9c3a-1f2e3d4c5b6a"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD = NOW - timedelta(days=365)
PENDING = JobState(JOB, "pending", f"{JOB}.wav", "talk.wav", OLD)
PROCESSING = replace(PENDING, status="processing", started_at=OLD)


def ended(hours: float, status: str = "completed") -> Item:
    state = replace(PROCESSING, status=status, finished_at=NOW - timedelta(hours=hours))  # type: ignore[arg-type]
    return Item(JOB, "job", 100, OLD, state=state)


def part(hours: float) -> Item:
    return Item(f".{JOB}.part", "part", 100, NOW - timedelta(hours=hours))


# -- the plan


@pytest.mark.parametrize(
    ("item", "action", "reason"),
    [
        (ended(24), "delete", "was completed 24.0 hours ago"),
        (ended(23.9), "keep", "was completed 23.9 hours ago"),
        (ended(30, "failed"), "delete", "has failed 30.0 hours ago"),
        (ended(1, "failed"), "keep", "has failed 1.0 hours ago"),
        (ended(-5), "keep", "was completed -5.0 hours ago"),
        (replace(ended(99), is_in_use=True), "keep", "is in use"),
        (replace(ended(99), has_audio=False), "delete", "was completed 99.0 hours ago"),
        (replace(ended(99), problem="it is a link"), "report", "it is a link"),
        (Item(JOB, "job", 1, OLD, state=PENDING), "keep", "waits for its work since 2025-03-01 12:00 UTC"),
        (Item(JOB, "job", 1, OLD, state=PENDING, has_audio=False), "delete", "has a state without audio"),
        (Item(JOB, "job", 1, NOW, state=PENDING, has_audio=False), "keep", "is being saved"),
        (Item(JOB, "job", 1, OLD, is_in_use=True, state=PROCESSING), "keep", "is in use"),
        (Item(JOB, "job", 1, OLD, state=PROCESSING), "delete", "has lost its worker, so it counts as failed"),
        (Item(JOB, "job", 1, NOW - timedelta(hours=23), state=PROCESSING), "keep", "the last sign of life was 23.0 h"),
        (part(24), "delete", "was left by a saver that was killed"),
        (part(23), "keep", "is being saved"),
        (replace(part(99), is_in_use=True), "keep", "is in use"),
        (Item("a.wav", "stranger", 1, OLD), "report", "has no state"),
        (Item("a.wav", "stranger", 1, OLD, state=PROCESSING), "report", "has no state"),
        (replace(ended(99), state=None), "report", "has no state"),
    ],
)
def test_each_has_an_action_and_a_reason(item: Item, action: str, reason: str) -> None:
    [decision] = plan_cleanup(NOW, [item], 24)
    assert (decision.item, decision.action) == (item, action)
    assert reason in decision.reason


_AGES = st.timedeltas(min_value=timedelta(days=-2), max_value=timedelta(days=40))
_ITEMS = st.builds(
    Item,
    name=st.just(JOB),
    kind=st.sampled_from(["job", "part", "stranger"]),
    size_bytes=st.integers(0, 10**12),
    modified_at=_AGES.map(lambda age: NOW - age),
    is_in_use=st.booleans(),
    state=st.none()
    | st.builds(
        JobState,
        job_id=st.just(JOB),
        status=st.sampled_from(["pending", "processing", "completed", "failed"]),
        file_name=st.just(f"{JOB}.wav"),
        original_name=st.just("talk.wav"),
        created_at=st.just(OLD),
        finished_at=st.none() | _AGES.map(lambda age: NOW - age),
    ),
    has_audio=st.booleans(),
    problem=st.none() | st.just("it is a link"),
)


@given(_ITEMS, st.floats(0, 1e300))
def test_what_is_in_use_or_waits_or_is_in_doubt_is_never_deleted(item: Item, retention_hours: float) -> None:
    [decision] = plan_cleanup(NOW, [item], retention_hours)
    assert decision.reason
    if decision.action != "delete":
        return
    assert not item.is_in_use
    assert not item.problem
    if item.kind == "part":
        assert NOW - item.modified_at >= timedelta(days=1)
        return
    assert item.kind == "job"
    assert item.state
    if item.state.status == "pending":
        assert not item.has_audio
    else:
        at = item.modified_at if item.state.status == "processing" else item.state.finished_at
        assert at
        assert (NOW - at).total_seconds() >= retention_hours * 3600


# -- the deed


@contextmanager
def undeletable(path: Path) -> Iterator[None]:
    """A file that something is mounted on cannot be deleted (unlink(2), EBUSY), not even by root."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    command = [mount or "", "--bind", str(path), str(path)]
    if os.getuid() != 0 or not mount or not umount or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting needs root")
    try:
        yield
    finally:
        subprocess.run([umount, str(path)], check=True)


def test_a_directory_that_is_not_there_is_an_empty_one(store: AudioStore) -> None:
    assert clean_up(store, 0) == CleanupResult(0, 0, 0, (), 0, 0, ())
    assert not store.directory.exists()


def test_a_directory_that_cannot_be_listed_is_not_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        clean_up(AudioStore(tmp_path / "file"), 0)


def test_work_that_has_ended_long_ago_goes_and_the_rest_stays(store: AudioStore, talk: Path, clock: Clock) -> None:
    first, second, waiting = JOB, OTHER, JOB.replace("0d", "2d")
    for job_id in (first, second, waiting):
        store.save(talk, "talk.wav", job_id)
    size_bytes = sum((store.directory / f"{first}{suffix}").stat().st_size for suffix in (".wav",))
    store.finish(first, "completed")
    clock.turn(hours=13)
    store.finish(second, "failed", "not this time")
    clock.turn(hours=12)
    result = clean_up(store, 24, clock)
    assert (result.scanned, result.deleted, result.failed, result.kept) == (3, 1, 0, 2)
    assert result.freed_bytes > size_bytes
    assert names_in(store.directory) == sorted(
        f"{job_id}{end}" for job_id in (second, waiting) for end in (".json", ".wav")
    )
    clock.turn(hours=12)
    assert clean_up(store, 24, clock).deleted == 1
    assert store.state(waiting).status == "pending"


def test_audio_in_use_stays_however_old_and_goes_a_while_after_its_worker_was_killed(
    store: AudioStore, talk: Path, clock: Clock
) -> None:
    store.save(talk, "talk.wav", JOB)
    with working(store.directory, JOB) as worker:
        clock.turn(hours=100)
        result = clean_up(store, 24, clock)
        assert (result.scanned, result.deleted, result.kept) == (1, 0, 1)
        worker.kill()
    # The clean-up has seen it alive.
    clock.turn(hours=23)
    assert clean_up(store, 24, clock).kept == 1
    assert store.path(JOB).exists()
    clock.turn(hours=2)
    assert clean_up(store, 24, clock).deleted == 1
    assert names_in(store.directory) == []


def test_a_worker_that_begins_after_the_plan_keeps_its_audio(store: AudioStore, talk: Path) -> None:
    store.save(talk, "talk.wav", JOB)
    store.finish(JOB, "failed")
    plan = plan_cleanup(datetime.now(UTC), take_stock(store), 0)
    assert [decision.action for decision in plan] == ["delete"]
    with working(store.directory, JOB):
        result = execute(store, plan)
        assert (result.deleted, result.failed, result.kept) == (0, 0, 1)
    assert store.state(JOB).status == "completed"
    result = execute(store, plan)  # it is free now, but what was planned was another attempt
    assert (result.deleted, result.failed, result.kept) == (0, 0, 1)
    assert store.path(JOB).read_bytes() == talk.read_bytes()


def test_the_same_store_does_not_take_away_what_it_works_on(store: AudioStore, talk: Path) -> None:
    store.save(talk, "talk.wav", JOB)
    store.finish(JOB, "failed")
    plan = plan_cleanup(datetime.now(UTC), take_stock(store), 0)
    with store.begin(JOB):
        assert execute(store, plan).deleted == 0
        assert clean_up(store, 0).deleted == 0
        store.finish(JOB, "completed")
    assert clean_up(store, 0).deleted == 1


def test_one_that_cannot_be_deleted_does_not_stop_the_rest(store: AudioStore, talk: Path) -> None:
    for job_id in (JOB, OTHER):
        store.save(talk, "talk.wav", job_id)
        store.finish(job_id, "completed")
    stubborn = store.path(JOB)
    with undeletable(stubborn):
        result = clean_up(store, 0)
    assert (result.scanned, result.deleted, result.failed, result.kept) == (2, 1, 1, 0)
    [error] = result.errors
    assert str(stubborn) in error
    assert names_in(store.directory) == [f"{JOB}.json", f"{JOB}.wav"]
    assert clean_up(store, 0).deleted == 1  # the next time


def test_a_link_in_place_of_audio_is_an_error_and_nothing_is_deleted(
    store: AudioStore, talk: Path, tmp_path: Path
) -> None:
    path = store.save(talk, "talk.wav", JOB).path
    store.finish(JOB, "completed")
    path.unlink()
    path.symlink_to(talk)
    result = clean_up(store, 0)
    assert (result.scanned, result.deleted, result.failed) == (1, 0, 1)
    assert "is no plain file" in result.errors[0]
    assert talk.exists()
    assert path.is_symlink()


def test_files_without_a_state_are_reported_and_stay(store: AudioStore, talk: Path) -> None:
    store.save(talk, "talk.wav", JOB)
    store.finish(JOB, "completed")
    strangers = {
        f"{OTHER}.wav": "there is no state of its job that names it",
        f"{JOB}.mp3": "there is no state of its job that names it",
        "notes\x1b.txt": "it is not one of ours",
        ".hidden.part": "it is not one of ours",
        f"{JOB.replace('0d', '2d')}.json": "its state cannot be read",
    }
    for name in strangers:
        path = store.directory / name
        path.write_bytes(b"{}")
        os.utime(path, (0, 0))
    (store.directory / "directory").mkdir()
    (store.directory / "lost+found").mkdir()
    (store.directory / "link").symlink_to(talk)
    result = clean_up(store, 0)
    assert (result.scanned, result.deleted, result.failed, result.kept) == (8, 1, 0, 7)
    said = dict(line.split(": ", 1) for line in result.reported)
    assert said == {
        **{name.replace("\x1b", "\ufffd"): reason for name, reason in strangers.items()},
        "directory": "it is no plain file",
        "link": "it is no plain file",
    }
    assert names_in(store.directory) == sorted([*strangers, "directory", "lost+found", "link"])


def test_parts_of_killed_savers_go_after_a_day(store: AudioStore, clock: Clock) -> None:
    store.directory.mkdir()
    for name in (f".{JOB}.part", f".{OTHER}.json.part"):
        (store.directory / name).write_bytes(b"half")
    result = clean_up(store, 0, clock)
    assert (result.scanned, result.kept, result.deleted) == (2, 2, 0)
    clock.turn(hours=25)
    result = clean_up(store, 24, clock)
    assert (result.scanned, result.deleted, result.freed_bytes) == (2, 2, 8)
    assert names_in(store.directory) == []


def test_a_part_that_has_grown_since_it_was_looked_at_stays(store: AudioStore, clock: Clock) -> None:
    store.directory.mkdir()
    path = store.directory / f".{JOB}.part"
    path.write_bytes(b"half")
    os.utime(path, (0, 0))
    plan = plan_cleanup(clock(), take_stock(store), 24)
    path.write_bytes(b"a saver was only slow")
    assert execute(store, plan).deleted == 0
    assert path.exists()


def test_a_state_that_a_killed_saver_left_goes_after_a_day(store: AudioStore, talk: Path, clock: Clock) -> None:
    store.save(talk, "talk.wav", JOB).path.unlink()
    assert clean_up(store, 0, clock).kept == 1
    clock.turn(hours=25)
    assert clean_up(store, 1000, clock).deleted == 1
    assert names_in(store.directory) == []
