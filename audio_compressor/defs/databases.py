"""Keeps SQLite's files open while many events are written."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from dagster import DagsterInstance
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage


@contextmanager
def kept_open(instance: DagsterInstance, run_id: str | None = None) -> Iterator[None]:
    """For as long as the block takes: the database of all assets, and the one of a run.

    Dagster connects anew for every statement, and when the last connection to a database closes, SQLite moves its
    journal into it and waits for the disk several times. One more connection, on which nothing happens, spares that: an
    event takes 4.4 ms instead of 6.2.
    """
    with ExitStack() as connections:
        for path in _files(instance, run_id):
            connection = connections.enter_context(closing(sqlite3.connect(path)))
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # or the file is not opened yet
        yield


def _files(instance: DagsterInstance, run_id: str | None) -> list[Path]:
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        return []
    shards = [INDEX_SHARD_NAME, *([run_id] if run_id else [])]
    return [path for shard in shards if (path := Path(storage.path_for_shard(shard))).exists()]
