"""Transactions on the catalogue's database: connecting, waiting no longer than agreed, repeating what lost a race.

Each transaction has a connection of its own, as in Dagster's own PostgreSQL storage: nothing goes stale between two
runs, nothing is shared with a forked process, and nothing stays open. That costs 2 ms of CPU with SQLite, 7 with
PostgreSQL, 5 with MariaDB and ``ssl_ca``, and 31 without, because PyMySQL 1.2 then reads all certificates of the system
each time; a track takes three of them and some ten seconds of encoding.
"""

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy import URL, create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from audio_compressor.catalog.translation import ContendedError, translated
from audio_compressor.catalog.url import shown
from audio_compressor.errors import ConfigurationError, ConnectionLostError, TimedOutError

Result = TypeVar("Result")

# Together less than the 60 s after which Dagster gives up on a sensor (1.13), so that it can say what is wrong.
CONNECT_SECONDS = 10
ANSWER_SECONDS = 30.0
# PostgreSQL's strictest isolation undoes one of two transactions for much less than a shared row.
_ATTEMPTS = 10
_LONGEST_PAUSE_SECONDS = 0.1
_WRITES = "audio_compressor_writes"


class Database:
    """One database. Methods may be called from several threads and, after a fork, from several processes.

    ``answer_seconds``: for how long the server may be silent, or a transaction may take.
    """

    def __init__(self, url: URL, answer_seconds: float = ANSWER_SECONDS) -> None:
        self.name = shown(url)
        self._answer_seconds = answer_seconds
        arguments = {key: value for key, value in _defaults(url, answer_seconds).items() if key not in url.query}
        self._engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=arguments)
        self.dialect = self._engine.dialect.name
        if self.dialect == "sqlite":
            event.listen(self._engine, "connect", _prepare_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        elif self.dialect == "postgresql":
            # Before SQLAlchemy's own first questions to the server.
            event.listen(self._engine, "connect", partial(_limit, answer_seconds), insert=True)
            event.listen(self._engine, "close", _unlimit)

    def close(self) -> None:
        """Let go of everything; nothing is open between two transactions."""
        self._engine.dispose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def read(self, doing: str, function: Callable[[Connection], Result]) -> Result:
        """What ``function`` finds, in one transaction; ``doing`` is for messages, such as "claiming an upload". It is
        called again where the database undid the transaction because of another one.

        Raises:
            AudioCompressorError: of the kinds that translation.py knows.
        """
        return self._repeat(doing, function, writes=False)

    def write(self, doing: str, function: Callable[[Connection], Result]) -> Result:
        """As `read`, for what changes something; ``function`` may roll back itself, else it is committed."""
        return self._repeat(doing, function, writes=True)

    def _repeat(self, doing: str, function: Callable[[Connection], Result], *, writes: bool) -> Result:
        repeating = Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_random(0, _LONGEST_PAUSE_SECONDS),
            retry=retry_if_exception_type(ContendedError),
            reraise=True,
        )
        return repeating(lambda: self._transact(doing, function, writes=writes))

    def _transact(self, doing: str, function: Callable[[Connection], Result], *, writes: bool) -> Result:
        started = monotonic()
        try:
            with self._connect().execution_options(**{_WRITES: writes}) as connection:
                result = function(connection)
                connection.commit()
                return result
        except DBAPIError as error:
            failure = translated(error, self.name, doing)
            if isinstance(failure, ConnectionLostError) and monotonic() - started >= self._answer_seconds:
                failure = TimedOutError(f"{self.name} did not answer in {self._answer_seconds:g} s while {doing}")
            raise failure from error

    def _connect(self) -> Connection:
        try:
            return self._engine.connect()
        except (TypeError, ValueError, OSError, RuntimeError, NotImplementedError) as error:
            # Not chained: some of these carry the password, such as one that is not Latin-1.
            what = error if isinstance(error, OSError | TypeError) else type(error).__name__
            raise ConfigurationError([f"CATALOG_URL: {self.name} cannot be opened like this: {what}"]) from None


def _defaults(url: URL, answer_seconds: float) -> dict[str, Any]:
    """Arguments of the driver that CATALOG_URL may override."""
    if url.get_backend_name() == "sqlite":
        return {"timeout": answer_seconds / 2}
    if url.get_backend_name() == "postgresql":
        return {
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "audio-compressor",
            "client_encoding": "utf8",
        }
    return {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": answer_seconds,
        "write_timeout": answer_seconds,
        "charset": "utf8mb4",
        # PyMySQL would encode a text as Latin-1.
        "password": str(url.password or "").encode(),
    }


def _prepare_sqlite(connection: Any, _: object) -> None:
    # The driver would begin transactions by itself, and only before the first change.
    connection.isolation_level = None
    # Bytes that are not UTF-8 in one row must not make the others unreadable.
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and then writes fails when another one wrote in between.
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _limit(seconds: float, connection: Any, record: Any) -> None:
    """libpq waits for an answer without end; nothing that one can set ends that wait while TCP works."""
    copy, ended = socket.socket(fileno=os.dup(connection.fileno())), threading.Event()
    watch = threading.Thread(target=_cut_unless, args=(ended, seconds, copy), daemon=True, name="catalogue")
    watch.start()
    record.info["limit"] = (watch, ended)


def _unlimit(_: object, record: Any) -> None:
    watch, ended = record.info.pop("limit")
    ended.set()
    watch.join()


def _cut_unless(ended: threading.Event, seconds: float, copy: socket.socket) -> None:
    with copy, suppress(OSError):  # of a connection that the server has closed
        if not ended.wait(seconds):
            copy.shutdown(socket.SHUT_RDWR)
