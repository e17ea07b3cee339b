"""Databases that are not there, refuse, fall silent or break off: each is told as what it is, and without a secret."""

import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Connection

from audio_compressor.catalog.catalog import Catalog, open_catalog
from audio_compressor.catalog.database import Database
from audio_compressor.catalog.rows import Upload
from audio_compressor.catalog.url import parse_catalog_url
from audio_compressor.errors import (
    AccessDeniedError,
    AudioCompressorError,
    AuthenticationError,
    ConfigurationError,
    ConnectionLostError,
    OutOfSpaceError,
    TimedOutError,
)
from audio_compressor_tests.deploy.probes import free_port
from audio_compressor_tests.fixtures.certificates import write_certificate
from audio_compressor_tests.fixtures.databases import KINDS, PASSWORD, DatabaseServers, SqlDatabase
from audio_compressor_tests.fixtures.silent_server import silent_server
from audio_compressor_tests.fixtures.stalling_proxy import stalling_proxy

SERVERS = [kind for kind in KINDS if kind != "sqlite"]
on_servers = pytest.mark.parametrize("database", SERVERS, indirect=True)


@contextmanager
def refused(kind: type[AudioCompressorError], match: str) -> Iterator[None]:
    """Nothing that one could read or log of the error, its causes included, holds the password."""
    with pytest.raises(kind, match=match) as caught:
        yield
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        told += repr(error) + repr(error.args) + repr(vars(error))
        error = error.__cause__
    for secret in (PASSWORD, quote(PASSWORD, safe=""), "s3cr3t"):
        assert secret not in told


def with_other(database: SqlDatabase, before: str, after: str) -> str:
    assert before in database.url
    return database.url.replace(before, after)


# -- connecting


@on_servers
def test_a_wrong_password(database: SqlDatabase) -> None:
    url = with_other(database, "s3cr3t", "s3cr3t2")
    with refused(AuthenticationError, "check user"):
        open_catalog(url)


@on_servers
def test_a_user_who_is_unknown(database: SqlDatabase) -> None:
    with refused(AuthenticationError, "nobody"):
        open_catalog(with_other(database, "uploads:", "nobody:"))


@on_servers
def test_a_database_that_does_not_exist(database: SqlDatabase) -> None:
    with refused(ConfigurationError, "create it, or check CATALOG_URL"):
        open_catalog(with_other(database, "/catalog_", "/no_catalog_"))


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_nobody_listens(scheme: str) -> None:
    url = f"{scheme}://u:s3cr3t@127.0.0.1:{free_port()}/app"
    with refused(ConnectionLostError, "does it run, and is CATALOG_URL right"):
        open_catalog(url)


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_host_that_does_not_resolve(scheme: str) -> None:
    url = f"{scheme}://u:s3cr3t@no-such-host.invalid/app"
    with refused(ConnectionLostError, "CATALOG_URL"):
        open_catalog(url)


@pytest.mark.parametrize("option", ["postgresql://{}?connect_timeout=2", "mysql://{}?read_timeout=1"])
def test_a_server_that_says_nothing(option: str) -> None:
    with silent_server() as (port, callers):
        url = option.format(f"u:s3cr3t@127.0.0.1:{port}/app")
        with refused(TimedOutError, "preparing the catalogue's tables"):
            open_catalog(url)
        assert callers


@on_servers
def test_an_option_that_is_unknown(database: SqlDatabase) -> None:
    with refused(ConfigurationError, "no_such_option"):
        open_catalog(database.with_options("no_such_option=1"))


@on_servers
def test_an_option_without_meaning(database: SqlDatabase) -> None:
    option = "sslmode" if database.backend == "postgresql" else "connect_timeout"
    with refused(ConfigurationError, "CATALOG_URL"):
        open_catalog(database.with_options(f"{option}=-7"))


# -- TLS


def tls_url(database: SqlDatabase, certificate: Path) -> str:
    url = database.url.partition("?")[0]
    if database.backend == "postgresql":
        return f"{url}?sslmode=verify-full&sslrootcert={certificate}"
    return f"{url}?ssl_ca={certificate}"


