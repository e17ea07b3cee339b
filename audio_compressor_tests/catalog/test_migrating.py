"""Making the tables, alone and with others at the same time, and what became of earlier versions."""

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

import audio_compressor
from audio_compressor.catalog.catalog import open_catalog
from audio_compressor.catalog.migrating import VERSION_TABLE, configuration, why_incomplete
from audio_compressor.catalog.tables import CLAIMS
from audio_compressor.errors import ConfigurationError
from audio_compressor_tests.catalog.taking import ids, take
from audio_compressor_tests.catalog.test_existing_tables import DOCUMENT, name_of, structure
from audio_compressor_tests.fixtures.databases import DatabaseServers, SqlDatabase


def tables(database: SqlDatabase) -> set[str]:
    with database.transaction() as connection:
        return set(inspect(connection).get_table_names())


def test_from_nothing_to_the_document_s_table(
    database: SqlDatabase, database_servers: DatabaseServers, tmp_path: Path
) -> None:
    open_catalog(database.url).close()
    assert tables(database) == {name_of(database), "audio_compressor_claims", VERSION_TABLE}
    documented = database_servers.new(database.kind, tmp_path)
    documented.sql(DOCUMENT)
    assert structure(database, name_of(database)) == structure(documented, name_of(documented))


@pytest.mark.parametrize(
    ("there", "finding"),
    [
        ((), "the first run makes it"),
        ((DOCUMENT,), "has the table Uploads; the first run makes, or updates, that of claims beside it"),
    ],
)
def test_what_is_missing_is_told_and_not_made(
    database: SqlDatabase, tmp_path: Path, there: tuple[str, ...], finding: str
) -> None:
    for statement in there:
        database.sql(statement)
    files = list(tmp_path.iterdir())
    assert finding in str(why_incomplete(database.url))
    assert list(tmp_path.iterdir()) == files  # SQLite makes a database that is opened
    assert len(tables(database)) == len(there)
    open_catalog(database.url).close()
    assert why_incomplete(database.url) is None


def test_a_table_that_was_lost_is_told_before_any_run(database: SqlDatabase) -> None:
    open_catalog(database.url).close()
    database.sql("DROP TABLE Uploads" if "Uploads" in tables(database) else "DROP TABLE uploads")
    with pytest.raises(ConfigurationError, match="has lost its table Uploads; restore it from a backup"):
        why_incomplete(database.url)


def test_a_second_start_changes_nothing(database: SqlDatabase) -> None:
    open_catalog(database.url).close()
    before = [structure(database, name) for name in sorted(tables(database))]
    database.add("u1", "song.mp3")
    with open_catalog(database.url) as catalog:
        assert len(catalog.pending(10)) == 1
    assert [structure(database, name) for name in sorted(tables(database))] == before


def test_what_the_code_believes_of_our_table_is_true(database: SqlDatabase) -> None:
    open_catalog(database.url).close()

    def ours(thing: Any, name: str | None, kind: str, *_: object) -> bool:
        return kind != "table" or name == CLAIMS.name

    with database.transaction() as connection:
        options = {"include_object": ours, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, CLAIMS.metadata) == []


def test_from_the_first_version(database: SqlDatabase) -> None:
    with database.transaction() as connection:
        command.upgrade(configuration(connection), "0001")
    assert "audio_compressor_claims" not in tables(database)
    database.add("u1", "song.mp3")
    with open_catalog(database.url) as catalog:
        assert ids(take(catalog, 1, "run")[0]) == ["u1"]


def test_one_that_broke_off_is_repeated(database: SqlDatabase) -> None:
    """MySQL and MariaDB keep the table that a revision made before it was killed."""
    open_catalog(database.url).close()
    database.add("u1", "song.mp3")
    database.sql(f"UPDATE {VERSION_TABLE} SET version_num = '0001'")  # noqa: S608
    open_catalog(database.url).close()
    database.sql(f"DELETE FROM {VERSION_TABLE}")  # noqa: S608
    with open_catalog(database.url) as catalog:
        assert len(catalog.pending(10)) == 1


def test_there_is_no_way_back(database: SqlDatabase) -> None:
    open_catalog(database.url).close()
    database.add("u1", "song.mp3")
    for target in ("0001", "base"):
        with (
            pytest.raises(ConfigurationError, match="does not go back"),
            database.transaction() as connection,
        ):
            command.downgrade(configuration(connection), target)
    with open_catalog(database.url) as catalog:
        assert len(catalog.pending(10)) == 1


def test_a_newer_version_was_here(database: SqlDatabase) -> None:
    open_catalog(database.url).close()
    database.sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")  # noqa: S608
    with pytest.raises(ConfigurationError, match=r"newer version of this program .*9999"):
        open_catalog(database.url)


def test_the_application_s_own_alembic_is_left_alone(database: SqlDatabase) -> None:
    database.sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    database.sql("INSERT INTO alembic_version VALUES ('abcdef')")
    open_catalog(database.url).close()
    assert [row.version_num for row in database.sql("SELECT version_num FROM alembic_version")] == ["abcdef"]


def test_the_table_was_dropped(database: SqlDatabase) -> None:
    open_catalog(database.url).close()
    database.sql("DROP TABLE Uploads")
    with pytest.raises(ConfigurationError, match="has lost its table Uploads"):
        open_catalog(database.url)


def test_the_revisions_are_installed() -> None:
    """As modules of packages: they are found as files at run time, and not by an import that would tell."""
    root = Path(audio_compressor.__file__).parent
    revisions = [path for path in (root / "catalog" / "migrations").rglob("*.py") if path.name != "__init__.py"]
    assert len(revisions) > 2
    for path in revisions:
        for directory in path.relative_to(root).parents:
            assert (root / directory / "__init__.py").is_file()
