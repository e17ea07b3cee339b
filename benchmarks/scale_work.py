"""What `benchmarks.scale` measures, each in a fresh process: ``python -m benchmarks.scale_work NAME JSON``."""

import json
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.scheduler.instigation import SensorInstigatorData

from audio_compressor.definitions import build_definitions
from audio_compressor.defs.history import claimed_before, done_since_requested, in_flight, known_keys, read_history
from audio_compressor.defs.names import (
    COMPRESSION_JOB,
    PARTITION_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    RECORDING_PRODUCTS,
    REPORT_JOB,
)
from audio_compressor.defs.partitions import RECORDINGS
from audio_compressor.defs.resources import build_resources
from audio_compressor.intake.ranges import KeyOrder
from audio_compressor.settings import load_settings
from benchmarks.measure import children_cpu_seconds

Row = dict[str, Any]
_DAEMON_TICKS_AT_MOST = 12


@contextmanager
def timed(name: str, rows: list[Row]) -> Iterator[Row]:
    """Adds a row with wall and CPU seconds; what is put into it is shown as well."""
    row: Row = {"name": name}
    wall, cpu = time.perf_counter(), time.process_time()
    yield row
    row |= {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    rows.append(row)


def quiet_tick(instance: dg.DagsterInstance) -> list[Row]:
    """The sensor when there is nothing new, as the code server evaluates it."""
    rows: list[Row] = []
    evaluate(instance, "new_recordings_sensor", "a sensor tick that finds nothing new", rows)
    return rows


def other_looks(instance: dg.DagsterInstance) -> list[Row]:
    """Everything else that looks at the history or the claims."""
    rows: list[Row] = []
    evaluate(instance, "processing_report_sensor", "processing_report_sensor", rows)
    evaluate(instance, "stranded_results_sensor", "stranded_results_sensor", rows)
    with timed("read_history", rows) as row:
        history = read_history(instance)
        row["found"] = f"{len(history.successes):,} successes"
    keys = history.known
    with timed("in_flight", rows):
        in_flight(instance, keys)
    run = instance.get_runs(dg.RunsFilter(job_name=COMPRESSION_JOB), limit=1)[0]
    with timed("claimed_before", rows):
        claimed_before(instance, run.run_id, RECORDING_PRODUCTS, known_keys(instance))
    batch = KeyOrder(keys).between(run.tags[RANGE_START_TAG], run.tags[RANGE_END_TAG])
    with timed("done_since_requested, one batch", rows):
        done_since_requested(instance, run, batch, history.observed)
    return rows


def schedule(instance: dg.DagsterInstance) -> list[Row]:
    """The night's evaluation, with what it records."""
    rows: list[Row] = []
    settings = load_settings()
    repository = build_definitions(settings).get_repository_def()
    with (
        timed("schedule's evaluation", rows) as row,
        dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=datetime(2026, 11, 21, 2, tzinfo=UTC),
            repository_def=repository,
            resources=build_resources(settings).by_name(),
        ) as context,
    ):
        result = repository.get_schedule_def("nightly_compression_schedule").evaluate_tick(context)
        row["found"] = f"{len(result.run_requests or [])} runs requested"
    return rows


def report(instance: dg.DagsterInstance) -> list[Row]:
    """The report as its run makes it, imports told apart."""
    rows: list[Row] = []
    job = build_definitions(load_settings()).resolve_job_def(REPORT_JOB)
    with timed("imports of pandas and matplotlib", rows):
        import matplotlib.figure  # noqa: F401
        import pandas as pd  # noqa: F401
    with timed("processing_report", rows) as row:
        result = job.execute_in_process(instance=instance, run_config=_SILENT)
        [event] = result.asset_materializations_for_node("processing_report")
        row["found"] = f"{event.metadata['total_processed'].value:,} recordings; " + ", ".join(
            f"{name} {len(str(value.value)):,} B"
            for name, value in event.metadata.items()
            if name in {"recordings", "sizes"}
        )
    return rows


def ticks(instance: dg.DagsterInstance) -> list[Row]:
    """Four ticks of the sensor; their keys and events are stored as the daemon does it, no runs are made."""
    rows: list[Row] = []
    cursor: str | None = None
    for number in range(1, 5):
        cursor = evaluate(instance, "new_recordings_sensor", f"tick {number}, evaluated", rows, cursor, apply=True)
    return rows


