"""Our own table of who works on what."""

import sqlalchemy as sa
from alembic import op

from audio_compressor.errors import ConfigurationError

revision = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    op.create_table(
        "audio_compressor_claims",
        sa.Column("upload_id", sa.String(255), primary_key=True),
        sa.Column("track_key", sa.String(255), nullable=False, unique=True),
        sa.Column("file_name", sa.String(255), nullable=False),
        sa.Column("claimed_by", sa.String(255), nullable=False),
        sa.Column("claimed_at_seconds", sa.BigInteger, nullable=False),
        sa.Column("heartbeat_at_seconds", sa.BigInteger, nullable=False),
        if_not_exists=True,
        mysql_engine="InnoDB",
        # Keys are compared letter by letter: S3 knows "Song" and "song" as two.
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )


def downgrade() -> None:
    raise ConfigurationError(["The catalogue does not go back to an earlier version; restore a backup instead"])
