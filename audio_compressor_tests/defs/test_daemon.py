"""A backfill as a person starts it in the UI, carried out by a real daemon, code server and run workers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.utils import make_new_backfill_id

from audio_compressor.defs.names import COMPRESSED_AUDIO, RAW_AUDIO
from audio_compressor_tests.fixtures.studio import CHECKOUT, Studio, partition_states

_PATIENCE_SECONDS = 120.0


@contextmanager
def running_daemon(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`dagster-daemon run` on the workspace of the checkout, with its schedules and sensors on."""
    command = [sys.executable, "-m", "dagster._daemon", "run", "-w", str(CHECKOUT / "workspace.yaml")]
    with (tmp_path / "daemon.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def daemon(studio: Studio, instance: dg.DagsterInstance, tmp_path: Path) -> Iterator[None]:
    with running_daemon(tmp_path):
        yield


def wait_for(instance: dg.DagsterInstance, backfill_id: str) -> BulkActionStatus:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        backfill = instance.get_backfill(backfill_id)
        assert backfill is not None
        if backfill.status not in {BulkActionStatus.REQUESTED, BulkActionStatus.FAILING}:
            return backfill.status
        time.sleep(0.5)
    raise AssertionError("the backfill did not end")


def start_backfill(
    studio: Studio, instance: dg.DagsterInstance, assets: list[dg.AssetKey], partitions: list[str]
) -> str:
    backfill = PartitionBackfill.from_asset_partitions(
        backfill_id=make_new_backfill_id(),
        asset_graph=studio.definitions.resolve_asset_graph(),
        partition_names=partitions,
        asset_selection=assets,
        backfill_timestamp=time.time(),
        tags={},
        dynamic_partitions_store=instance,
        all_partitions=False,
        title=None,
        description=None,
        run_config=None,
    )
    instance.add_backfill(backfill)
    return backfill.backfill_id


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources`:DeprecationWarning")  # Dagster calls it itself
@pytest.mark.usefixtures("daemon")
def test_sensor_then_backfills_of_a_range_and_of_one_asset(studio: Studio, instance: dg.DagsterInstance) -> None:
    for day in (10, 11, 13):
        studio.add(f"10-{day}-25")
    studio.add_file("10-12-25", b"not audio " * 100)

    # The sensor finds them by itself.
    deadline = time.monotonic() + _PATIENCE_SECONDS
    expected = {
        "10-10-25": "MATERIALIZED",
        "10-11-25": "MATERIALIZED",
        "10-12-25": "FAILED",
        "10-13-25": "MATERIALIZED",
    }
    while partition_states(instance) != expected and time.monotonic() < deadline:
        time.sleep(0.5)
    assert partition_states(instance) == expected
    assert [(pool.name, pool.limit) for pool in instance.event_log_storage.get_pool_limits()] == [("sftp", 4)]

    # A range with the bad one in it; and the compressed audio alone of a recording whose staged raw file is long gone.
    (studio.output / "10-10-25_compressed.wav").unlink()
    some_bad = start_backfill(studio, instance, [RAW_AUDIO, COMPRESSED_AUDIO], ["10-11-25", "10-12-25", "10-13-25"])
    alone = start_backfill(studio, instance, [COMPRESSED_AUDIO], ["10-10-25"])
    assert wait_for(instance, alone) is BulkActionStatus.COMPLETED_SUCCESS
    assert wait_for(instance, some_bad) is BulkActionStatus.COMPLETED_FAILED
    assert (studio.output / "10-10-25_compressed.wav").exists()
    assert partition_states(instance) == expected
    assert studio.leftovers() == []


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources`:DeprecationWarning")  # Dagster calls it itself
def test_everything_is_killed_in_mid_run_and_started_again(
    studio: Studio, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """As by a power cut: daemon, code server and the worker of the run."""
    studio.add("10-17-25")
    studio.add("10-18-25")
    studio.server.faults.stall_reads.set()
    with running_daemon(tmp_path) as process:
        assert studio.server.faults.reading.wait(_PATIENCE_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    [cut] = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    studio.server.faults.stall_reads.clear()
    with running_daemon(tmp_path):
        deadline = time.monotonic() + _PATIENCE_SECONDS
        expected = dict.fromkeys(("10-17-25", "10-18-25"), "MATERIALIZED")
        while partition_states(instance) != expected and time.monotonic() < deadline:
            time.sleep(0.5)
    assert partition_states(instance) == expected
    ended = instance.get_run_by_id(cut.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.FAILURE
    assert studio.leftovers() == []
