"""The two tables as SQL sees them: `Uploads` of the document, wherever it was found, and our own of who holds what.

The migrations say how they come about; this is how they are when all migrations are done.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnClause,
    ColumnElement,
    MetaData,
    String,
    Table,
    TableClause,
    literal_column,
)
from sqlalchemy.engine import Connection

# Values of `processing_status` in the document.
PENDING, PROCESSING, COMPLETED, FAILED = "0", "processing", "completed", "failed"
# Of `upload_type`: other programs may keep other kinds of uploads in the table.
TRACK = "track"

# One row for each upload that one of our runs works on. ``track_key`` is unique, so that two uploads of one track wait
# for each other. Times are seconds since 1970 by the database's clock, the only one that all machines share.
CLAIMS = Table(
    "audio_compressor_claims",
    MetaData(),
    Column("upload_id", String(255), primary_key=True),
    Column("track_key", String(255), nullable=False, unique=True),
    Column("file_name", String(255), nullable=False),
    Column("claimed_by", String(255), nullable=False),
    Column("claimed_at_seconds", BigInteger, nullable=False),
    Column("heartbeat_at_seconds", BigInteger, nullable=False),
)

_CLOCKS = {
    "postgresql": "CAST(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) AS BIGINT)",
    "mysql": "UNIX_TIMESTAMP()",
    "sqlite": "CAST(strftime('%s', 'now') AS INTEGER)",
}


@dataclass(frozen=True)
class Uploads:
    """The table as it was found: its own name, schema and columns. An error message may have ``error_characters``."""

    table: TableClause
    upload_id: ColumnClause[Any]
    file_name: ColumnClause[Any]
    upload_type: ColumnClause[Any]
    processing_status: ColumnClause[Any]
    uploaded_at: ColumnClause[Any]
    error_message: ColumnClause[Any]
    error_characters: int


def database_seconds(connection: Connection) -> ColumnElement[int]:
    """The database's clock, in seconds since 1970."""
    return literal_column(_CLOCKS[connection.dialect.name], BigInteger)