def certificate_of(database: SqlDatabase, servers: DatabaseServers) -> Path:
    return (servers.postgresql if database.backend == "postgresql" else servers.mariadb)[1]


def tls_version(url: str) -> str:
    connected = Database(parse_catalog_url(url))
    question = {
        "postgresql": "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        "mysql": "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_version'",
    }[connected.dialect]
    return str(connected.read("asking", lambda connection: connection.execute(text(question)).scalar()))


@on_servers
def test_a_certificate_that_is_trusted(database: SqlDatabase, database_servers: DatabaseServers) -> None:
    url = tls_url(database, certificate_of(database, database_servers))
    assert tls_version(url).startswith("TLSv1.")
    with open_catalog(url) as catalog:
        assert catalog.pending(1) == ()


@on_servers
def test_tls_is_used_without_being_asked_for(database: SqlDatabase) -> None:
    assert tls_version(database.url.partition("?")[0]).startswith("TLSv1.")


@on_servers
def test_a_certificate_that_is_not_trusted(database: SqlDatabase, tmp_path: Path) -> None:
    another, _ = write_certificate(tmp_path)
    with refused(ConfigurationError, "certificate"):
        open_catalog(tls_url(database, another))


@on_servers
def test_a_certificate_that_is_not_there(database: SqlDatabase) -> None:
    with refused(ConfigurationError, "/no/such/file|No such file"):
        open_catalog(tls_url(database, Path("/no/such/file")))


def test_a_certificate_for_another_host(database_servers: DatabaseServers, tmp_path: Path) -> None:
    """It is for 127.0.0.1, and ssl_check_hostname says whether that matters."""
    for kind in SERVERS:
        database = database_servers.new(kind, tmp_path)
        certificate = certificate_of(database, database_servers)
        url = tls_url(database, certificate).replace("@127.0.0.1:", "@localhost:")
        with refused(ConfigurationError, "localhost"):
            open_catalog(url)
        lax = url.replace("verify-full", "verify-ca") if kind == "postgresql" else f"{url}&ssl_check_hostname=false"
        open_catalog(lax).close()


# -- SQLite's file


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with refused(ConfigurationError, "make its directory"):
        open_catalog(f"sqlite:///{tmp_path}/no/catalog.db")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_text("this is not what you think it is " * 100)
    with refused(ConfigurationError, "not a database"):
        open_catalog(f"sqlite:///{tmp_path}/catalog.db")


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/catalog.db"
    open_catalog(url).close()
    # Root may write to everything; the driver can be told not to.
    with open_catalog(url) as catalog:
        database = Database(parse_catalog_url(url))

        def write_to_a_read_only_one(connection: Connection) -> None:
            connection.exec_driver_sql("PRAGMA query_only = on")
            connection.exec_driver_sql("DELETE FROM Uploads")

        with refused(AccessDeniedError, "check its owner and permissions"):
            database.write("trying", write_to_a_read_only_one)
        assert catalog.pending(1) == ()


