"""A table `Uploads` that was there before us: used as it is, or refused, but never changed."""

from pathlib import Path

import pytest
from sqlalchemy import inspect

from audio_compressor.catalog.catalog import Catalog, open_catalog
from audio_compressor.catalog.finding import why_unsuitable
from audio_compressor.catalog.rows import Upload
from audio_compressor.errors import AccessDeniedError, ConfigurationError
from audio_compressor_tests.catalog.taking import ids, take
from audio_compressor_tests.fixtures.databases import PASSWORD, DatabaseServers, SqlDatabase

# From the document.
DOCUMENT = """
CREATE TABLE Uploads (
    upload_id VARCHAR(255) PRIMARY KEY,
    file_name VARCHAR(255) NOT NULL,
    upload_type VARCHAR(50) DEFAULT 'track',
    processing_status VARCHAR(20) DEFAULT '0',
    uploaded_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    error_message TEXT
)
"""
OTHER_LENGTHS = """
CREATE TABLE Uploads (
    artist VARCHAR(20) DEFAULT 'nobody' NOT NULL,
    error_message VARCHAR(40),
    processing_status VARCHAR(10) DEFAULT '0' NOT NULL,
    upload_type CHAR(5) DEFAULT 'track',
    upload_id BIGINT PRIMARY KEY,
    file_name TEXT,
    uploaded_at DATE,
    plays INTEGER DEFAULT 0
)
"""


def structure(database: SqlDatabase, name: str = "Uploads") -> str:
    """Everything that the database knows of the table."""
    with database.transaction() as connection:
        found = inspect(connection)
        parts = [found.get_columns(name), found.get_pk_constraint(name), found.get_indexes(name)]
        return repr([*parts, found.get_unique_constraints(name), found.get_check_constraints(name)])


def name_of(database: SqlDatabase) -> str:
    """As CREATE TABLE Uploads makes it."""
    return "uploads" if database.backend == "postgresql" else "Uploads"


def works_through(catalog: Catalog, database: SqlDatabase, upload_ids: list[str]) -> None:
    """The whole life of each upload, in the table that was there."""
    taken, refused = take(catalog, 10, "run")
    assert ids(taken) == upload_ids
    assert refused == ()
    first, *others = upload_ids
    assert catalog.fail(first, "run", "x" * 100)
    assert catalog.retry(first)
    [again], _ = take(catalog, 1, "run")
    for upload_id in (again.upload.upload_id, *others):
        assert catalog.complete(upload_id, "run")
    assert set(database.statuses().values()) == {"completed"}


@pytest.mark.parametrize("statement", [DOCUMENT, OTHER_LENGTHS], ids=["document", "other lengths and more columns"])
def test_it_is_used_as_it_is(database: SqlDatabase, statement: str) -> None:
    database.sql(statement)
    for number in (1, 2, 3):
        database.add(number, f"{number}.mp3", uploaded_at=f"2025-11-0{number}")
    before = structure(database, name_of(database))
    with open_catalog(database.url) as catalog:
        works_through(catalog, database, ["1", "2", "3"])
    assert structure(database, name_of(database)) == before


def test_messages_are_cut_to_its_column(database: SqlDatabase) -> None:
    database.sql(OTHER_LENGTHS)
    database.add(1, "1.mp3")
    with open_catalog(database.url) as catalog:
        take(catalog, 1, "run")
        assert catalog.fail("1", "run", "ä" * 100)

    assert database.row(1).error_message == "ä" * 34 + " [...]"


