"""How much goes on at once: the pool and the queue, and recordings that several runs want at the same time."""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus
from dagster._core.instance.config import PoolGranularity
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from audio_compressor.defs.dead_runs import end_dead_runs
from audio_compressor.defs.history import claimed_before, known_keys, requested_tag
from audio_compressor.defs.names import (
    COMPRESSED_AUDIO,
    COMPRESSION_JOB,
    PARTITION_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    RAW_AUDIO,
    REPORT_JOB,
    SFTP_POOL,
)
from audio_compressor_tests.defs.test_dead_runs import mark_as_of_a_dead_process
from audio_compressor_tests.defs.test_night import execute, nightly
from audio_compressor_tests.fixtures.studio import CHECKOUT, Studio, partition_states
from audio_compressor_tests.test_processes import wait_for

# What a run worker does, told when to begin.
WORKER = """
import json, sys
import dagster as dg
from audio_compressor.definitions import build_definitions
from audio_compressor.defs.names import COMPRESSION_JOB
from audio_compressor.settings import load_settings

with dg.DagsterInstance.get() as instance:
    job = build_definitions(load_settings()).resolve_job_def(COMPRESSION_JOB)
    print("ready", flush=True)
    sys.stdin.readline()
    sys.exit(not job.execute_in_process(instance=instance, tags=json.loads(sys.argv[1])).success)
"""


class Queue:
    """Runs as the daemon finds them."""

    def __init__(self, studio: Studio, instance: dg.DagsterInstance) -> None:
        self._studio, self._instance = studio, instance

    def add(self, status: DagsterRunStatus, job: str = COMPRESSION_JOB, tags: dict[str, str] | None = None) -> str:
        found = self._studio.definitions.resolve_job_def(job)
        repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("audio_compressor"), "__repository__")
        run = self._instance.create_run_for_job(
            found, tags=tags or {}, status=status, remote_job_origin=RemoteJobOrigin(repository, job)
        )
        return run.run_id

    def to_launch(self) -> list[str]:
        """What the daemon would launch now."""
        with QueuedRunCoordinatorDaemon(interval_seconds=5) as daemon:
            runs = daemon._get_runs_to_dequeue(self._instance, self._instance.get_concurrency_config(), None)
        return [run.run_id for run in runs]


@pytest.fixture
def queue(studio: Studio, instance: dg.DagsterInstance) -> Queue:
    return Queue(studio, instance)


def test_the_shipped_limits(queue: Queue, instance: dg.DagsterInstance) -> None:
    pools = instance.get_concurrency_config().pool_config
    assert (pools.pool_granularity, pools.default_pool_limit) == (PoolGranularity.RUN, 4)
    waiting = [queue.add(DagsterRunStatus.QUEUED) for _ in range(5)]
    assert queue.to_launch() == waiting[:2]  # max_concurrent_runs
    assert [limit.name for limit in instance.event_log_storage.get_pool_limits()] == [SFTP_POOL]
    assert instance.run_monitoring_max_runtime_seconds == 24 * 3600


def test_a_run_waits_in_the_queue_until_the_pool_has_a_place(queue: Queue, instance: dg.DagsterInstance) -> None:
    """The place is held by a command that was killed, and given back when that is found out."""
    instance.event_log_storage.set_concurrency_slots(SFTP_POOL, 1)  # dagster instance concurrency set sftp 1
    dead = queue.add(DagsterRunStatus.STARTED)
    mark_as_of_a_dead_process(instance, dead)
    waiting = [queue.add(DagsterRunStatus.QUEUED) for _ in range(2)]
    report = queue.add(DagsterRunStatus.QUEUED, REPORT_JOB)
    assert queue.to_launch() == [report]  # which needs no connection
    assert end_dead_runs(instance) == [dead]
    assert queue.to_launch() == [waiting[0], report]


@pytest.mark.timeout(60)  # with slots by op it waits for ever
def test_a_command_counts_in_the_pool_but_does_not_wait(
    studio: Studio, queue: Queue, instance: dg.DagsterInstance
) -> None:
    storage = instance.event_log_storage
    storage.set_concurrency_slots(SFTP_POOL, 1)
    storage.claim_concurrency_slot(SFTP_POOL, queue.add(DagsterRunStatus.STARTED), "process_recordings")
    studio.add("10-17-25")
    assert execute(studio, instance, nightly(studio, instance)) == [True]
    assert studio.results() == ["10-17-25_compressed.wav", "10-17-25_meta.xml"]


def test_a_run_that_is_about_to_begin_has_its_recordings(
    studio: Studio, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    studio.add("10-17-25")
    nightly(studio, instance)
    job = studio.definitions.resolve_job_def(COMPRESSION_JOB)
    first, second = (instance.create_run_for_job(job, tags={PARTITION_TAG: "10-17-25"}) for _ in range(2))
    wanted = {COMPRESSED_AUDIO}
    assert claimed_before(instance, second.run_id, wanted, known_keys(instance)) == {"10-17-25": first.run_id}
    assert claimed_before(instance, first.run_id, wanted, known_keys(instance)) == {}
    with closing(sqlite3.connect(tmp_path / "dagster/history/runs.db")) as runs:
        runs.execute(
            "UPDATE runs SET create_timestamp = datetime('now', '-10 minutes') WHERE run_id = ?", [first.run_id]
        )
        runs.commit()
    assert claimed_before(instance, second.run_id, wanted, known_keys(instance)) == {}


@contextmanager
def run_worker(first: str, last: str, requested_at_seconds: float) -> Iterator["subprocess.Popen[str]"]:
    """A process that is ready to do a range of recordings."""
    tags = {RANGE_START_TAG: first, RANGE_END_TAG: last, **requested_tag(requested_at_seconds)}
    command = [sys.executable, "-c", WORKER, json.dumps(tags)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def go(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("second", ["while the first works", "in a race with the first", "after the first"])
def test_two_processes_that_want_the_same_recordings(studio: Studio, instance: dg.DagsterInstance, second: str) -> None:
    """Of six, one wants the first five and the other the last five: each is downloaded once, and both runs succeed."""
    names = [f"10-{day}-25" for day in range(10, 16)]
    for name in names:
        studio.add(name, metadata=None)
    nightly(studio, instance)
    instance.add_dynamic_partitions("recordings", names)
    requested_at_seconds = time.time()
    offsets: list[int] = []
    faults = studio.server.faults
    faults.on_read = offsets.append
    with ExitStack() as stack:
        ranges = ((names[0], names[4]), (names[1], names[5]))
        one, other = (stack.enter_context(run_worker(*ends, requested_at_seconds)) for ends in ranges)
        if second == "while the first works":
            faults.stall_reads.set()
        go(one)
        if second == "after the first":
            assert one.wait(60) == 0
        go(other)
        if second == "while the first works":
            wait_for(lambda: studio.server.open_connections == 2, seconds=30)  # both have decided
            faults.stall_reads.clear()
        assert [one.wait(60), other.wait(60)] == [0, 0]
    assert offsets.count(0) == len(names)
    for asset in (RAW_AUDIO, COMPRESSED_AUDIO):
        assert partition_states(instance, asset) == dict.fromkeys(names, "MATERIALIZED")
    assert studio.results() == [f"{name}_compressed.wav" for name in names]
    assert studio.leftovers() == []