def daemon_ticks(instance: dg.DagsterInstance) -> list[Row]:
    """Iterations of the daemon, with a code server of its own, until it finds nothing new any more."""
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import ModuleTarget
    from dagster._daemon.sensor import execute_sensor_iteration

    logging.getLogger("dagster").setLevel(logging.ERROR)
    logger = logging.getLogger("dagster.daemon.SensorDaemon")
    rows: list[Row] = []
    before = list(known_keys(instance))
    runs_before = {run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))}
    target = ModuleTarget("audio_compressor.definitions", None, None, "audio_compressor")
    with WorkspaceProcessContext(instance, target) as workspace:
        for number in range(1, _DAEMON_TICKS_AT_MOST):
            known = len(known_keys(instance))
            children = _children_cpu()
            with timed(f"daemon's tick {number}", rows) as row:
                for error in execute_sensor_iteration(workspace, logger, None, None):
                    if error is not None:
                        raise SystemExit(str(error))
            row["cpu_seconds"] += _children_cpu() - children
            row["found"] = f"{len(known_keys(instance)) - known} keys added"
            row["peak_memory_mb"] = _peak_mb(os.getpid())
            row["server_memory_mb"] = max(map(_peak_mb, _children()), default=0)
            if len(known_keys(instance)) == known:
                break
            _skip_the_interval(instance)
    order = KeyOrder(known_keys(instance))
    requested = [
        key
        for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
        if run.run_id not in runs_before
        for key in _keys_of(run, order)
    ]
    added = known_keys(instance)[len(before) :]
    twice = [key for key, times in Counter(requested).items() if times > 1]
    rows[-1]["found"] += (
        f"; in all {len(added)} added, {len(set(added) - set(requested))} lost, {len(twice)} requested twice"
    )
    return rows


def evaluate(
    instance: dg.DagsterInstance,
    sensor: str,
    name: str,
    rows: list[Row],
    cursor: str | None = None,
    *,
    apply: bool = False,
) -> str | None:
    settings = load_settings()
    repository = build_definitions(settings).get_repository_def()
    resources = {} if sensor == "processing_report_sensor" else build_resources(settings).by_name()
    with dg.build_sensor_context(
        instance=instance, cursor=cursor, repository_def=repository, resources=resources
    ) as context:
        with timed(name, rows) as row:
            result = repository.get_sensor_def(sensor).evaluate_tick(context)
        row["found"] = result.skip_message or f"{len(result.run_requests or [])} runs requested"
        row["found"] = row["found"].splitlines()[0]
    if apply:
        with timed(name.replace("evaluated", "keys and events stored"), rows) as row:
            for event in result.asset_events:
                instance.report_runless_asset_event(event)
            for request in result.dynamic_partitions_requests or []:
                instance.add_dynamic_partitions(str(RECORDINGS.name), list(request.partition_keys or []))
            row["found"] = f"{len(known_keys(instance)):,} keys, {len(result.asset_events)} events"
    return result.cursor


def _keys_of(run: dg.DagsterRun, order: KeyOrder) -> Sequence[str]:
    if PARTITION_TAG in run.tags:
        return [run.tags[PARTITION_TAG]]
    return order.between(run.tags[RANGE_START_TAG], run.tags[RANGE_END_TAG]) if RANGE_START_TAG in run.tags else []


def _skip_the_interval(instance: dg.DagsterInstance) -> None:
    """The next tick comes at once instead of after 30 s."""
    for state in instance.all_instigator_state():
        data = state.instigator_data
        if isinstance(data, SensorInstigatorData):
            earlier = data._replace(last_tick_timestamp=1.0, last_tick_start_timestamp=1.0)
            instance.update_instigator_state(state.with_data(earlier))


def _children() -> list[int]:
    tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def _children_cpu() -> float:
    return sum(children_cpu_seconds(pid) for pid in _children())


def _peak_mb(pid: int) -> float:
    """Of the program that runs now: `getrusage` would tell that of the process which started it, when it was larger."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:")), 0.0)


_SILENT: Mapping[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
WORK: Mapping[str, Callable[[dg.DagsterInstance], list[Row]]] = {
    function.__name__: function for function in (quiet_tick, other_looks, schedule, report, ticks, daemon_ticks)
}


def main() -> None:
    with dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"]) as instance:
        rows = WORK[sys.argv[1]](instance)
    peak_mb = _peak_mb(os.getpid())
    Path(sys.argv[2]).write_text(json.dumps([{"peak_memory_mb": peak_mb, **row} for row in rows]))


if __name__ == "__main__":
    main()
