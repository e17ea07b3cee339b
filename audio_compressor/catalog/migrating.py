"""Bringing the database up to date: the table of the document where it is missing, and our own.

Any number of processes may start at once: one migrates while the others wait.
"""

import os
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text
from sqlalchemy.engine import Connection

from audio_compressor.catalog.database import Database
from audio_compressor.catalog.finding import find_uploads
from audio_compressor.catalog.url import parse_catalog_url
from audio_compressor.errors import AccessDeniedError, ConfigurationError, TimedOutError

# The application that owns Uploads may use Alembic too, whose own table is `alembic_version`.
VERSION_TABLE = "audio_compressor_alembic_version"

_DOING = "preparing the catalogue's tables"
# A number nobody else uses as an advisory lock: the first bytes of SHA-256("audio_compressor_claims").
_POSTGRESQL_LOCK = 0x1F0C_6A2B_94D3_57E1
_MYSQL_LOCK_SECONDS = 20


def migrate(database: Database) -> None:
    """Raises:
    ConfigurationError: a newer version of this program has migrated it already.
    AccessDeniedError: the account may not create tables, and there is one to create.
    """
    if not database.read(_DOING, _is_current):
        database.write(_DOING, _upgrade)


def why_incomplete(url: str) -> str | None:
    """What `migrate` would make in the database of a CATALOG_URL, or None where everything is there. Changes nothing.

    Raises:
        AudioCompressorError: it cannot be reached, or its table Uploads not be used.
    """
    address = parse_catalog_url(url)
    database, file = Database(address), Path(address.database or "")
    if database.dialect == "sqlite" and not file.exists():  # to look into it would make it
        if not os.access(file.parent, os.W_OK):
            raise AccessDeniedError(f"{file.parent} is not there, or cannot be written; make it, or set CATALOG_URL")
        return f"{database.name} is not there yet; the first run makes it"
    is_there = database.read("looking for the table Uploads", find_uploads) is not None
    if database.read(_DOING, _is_current):
        if not is_there:
            raise lost_uploads(database)
        return None
    if not is_there:
        return f"{database.name} has no table Uploads yet; the first run makes it"
    return f"{database.name} has the table Uploads; the first run makes, or updates, that of claims beside it"


def lost_uploads(database: Database) -> ConfigurationError:
    """It was there, and is made anew by nobody."""
    return ConfigurationError([f"{database.name} has lost its table Uploads; restore it from a backup"])


def configuration(connection: Connection) -> Config:
    """What Alembic's commands need, for those who use them on this database themselves."""
    config = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
    config.set_main_option("script_location", "audio_compressor.catalog:migrations")
    return config


def _is_current(connection: Connection) -> bool:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    scripts = ScriptDirectory.from_config(configuration(connection))
    return set(context.get_current_heads()) == set(scripts.get_heads())


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # Where the default is stricter, what is seen is what was there before the wait for the lock.
        connection = connection.execution_options(isolation_level="READ COMMITTED")
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _POSTGRESQL_LOCK})
    elif connection.dialect.name == "mysql":
        # The lock ends with the connection; their transactions would end with the first CREATE TABLE.
        question = text("SELECT GET_LOCK(concat('audio_compressor.', md5(DATABASE())), :seconds)")
        if connection.execute(question, {"seconds": _MYSQL_LOCK_SECONDS}).scalar() != 1:
            raise TimedOutError(f"Another process has been {_DOING} for {_MYSQL_LOCK_SECONDS} s; is it stuck?")
    else:
        # Before Alembic looks: where no transaction has begun, it makes one of its own for each revision of SQLite, and
        # of six processes that started at once, one found a revision done behind its back.
        connection.begin()
    try:
        command.upgrade(configuration(connection), "head")
    except CommandError as error:
        raise ConfigurationError(
            [f"The catalogue was made by a newer version of this program ({error}); install that one"]
        ) from error
