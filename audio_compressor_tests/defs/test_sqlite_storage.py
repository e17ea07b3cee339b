"""The event log whose connections are kept, on real files, beside Dagster's own and other processes."""

import queue
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from audio_compressor.cli.environment import SHIPPED_CONFIG, SHIPPED_STORAGE
from audio_compressor.defs.sqlite_storage import MOST_KEPT, SqliteEventLog, SqliteStorage

RUN_ID = "e1b0cf33-6f1c-4a1b-9f0e-6f2f3c5f0d11"


@pytest.fixture
def event_log(instance: dg.DagsterInstance) -> SqliteEventLog:
    assert isinstance(instance.event_log_storage, SqliteEventLog)
    return instance.event_log_storage


@pytest.fixture
def theirs(instance: dg.DagsterInstance) -> Iterator[dg.DagsterInstance]:
    """The same files through Dagster's own storage."""
    storage = {"storage": {"sqlite": {"base_dir": instance.root_directory}}}
    with dg.DagsterInstance.local_temp(instance.root_directory, overrides=storage) as another:
        assert type(another.event_log_storage) is SqliteEventLogStorage
        yield another


def report(instance: dg.DagsterInstance, *partitions: str) -> None:
    for partition in partitions:
        instance.report_runless_asset_event(dg.AssetMaterialization("anything", partition=partition))


def reported(instance: dg.DagsterInstance) -> set[str]:
    return set(instance.get_materialized_partitions(dg.AssetKey("anything")))


def open_databases(instance: dg.DagsterInstance) -> set[str]:
    """Names of the databases below the instance that this process has open."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            path = link.readlink()
        except FileNotFoundError:  # the one of this very listing
            continue
        if path.is_relative_to(instance.root_directory) and path.suffix == ".db":
            found.add(path.stem)
    return found


def test_the_shipped_configuration_names_it() -> None:
    assert yaml.safe_load(SHIPPED_CONFIG.read_text())["storage"] == SHIPPED_STORAGE


def test_a_table_is_looked_for_until_it_is_there(event_log: SqliteEventLog) -> None:
    assert not event_log.has_table("later")
    with event_log.index_connection() as connection:
        connection.exec_driver_sql("CREATE TABLE later (id INTEGER)")
    assert event_log.has_table("later")
    assert event_log.has_table("event_logs")


def test_a_home_may_be_written_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    storage = SqliteStorage.from_config_value(None, {"base_dir": "~/dagster"})
    assert (tmp_path / "dagster/history/runs/index.db").exists()
    storage.dispose()


def test_a_connection_is_made_once(instance: dg.DagsterInstance, event_log: SqliteEventLog) -> None:
    connections = set()
    for number in range(5):
        report(instance, str(number))
        with event_log.index_connection() as connection:
            connections.add(id(connection.connection.dbapi_connection))
    assert len(connections) == 1
    assert len(reported(instance)) == 5


def test_nobody_is_locked_out(instance: dg.DagsterInstance) -> None:
    report(instance, "10-17-25")
    with closing(sqlite3.connect(f"{instance.root_directory}/history/runs/index.db", timeout=0)) as other:
        other.execute("BEGIN IMMEDIATE")


def test_both_storages_read_what_the_other_writes(instance: dg.DagsterInstance, theirs: dg.DagsterInstance) -> None:
    report(instance, "ours")
    report(theirs, "theirs")
    assert reported(instance) == reported(theirs) == {"ours", "theirs"}


def test_the_files_of_few_runs_stay_open(instance: dg.DagsterInstance, event_log: SqliteEventLog) -> None:
    for number in range(3 * MOST_KEPT):
        event_log.get_records_for_run(f"run-{number}")
        event_log.get_dynamic_partitions("recordings")  # in the one of all assets, which is always among the last
        assert len(open_databases(instance)) <= MOST_KEPT
    assert {"index", f"run-{3 * MOST_KEPT - 1}"} <= open_databases(instance)
    assert event_log.get_records_for_run("run-0").records == []


def test_disposed_of_nothing_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    shutil.copy(SHIPPED_CONFIG, tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        report(instance, "10-17-25")
        assert "index" in open_databases(instance)
    assert open_databases(instance) == set()
    assert list(tmp_path.rglob("*.db-wal")) == []  # moved into the database


def test_a_database_that_was_replaced_is_opened_again(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Together with its journal: the one of the old file would be taken for the new one's."""
    report(instance, "before")
    runs = Path(instance.root_directory) / "history/runs"
    with closing(sqlite3.connect(runs / "index.db")) as source, closing(sqlite3.connect(tmp_path / "b")) as backup:
        source.backup(backup)
    report(instance, "lost")
    for path in runs.glob("index.db*"):
        path.unlink()
    shutil.copy(tmp_path / "b", runs / "index.db")
    assert reported(instance) == {"before"}
    report(instance, "after")
    assert reported(instance) == {"before", "after"}


