"""The table of the document, to the letter, unless there is one of that name."""

from alembic import op

from audio_compressor.catalog.finding import find_uploads
from audio_compressor.errors import ConfigurationError

revision = "0001"
down_revision: str | None = None

_UPLOADS = """
CREATE TABLE Uploads (
    upload_id VARCHAR(255) PRIMARY KEY,
    file_name VARCHAR(255) NOT NULL,
    upload_type VARCHAR(50) DEFAULT 'track',
    processing_status VARCHAR(20) DEFAULT '0',
    uploaded_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    error_message TEXT
)
"""


def upgrade() -> None:
    if find_uploads(op.get_bind()) is None:
        op.execute(_UPLOADS)


def downgrade() -> None:
    raise ConfigurationError(["The catalogue does not go back to an earlier version; restore a backup instead"])