def test_names_that_no_text_column_would_hold(database: SqlDatabase) -> None:
    """Nulls, numbers and bytes stop nobody else."""
    column = {"sqlite": "file_name", "postgresql": "file_name TEXT", "mariadb": "file_name VARBINARY(255)"}
    database.sql(DOCUMENT.replace("file_name VARCHAR(255) NOT NULL", column[database.backend]))
    database.add("a", None)
    if database.backend == "postgresql":
        database.add("b", "\ufffd.mp3")
    else:
        database.sql("INSERT INTO Uploads (upload_id, file_name) VALUES ('b', X'80ff2e6d7033')")
    database.add("c", "good.mp3")
    if database.backend == "sqlite":
        database.sql("INSERT INTO Uploads (upload_id, file_name) VALUES (NULL, 'nobody.mp3')")
        database.sql("INSERT INTO Uploads (upload_id, file_name) VALUES ('d', CAST(X'80ff2e6d7033' AS TEXT))")
    with open_catalog(database.url) as catalog:
        taken, refused = take(catalog, 10, "run")
        assert [item.upload.file_name for item in taken] == ["good.mp3"]
        assert len(refused) == (3 if database.backend == "sqlite" else 2)
        assert {database.status(upload_id) for upload_id in ("a", "b")} == {"failed"}
        assert catalog.complete("c", "run")


def test_a_database_that_takes_any_bytes(database_servers: DatabaseServers, tmp_path: Path) -> None:
    database = database_servers.new("postgresql", tmp_path, "ENCODING SQL_ASCII LOCALE 'C' TEMPLATE template0")
    with open_catalog(database.url) as catalog:
        database.sql(r"INSERT INTO Uploads (upload_id, file_name) VALUES ('u1', E'\xff.mp3')")
        with pytest.raises(ConfigurationError, match="takes texts that are not UTF-8, and holds some"):
            catalog.pending(1)


@pytest.mark.parametrize("name", ["Uploads", "uploads", "UPLOADS"])
def test_the_case_of_its_name_does_not_matter(database: SqlDatabase, name: str) -> None:
    quote = "`" if database.backend == "mariadb" else '"'
    database.sql(DOCUMENT.replace("Uploads", f"{quote}{name}{quote}"))
    database.sql(f"INSERT INTO {quote}{name}{quote} (upload_id, file_name) VALUES ('u1', 'song.mp3')")  # noqa: S608
    with open_catalog(database.url) as catalog:
        assert ids(take(catalog, 1, "run")[0]) == ["u1"]
        assert catalog.complete("u1", "run")
    with database.transaction() as connection:
        assert [each for each in inspect(connection).get_table_names() if each.lower() == "uploads"] == [name]


@pytest.mark.parametrize("others", [["UPLOADS"], ["UPLOADS", "uPLOADS"]])
def test_of_several_the_document_s_is_used(database: SqlDatabase, others: list[str]) -> None:
    if database.backend == "sqlite":
        return  # its names are equal in any case
    quote = "`" if database.backend == "mariadb" else '"'
    database.sql(DOCUMENT)
    database.add("ours", "song.mp3")
    for other in others:
        database.sql(DOCUMENT.replace("Uploads", f"{quote}{other}{quote}"))
        database.sql(f"INSERT INTO {quote}{other}{quote} (upload_id, file_name) VALUES ('theirs', 'x.mp3')")  # noqa: S608
    with open_catalog(database.url) as catalog:
        assert [upload.upload_id for upload in catalog.pending(10)] == ["ours"]
    database.sql("DROP TABLE Uploads")
    if len(others) == 1:
        with open_catalog(database.url) as catalog:
            assert [upload.upload_id for upload in catalog.pending(10)] == ["theirs"]
    else:
        with pytest.raises(ConfigurationError, match="several tables of uploads: UPLOADS, uPLOADS"):
            open_catalog(database.url)


@pytest.mark.parametrize("default", ["app", "public"])
def test_a_schema_on_the_search_path(database: SqlDatabase, default: str) -> None:
    """A second table in the first schema would hide the application's own from the application."""
    if database.backend != "postgresql":
        return
    name = database.engine_url.database
    database.sql("CREATE SCHEMA app")
    database.sql(f"ALTER DATABASE {name} SET search_path = app, public")
    other = "public" if default == "app" else "app"
    database.sql(DOCUMENT.replace("Uploads", f"{other}.Uploads"))
    database.sql(f"INSERT INTO {other}.Uploads (upload_id, file_name) VALUES ('u1', 'song.mp3')")  # noqa: S608
    with open_catalog(database.url) as catalog:
        works_through(catalog, database, ["u1"])
    found = database.sql("SELECT schemaname FROM pg_tables WHERE lower(tablename) = 'uploads'")
    assert [row.schemaname for row in found] == [other]


