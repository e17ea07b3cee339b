"""Dagster's storage in SQLite files, with connections to the event log that are kept; dagster.yaml names it.

Dagster makes an engine of SQLAlchemy and a connection for every statement and throws them away: the statement is
compiled anew, and as the last connection to a database closes, SQLite moves its journal into it and waits for the disk
several times. An event took 6.6 ms so and takes 1.9 with connections that stay, in runs, daemon and webserver alike.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster import EventLogEntry
from dagster._core.storage.event_log.polling_event_watcher import SqlPollingEventWatcher
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage, _event_logs_directory
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine

# Those that were asked for last: the one of all assets, and those of runs. The webserver asks for many.
MOST_KEPT = 8

# Device and number of a file; None where there is none.
_File = tuple[int, int] | None


@dataclass(frozen=True)
class _Kept:
    engine: Engine
    file: _File


class SqliteEventLog(SqliteEventLogStorage):
    """Everything as Dagster has it, but for where a connection comes from, and how an open page learns of news."""

    def __init__(self, base_dir: str) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._tables: set[str] = set()
        self._watcher = SqlPollingEventWatcher(self)
        super().__init__(base_dir)

    def has_table(self, table_name: str) -> bool:
        """Dagster asks with nearly every event, by a connection of its own; a table that is there stays."""
        if table_name in self._tables:
            return True
        found = super().has_table(table_name)
        if found:
            self._tables.add(table_name)
        return found

    def watch(self, run_id: str, cursor: str | None, callback: Callable[[EventLogEntry, str], None]) -> None:
        """By asking, as on PostgreSQL. Dagster's own for SQLite waits for the database file to be written, which it is
        not for a long time while a connection is open: new events are in the journal.
        """
        self._watcher.watch_run(run_id, cursor, callback)

    def end_watch(self, run_id: str, handler: Callable[[EventLogEntry, str], None]) -> None:
        self._watcher.unwatch_run(run_id, handler)

    def dispose(self) -> None:
        self._watcher.close()
        super().dispose()
        with self._db_lock:
            while self._kept:
                self._close_oldest()

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        """One at a time. A result must be read to its end within the block: it would hold an old state, in which the
        next block cannot write.
        """
        with self._db_lock, self._engine(shard).begin() as connection:
            yield connection

    def _engine(self, shard: str) -> Engine:
        kept = self._kept.get(shard)
        if kept and kept.file != _file(self.path_for_shard(shard)):
            # Deleted, as by `dagster run wipe`: what is open would be written to nowhere.
            del self._kept[shard]
            kept.engine.dispose()
            self._tables.clear()
            kept = None
        if kept is None:
            kept = self._open(shard)
            self._kept[shard] = kept
        self._kept.move_to_end(shard)
        if len(self._kept) > MOST_KEPT:
            self._close_oldest()
        return kept.engine

    def _open(self, shard: str) -> _Kept:
        path = self.path_for_shard(shard)
        engine = create_engine(
            self.conn_string_for_shard(shard),
            pool_size=1,  # `_db_lock` lets one thread in
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
        )
        try:
            if shard not in self._initialized_dbs or _file(path) is None:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
        except BaseException:
            engine.dispose()
            raise
        return _Kept(engine, _file(path))

    def _close_oldest(self) -> None:
        _, kept = self._kept.popitem(last=False)
        kept.engine.dispose()


class SqliteStorage(DagsterSqliteStorage):
    """Dagster's three databases, the event log with kept connections."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = SqliteEventLog(_event_logs_directory(base_dir))

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "SqliteStorage":
        return cls.from_local(str(Path(config_value["base_dir"]).expanduser()), inst_data)


def _file(path: str) -> _File:
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
