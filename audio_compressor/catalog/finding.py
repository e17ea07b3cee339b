"""Finding the table `Uploads` of another program as it is: whatever the case of its name, its schema, its lengths and
what else is in it. Nothing here changes anything.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnClause, String, column, quoted_name, table, text
from sqlalchemy.engine import Connection

from audio_compressor.catalog.tables import COMPLETED, FAILED, PENDING, PROCESSING, Uploads
from audio_compressor.errors import ConfigurationError

# What `CREATE TABLE Uploads` makes: PostgreSQL folds names without quotes to lower case.
_DOCUMENT_NAME = {"postgresql": "uploads"}
_COLUMNS = ("upload_id", "file_name", "upload_type", "processing_status", "uploaded_at", "error_message")
# Longer ones help nobody, and these fit 65,535 bytes, which is what a TEXT holds in MySQL.
_MOST_ERROR_CHARACTERS = 10_000
# A TINYTEXT of MySQL holds 255 bytes, and a character takes 4 at most.
_TINYTEXT_CHARACTERS = 63

# Schema, name and storage engine of each. PostgreSQL's search path may name several schemas, and the program that owns
# the table finds it in any of them.
_TABLES = {
    "postgresql": "SELECT n.nspname, c.relname, NULL FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = ANY (current_schemas(false)) AND lower(c.relname) = 'uploads' "
    "AND c.relkind IN ('r', 'p', 'v', 'f') ORDER BY array_position(current_schemas(false), n.nspname), c.relname",
    "mysql": "SELECT NULL, table_name, engine FROM information_schema.tables "
    "WHERE table_schema = DATABASE() AND lower(table_name) = 'uploads' ORDER BY table_name",
    "sqlite": "SELECT NULL, name, NULL FROM sqlite_master WHERE type IN ('table', 'view') AND lower(name) = 'uploads'",
}
# Name and type of each, as the database writes types.
_TYPES = {
    "postgresql": "SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a "
    "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = :schema AND c.relname = :name AND a.attnum > 0 AND NOT a.attisdropped",
    "mysql": "SELECT column_name, column_type FROM information_schema.columns "
    "WHERE table_schema = coalesce(:schema, DATABASE()) AND table_name = :name",
    "sqlite": "SELECT name, type FROM pragma_table_info(:name) WHERE :schema IS NULL",
}
_LENGTH = re.compile(r"(?:character varying|varchar|character|char)\((\d+)\)", re.IGNORECASE)
# Their values have no text that finds the row again.
_BYTES = re.compile(r"binary|bytea", re.IGNORECASE)
_NUMBER = re.compile(r"(?:tiny|small|medium|big)?int|numeric|decimal|boolean|real|double|float", re.IGNORECASE)


@dataclass(frozen=True)
class _Found:
    schema: str | None
    name: str
    engine: str | None


def find_uploads(connection: Connection) -> Uploads | None:
    """The table, or None where there is none.

    Raises:
        ConfigurationError: there are several of that name, or it cannot hold what we write.
    """
    dialect = connection.dialect.name
    found = [_Found(*row) for row in connection.execute(text(_TABLES[dialect]))]
    if not found:
        return None
    chosen = _choose(found, _DOCUMENT_NAME.get(dialect, "Uploads"))
    rows = connection.execute(text(_TYPES[dialect]), {"schema": chosen.schema, "name": chosen.name})
    types = {str(name): str(type_) for name, type_ in rows}
    # SQLite keeps whatever is written, whatever the column was declared as.
    problems = why_unsuitable(types, chosen.engine, types_hold=dialect != "sqlite")
    if problems:
        raise ConfigurationError([f"The table {chosen.name} {problem}" for problem in problems])
    return _described(chosen, types)


def why_unsuitable(types: Mapping[str, str], engine: str | None, *, types_hold: bool) -> list[str]:
    """What is wrong with a table of these columns (type by name); each reads on from "The table Uploads"."""
    actual = _actual_names(types)
    missing = [name for name in _COLUMNS if name not in actual]
    if missing:
        return [f"has no column {', '.join(missing)}; add what is missing, or let this program make the table"]
    problems = []
    id_type = types[actual["upload_id"]]
    if types_hold and _BYTES.match(id_type):
        problems.append(f"keeps upload_id as {id_type}, which is no text; make it a VARCHAR(255), a number or a UUID")
    status = types[actual["processing_status"]]
    length = _LENGTH.match(status)
    needed = (PENDING, PROCESSING, COMPLETED, FAILED)
    if types_hold and (
        _NUMBER.match(status)
        or (length is not None and int(length[1]) < max(map(len, needed)))
        or (status.startswith("enum(") and not all(f"'{each}'" in status for each in needed))
    ):
        problems.append(
            f"keeps processing_status as {status}, which does not hold {', '.join(needed)}; make it a VARCHAR(20)"
        )
    if engine is not None and engine.lower() != "innodb":
        problems.append(
            f"is kept by the engine {engine}, which knows no transactions, so that a crash could lose a claim; "
            "ALTER TABLE ... ENGINE=InnoDB"
        )
    return problems


def _choose(found: Sequence[_Found], document_name: str) -> _Found:
    """The one that the document's SQL means, else the only one in the first schema that has any."""
    exact = [each for each in found if each.name == document_name]
    if exact:
        return exact[0]
    first = [each for each in found if each.schema == found[0].schema]
    if len(first) == 1:
        return first[0]
    names = ", ".join(sorted(each.name for each in first))
    raise ConfigurationError([f"There are several tables of uploads: {names}; one must have the name {document_name}"])


def _described(found: _Found, types: Mapping[str, str]) -> Uploads:
    actual = _actual_names(types)
    columns: dict[str, ColumnClause[str]] = {
        name: column(quoted_name(actual[name], quote=True), String()) for name in _COLUMNS
    }
    schema = None if found.schema is None else quoted_name(found.schema, quote=True)
    described = table(quoted_name(found.name, quote=True), *columns.values(), schema=schema)
    return Uploads(described, **columns, error_characters=_characters(types[actual["error_message"]]))


def _characters(error_type: str) -> int:
    length = _LENGTH.match(error_type)
    if length is not None:
        return min(int(length[1]), _MOST_ERROR_CHARACTERS)
    return _TINYTEXT_CHARACTERS if error_type.lower() == "tinytext" else _MOST_ERROR_CHARACTERS


def _actual_names(types: Mapping[str, str]) -> dict[str, str]:
    # In PostgreSQL, one of several that differ in case alone is the one without quotes.
    return {name.lower(): name for name in sorted(types, key=str.islower)}