def test_a_full_disk(tmp_path: Path) -> None:
    database = Database(parse_catalog_url(f"sqlite:///{tmp_path}/catalog.db"))

    def fill(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 3")
        connection.exec_driver_sql("CREATE TABLE t AS SELECT randomblob(100000)")

    with refused(OutOfSpaceError, "free some space"):
        database.write("trying", fill)


# -- while it works


@pytest.fixture
def claimed(catalog: Catalog, database: SqlDatabase) -> Upload:
    database.add("u1", "song.mp3")
    upload = Upload("u1", "song.mp3")
    assert catalog.claim(upload, "song", "run")
    return upload


@contextmanager
def locked(database: SqlDatabase) -> Iterator[None]:
    """Another program changes the row and does not end its transaction."""
    with database.transaction() as connection:
        connection.execute(text("UPDATE Uploads SET file_name = file_name WHERE upload_id = 'u1'"))
        yield
        connection.rollback()


def test_a_row_that_stays_locked(database: SqlDatabase, claimed: Upload) -> None:
    told = "giving the upload u1 the status completed"
    with open_catalog(database.url, answer_seconds=1) as catalog, locked(database), refused(TimedOutError, told):
        catalog.complete("u1", "run")
    with open_catalog(database.url) as catalog:
        assert database.status("u1") == "processing"
        assert catalog.complete("u1", "run")


def test_a_row_that_is_locked_for_a_moment(database: SqlDatabase, catalog: Catalog, claimed: Upload) -> None:
    results: list[bool] = []
    with locked(database):
        thread = threading.Thread(target=lambda: results.append(catalog.complete("u1", "run")))
        thread.start()
        thread.join(0.3)
        assert results == []
    thread.join()
    assert results == [True]


@on_servers
@pytest.mark.parametrize("at", ["login", "driver", "statement", "commit"])
def test_a_server_that_falls_silent(database: SqlDatabase, claimed: Upload, at: str) -> None:
    """At its login, when the driver or SQLAlchemy ask it something of their own, and when we do."""
    port = database.engine_url.port
    assert port is not None
    with stalling_proxy(port) as proxy:
        url = with_other(database, f":{port}/", f":{proxy.port}/")
        url += "?connect_timeout=2" if database.backend == "postgresql" else "&connect_timeout=2"
        connected = Database(parse_catalog_url(url), answer_seconds=1)

        def work(connection: Connection) -> None:
            if at == "statement":
                proxy.stall()
            connection.exec_driver_sql("UPDATE Uploads SET processing_status = '0'")
            proxy.stall()

        if at == "login":
            proxy.stall()
        if at == "driver":
            event.listen(connected._engine, "connect", lambda *_: proxy.stall(), insert=True)
        with refused(TimedOutError, "working"):
            connected.write("working", work)
    assert database.status("u1") == "processing"


_KILL = {
    "postgresql": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mariadb": "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> connection_id()",
}


@on_servers
def test_a_connection_that_the_server_ends(database: SqlDatabase, claimed: Upload) -> None:
    connected = Database(parse_catalog_url(database.url))

    def work(connection: Connection) -> None:
        connection.exec_driver_sql("UPDATE Uploads SET processing_status = 'failed'")
        for row in database.sql(_KILL[database.backend]):
            if database.backend == "mariadb":
                database.sql(f"KILL {row[0]}")
        connection.exec_driver_sql("SELECT 1 FROM Uploads")

    with refused(ConnectionLostError, "working"):
        connected.write("working", work)
    assert database.status("u1") == "processing"
    with open_catalog(database.url) as catalog:
        assert catalog.complete("u1", "run")


def test_the_tables_are_gone(database: SqlDatabase, catalog: Catalog) -> None:
    database.sql("DROP TABLE Uploads")
    with refused(ConfigurationError if database.backend != "sqlite" else AudioCompressorError, "ploads"):
        catalog.pending(1)


def test_many_at_once_meet_in_a_deadlock(database: SqlDatabase, catalog: Catalog) -> None:
    """Each locks the row that the other wants next: the database gives up on one of them, and it is repeated."""
    if database.backend == "sqlite":
        return  # one writes at a time
    for upload_id in ("a", "b"):
        database.add(upload_id, "x.mp3")
    both_hold_one = threading.Barrier(2)
    calls: list[str] = []

    def lock(first: str, second: str) -> None:
        def work(connection: Connection) -> None:
            calls.append(first)
            statement = "UPDATE Uploads SET error_message = '%s' WHERE upload_id = '%s'"
            connection.exec_driver_sql(statement % (first, first))
            if len(calls) <= 2:
                both_hold_one.wait(60)
            connection.exec_driver_sql(statement % (first, second))

        Database(parse_catalog_url(database.url)).write("meeting", work)

    threads = [threading.Thread(target=lock, args=each) for each in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 3
    assert {database.row("a").error_message, database.row("b").error_message} == {calls[2]}


def test_nothing_of_it_shows_a_secret(database: SqlDatabase, catalog: Catalog) -> None:
    connected = Database(parse_catalog_url(database.url))
    for told in (repr(catalog), catalog.name, repr(connected), connected.name):
        assert "s3cr3t" not in told
        assert "%40" not in told