def test_a_view(database: SqlDatabase) -> None:
    """The application may keep its tables to itself."""
    if database.backend == "sqlite":
        return  # views cannot be written there
    database.sql(DOCUMENT.replace("Uploads", "Kept"))
    database.sql("CREATE VIEW Uploads AS SELECT * FROM Kept")
    database.add("u1", "song.mp3")
    with open_catalog(database.url) as catalog:
        works_through(catalog, database, ["u1"])


def test_a_status_of_a_closed_set(database: SqlDatabase) -> None:
    values = "'0', 'processing', 'completed', 'failed'"
    if database.backend == "postgresql":
        database.sql(f"CREATE TYPE status AS ENUM ({values})")
    column = {
        "postgresql": "status",
        "mariadb": f"ENUM({values})",
        "sqlite": f"TEXT CHECK (processing_status IN ({values}))",
    }
    database.sql(
        DOCUMENT.replace("processing_status VARCHAR(20)", f"processing_status {column[database.backend]}").replace(
            "DEFAULT '0'" if database.backend == "sqlite" else "\0", "DEFAULT '0'"
        )
    )
    database.add("u1", "song.mp3")
    with open_catalog(database.url) as catalog:
        works_through(catalog, database, ["u1"])


def test_a_closed_set_that_lacks_ours(database: SqlDatabase) -> None:
    """Found at the first write where the database does not tell before."""
    values = "'0', 'done'"
    if database.backend == "postgresql":
        database.sql(f"CREATE TYPE status AS ENUM ({values})")
    column = {
        "postgresql": "status",
        "mariadb": f"ENUM({values})",
        "sqlite": f"TEXT CHECK (processing_status IN ({values}))",
    }
    database.sql(DOCUMENT.replace("VARCHAR(20)", column[database.backend]))
    database.add("u1", "song.mp3")
    told = r"processing_status|a column of Uploads|a rule of the table"
    with pytest.raises(ConfigurationError, match=told), open_catalog(database.url) as catalog:
        take(catalog, 1, "run")
    assert database.status("u1") == "0"


def test_a_column_is_missing(database: SqlDatabase) -> None:
    database.sql("CREATE TABLE Uploads (upload_id VARCHAR(255) PRIMARY KEY, file_name TEXT, processing_status TEXT)")
    before = structure(database, name_of(database))
    with pytest.raises(ConfigurationError, match="has no column upload_type, uploaded_at, error_message; add"):
        open_catalog(database.url)
    assert structure(database, name_of(database)) == before


def test_columns_in_capitals(database: SqlDatabase) -> None:
    quote = "`" if database.backend == "mariadb" else '"'
    statement = DOCUMENT
    for name in ("upload_id", "file_name", "upload_type", "processing_status", "uploaded_at", "error_message"):
        statement = statement.replace(f" {name} ", f" {quote}{name.upper()}{quote} ")
    database.sql(statement)
    database.sql(f"INSERT INTO Uploads ({quote}UPLOAD_ID{quote}, {quote}FILE_NAME{quote}) VALUES ('u1', 'song.mp3')")  # noqa: S608
    with open_catalog(database.url) as catalog:
        assert take(catalog, 1, "run")[0]
        assert catalog.complete("u1", "run")
    [row] = database.sql(f"SELECT {quote}PROCESSING_STATUS{quote} AS status FROM Uploads")  # noqa: S608
    assert row.status == "completed"


def test_an_engine_without_transactions(database: SqlDatabase) -> None:
    if database.backend != "mariadb":
        return
    database.sql(f"{DOCUMENT} ENGINE=MyISAM DEFAULT CHARSET=latin1")
    with pytest.raises(ConfigurationError, match="MyISAM, which knows no transactions"):
        open_catalog(database.url)


