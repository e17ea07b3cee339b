"""SQLite's files while many events are written, and afterwards."""

import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg

from audio_compressor.defs.databases import kept_open

RUN_ID = "e1b0cf33-6f1c-4a1b-9f0e-6f2f3c5f0d11"


def descriptors(below: Path) -> list[str]:
    """What this process has open there."""
    links = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(link.readlink()))
        except FileNotFoundError:  # the one of this very listing
            continue
    return [path for path in links if path.startswith(str(below))]


def journals(instance: dg.DagsterInstance) -> list[str]:
    directory = Path(instance.root_directory) / "history/runs"
    return sorted(path.name for path in directory.glob("*.db-wal"))


def is_unlocked(instance: dg.DagsterInstance, how: str) -> bool:
    """Whether both databases can be had ``IMMEDIATE`` (nobody writes) or ``EXCLUSIVE`` (nobody reads either)."""
    for name in ("index", RUN_ID):
        path = Path(instance.root_directory) / f"history/runs/{name}.db"
        with closing(sqlite3.connect(path, timeout=0)) as connection:
            connection.execute(f"BEGIN {how}")
    return True


def write_events(instance: dg.DagsterInstance) -> None:
    """One for the database of all assets and one for that of the run; each through connections of its own."""
    instance.report_runless_asset_event(dg.AssetMaterialization("anything"))
    instance.event_log_storage.get_records_for_run(RUN_ID)


def test_connections_of_dagster_come_and_go_without_closing_the_files(instance: dg.DagsterInstance) -> None:
    home = Path(instance.root_directory)
    write_events(instance)
    before = descriptors(home)
    assert journals(instance) == []  # the last connection has moved them into the databases
    with kept_open(instance, RUN_ID):
        for _ in range(3):
            write_events(instance)
            assert journals(instance) == [f"{RUN_ID}.db-wal", "index.db-wal"]
        assert is_unlocked(instance, "IMMEDIATE")
    assert journals(instance) == []
    assert descriptors(home) == before
    assert is_unlocked(instance, "EXCLUSIVE")


def test_a_run_that_has_no_database_yet_gets_none(instance: dg.DagsterInstance) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization("anything"))
    with kept_open(instance, RUN_ID):
        assert journals(instance) == ["index.db-wal"]
    assert not (Path(instance.root_directory) / f"history/runs/{RUN_ID}.db").exists()


def test_other_storage_is_left_alone() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        before = sorted(Path("/proc/self/fd").iterdir())
        with kept_open(instance, RUN_ID):
            assert sorted(Path("/proc/self/fd").iterdir()) == before