def test_databases_that_were_deleted_are_made_again(instance: dg.DagsterInstance, event_log: SqliteEventLog) -> None:
    instance.event_log_storage.get_records_for_run(RUN_ID)
    report(instance, "before")
    for path in (Path(instance.root_directory) / "history/runs").glob("*.db*"):
        path.unlink()
    assert reported(instance) == set()
    report(instance, "after")
    assert reported(instance) == {"after"}
    assert event_log.get_records_for_run(RUN_ID).records == []


def test_what_was_closed_before_it_was_deleted(instance: dg.DagsterInstance, event_log: SqliteEventLog) -> None:
    event_log.get_records_for_run(RUN_ID)
    for number in range(MOST_KEPT):
        event_log.get_records_for_run(f"run-{number}")
    assert RUN_ID not in open_databases(instance)
    for path in (Path(instance.root_directory) / "history/runs").glob(f"{RUN_ID}*"):
        path.unlink()
    assert event_log.get_records_for_run(RUN_ID).records == []


def test_an_open_page_of_a_run_gets_what_another_process_writes(
    instance: dg.DagsterInstance, theirs: dg.DagsterInstance, event_log: SqliteEventLog
) -> None:
    seen: queue.SimpleQueue[str] = queue.SimpleQueue()

    def show(entry: dg.EventLogEntry, _cursor: str) -> None:
        seen.put(entry.message)

    event_log.get_records_for_run(RUN_ID)  # what the page shows first; it leaves a connection open
    event_log.watch(RUN_ID, None, show)
    run = theirs.create_run_for_job(_nothing, run_id=RUN_ID)
    for number in range(3):
        theirs.report_engine_event(f"news {number}", run)
        assert seen.get(timeout=20) == f"news {number}"
    event_log.end_watch(RUN_ID, show)


@dg.job
def _nothing() -> None:
    pass


def test_wiped_by_dagster(instance: dg.DagsterInstance, theirs: dg.DagsterInstance) -> None:
    report(instance, "before")
    instance.event_log_storage.get_records_for_run(RUN_ID)
    theirs.event_log_storage.wipe()
    assert reported(instance) == set()
    assert instance.event_log_storage.get_records_for_run(RUN_ID).records == []
    report(instance, "after")
    assert reported(theirs) == {"after"}


def test_an_error_in_a_transaction_leaves_nothing_of_it(
    instance: dg.DagsterInstance, event_log: SqliteEventLog
) -> None:
    instance.add_dynamic_partitions("recordings", ["kept"])

    def interrupted() -> None:
        with event_log.index_connection() as connection:
            connection.exec_driver_sql("DELETE FROM dynamic_partitions")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert instance.get_dynamic_partitions("recordings") == ["kept"]


def test_many_threads(instance: dg.DagsterInstance) -> None:
    threads = [
        threading.Thread(target=report, args=(instance, *(f"{number}-{index}" for index in range(10))))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reported(instance)) == 40


WRITER = """
import sys, dagster as dg
with dg.DagsterInstance.get() as instance:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(30):
        instance.report_runless_asset_event(dg.AssetMaterialization("anything", partition=f"{sys.argv[1]}-{number}"))
"""


def test_many_processes(instance: dg.DagsterInstance) -> None:
    """None waits so long for the others that SQLite gives up."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(3)
    ]
    try:
        for writer in writers:
            assert writer.stdout
            assert writer.stdout.readline() == "ready\n"
        started = time.monotonic()
        for writer in writers:
            assert writer.stdin
            writer.stdin.write("\n")
            writer.stdin.flush()
        report(instance, *(f"here-{number}" for number in range(30)))
        assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
        assert time.monotonic() - started < 30
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    assert len(reported(instance)) == 120