def test_columns_of_another_character_set(database: SqlDatabase) -> None:
    """What the column cannot hold of a message is replaced; the rest is kept."""
    if database.backend != "mariadb":
        return
    database.sql(f"{DOCUMENT} DEFAULT CHARSET=latin1")
    database.add("u1", "song.mp3")
    with open_catalog(database.url) as catalog:
        take(catalog, 1, "run")
        assert catalog.fail("u1", "run", "日本語: no audio")
    assert database.row("u1").error_message == "???: no audio"


def test_an_account_that_may_only_read_and_write_rows(database: SqlDatabase) -> None:
    """Somebody who may has made the tables before."""
    if database.backend == "sqlite":
        return
    database.sql(DOCUMENT)
    database.add("u1", "song.mp3")
    account = f"worker_{database.engine_url.database}"
    if database.backend == "postgresql":
        database.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        database.sql(f"CREATE USER {account} PASSWORD '{PASSWORD.replace(':', '')}'")
        database.sql(f"GRANT SELECT, UPDATE ON Uploads TO {account}")
    else:
        database.sql(f"CREATE USER {account} IDENTIFIED BY '{PASSWORD.replace(':', '')}'")
        database.sql(f"GRANT SELECT, UPDATE ON Uploads TO {account}")
    url = database.url.replace("//uploads:", f"//{account}:").replace("%3A", "")
    with pytest.raises(AccessDeniedError, match="all rights on audio_compressor_claims, and once CREATE"):
        open_catalog(url)
    open_catalog(database.url).close()
    database.sql(f"GRANT SELECT ON audio_compressor_alembic_version TO {account}")
    database.sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON audio_compressor_claims TO {account}")
    with open_catalog(url) as catalog:
        works_through(catalog, database, ["u1"])
        assert catalog.beat("run") == 0
        database.sql(f"REVOKE UPDATE ON Uploads FROM {account}")
        with pytest.raises(AccessDeniedError, match="SELECT and UPDATE on Uploads"):
            catalog.retry("u1")


_NO_TEXT = "which is no text; make it a VARCHAR(255), a number or a UUID"
GOOD = {
    "upload_id": "varchar(255)",
    "file_name": "text",
    "upload_type": "text",
    "processing_status": "character varying(20)",
    "uploaded_at": "timestamp",
    "error_message": "text",
}


@pytest.mark.parametrize(("id_type", "is_good"), [("binary(16)", False), ("bytea", False), ("uuid", True)])
def test_types_of_the_id(id_type: str, is_good: bool) -> None:
    """Of what no text finds again, an upload would wait for ever, and nobody would be told."""
    problems = why_unsuitable({**GOOD, "upload_id": id_type}, None, types_hold=True)
    assert problems == ([] if is_good else [f"keeps upload_id as {id_type}, {_NO_TEXT}"])


@pytest.mark.parametrize("id_type", ["BIGINT", "DECIMAL(30)"])
def test_large_numbers_are_told_apart(database: SqlDatabase, id_type: str) -> None:
    """Two that are one as floating-point numbers, as MySQL compares numbers and texts elsewhere."""
    database.sql(DOCUMENT.replace("upload_id VARCHAR(255)", f"upload_id {id_type}"))
    first, second = 2**53, 2**53 + 1
    for number in (first, second):
        database.add(number, f"{number}.mp3")
    with open_catalog(database.url) as catalog:
        assert catalog.claim(Upload(str(second), f"{second}.mp3"), "song", "run")
        assert database.statuses() == {str(first): "0", str(second): "processing"}
        assert catalog.complete(str(second), "run")


@pytest.mark.parametrize(
    ("status", "is_good"),
    [
        ("character varying(10)", True),
        ("character varying(9)", False),
        ("varchar(10)", True),
        ("char(5)", False),
        ("text", True),
        ("integer", False),
        ("int(11)", False),
        ("tinyint(1)", False),
        ("enum('0','processing','completed','failed')", True),
        ("enum('0','done')", False),
        ("upload_status", True),
    ],
)
def test_types_of_the_status(status: str, is_good: bool) -> None:
    types = {**GOOD, "processing_status": status}
    assert (why_unsuitable(types, None, types_hold=True) == []) == is_good
    assert why_unsuitable(types, None, types_hold=False) == []
