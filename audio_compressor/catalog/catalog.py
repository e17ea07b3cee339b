"""What is done with the table of uploads, each in one transaction that happens whole or not at all.

A change of status is one UPDATE with a condition whose row count decides, whoever else reads or writes at that time.
That an upload is ours is told by a row in our own table, written in the same transaction: uploads that another program
works on are never touched. Every transaction changes Uploads first, so that two of them meet there and do not deadlock.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import case, delete, insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from audio_compressor.catalog.database import ANSWER_SECONDS, Database
from audio_compressor.catalog.finding import find_uploads
from audio_compressor.catalog.migrating import lost_uploads, migrate
from audio_compressor.catalog.rows import Claim, Upload, as_text, cut
from audio_compressor.catalog.tables import (
    CLAIMS,
    COMPLETED,
    FAILED,
    PENDING,
    PROCESSING,
    TRACK,
    Uploads,
    database_seconds,
)
from audio_compressor.catalog.translation import UnsuitableValueError
from audio_compressor.catalog.url import parse_catalog_url
from audio_compressor.closing import Closing
from audio_compressor.texts import visible


class Catalog(Closing):
    """Methods may be called from several threads and processes. They raise AudioCompressorError where the database
    cannot be reached or refuses; what they were to do has not happened then, or (when the connection broke at the last
    moment) has happened whole.
    """

    def __init__(self, database: Database, uploads: Uploads) -> None:
        self._database = database
        self._uploads = uploads

    def close(self) -> None:
        self._database.close()

    @property
    def name(self) -> str:
        """How messages name the database."""
        return self._database.name

    def pending(self, limit: int) -> tuple[Upload, ...]:
        """Tracks that wait, oldest first, those without a date last; always in the same order."""
        return self._with_status(PENDING, limit)

    def failed(self, limit: int) -> tuple[Upload, ...]:
        """Tracks that failed, in the same order."""
        return self._with_status(FAILED, limit)

    def _with_status(self, status: str, limit: int) -> tuple[Upload, ...]:
        uploads = self._uploads
        question = (
            select(uploads.upload_id, uploads.file_name)
            .where(
                uploads.processing_status == status,
                uploads.upload_type == TRACK,
                uploads.upload_id.is_not(None),  # SQLite allows it in a primary key, and nothing finds that row again
            )
            .order_by(case((uploads.uploaded_at.is_(None), 1), else_=0), uploads.uploaded_at, uploads.upload_id)
            .limit(limit)
        )
        rows = self._database.read("looking for uploads", lambda connection: connection.execute(question).all())
        return tuple(Upload(as_text(upload_id), as_text(file_name)) for upload_id, file_name in rows)

    def of_file(self, file_name: str) -> tuple[tuple[Upload, str], ...]:
        """The uploads of one object with their status, the newest first."""
        uploads = self._uploads
        question = (
            select(uploads.upload_id, uploads.file_name, uploads.processing_status)
            .where(uploads.file_name == file_name, uploads.upload_type == TRACK, uploads.upload_id.is_not(None))
            .order_by(
                case((uploads.uploaded_at.is_(None), 1), else_=0), uploads.uploaded_at.desc(), uploads.upload_id.desc()
            )
        )
        rows = self._database.read(
            "looking for the uploads of a track", lambda connection: connection.execute(question).all()
        )
        found = [(Upload(as_text(each[0]), as_text(each[1])), as_text(each[2])) for each in rows]
        # MySQL compares without regard to case and accents, as it was set up.
        return tuple((upload, status) for upload, status in found if upload.file_name == file_name)

    def claim(self, upload: Upload, track_key: str, claimed_by: str) -> bool:
        """Take an upload that waits. False when somebody else has, or holds another upload of the same track."""

        def write(connection: Connection) -> bool:
            if self._change(connection, upload.upload_id, PENDING, PROCESSING) != 1:
                return False
            same_upload = CLAIMS.c.upload_id == upload.upload_id
            # Only where there is one, left by somebody who set the status back by hand: in MySQL, deleting what is
            # not there locks the gap, and two who then insert into it deadlock.
            if connection.execute(select(CLAIMS.c.upload_id).where(same_upload)).first():
                connection.execute(delete(CLAIMS).where(same_upload))
            now = database_seconds(connection)
            row = insert(CLAIMS).values(
                upload_id=upload.upload_id,
                track_key=track_key,
                file_name=upload.file_name,
                claimed_by=claimed_by,
                claimed_at_seconds=now,
                heartbeat_at_seconds=now,
            )
            try:
                connection.execute(row)
            except IntegrityError:
                connection.rollback()
                return False
            return True

        return self._database.write(f"claiming the upload {upload.upload_id}", write)

    def complete(self, upload_id: str, claimed_by: str) -> bool:
        """False when the upload is not ours any more: released, or changed by somebody else."""
        return self._end(upload_id, claimed_by, COMPLETED)

    def fail(self, upload_id: str, claimed_by: str, error_message: str) -> bool:
        """As `complete`; the message is cut to what its column holds."""
        return self._with_message(error_message, lambda message: self._end(upload_id, claimed_by, FAILED, message))

    def refuse(self, upload_id: str, error_message: str) -> bool:
        """Fail an upload that nobody has claimed, because it cannot be worked on."""
        return self._with_message(
            error_message,
            lambda message: self._database.write(
                f"refusing the upload {upload_id}",
                lambda connection: self._change(connection, upload_id, PENDING, FAILED, message) == 1,
            ),
        )

    def retry(self, upload_id: str) -> bool:
        """Let a failed upload wait again; a person's decision. False when it has not failed."""
        return self._database.write(
            f"retrying the upload {upload_id}",
            lambda connection: self._change(connection, upload_id, FAILED, PENDING) == 1,
        )

    def claims(self) -> tuple[Claim, ...]:
        """Everything that our runs hold, oldest first."""

        def read(connection: Connection) -> list[Claim]:
            silent_seconds = database_seconds(connection) - CLAIMS.c.heartbeat_at_seconds
            rows = connection.execute(
                select(CLAIMS, silent_seconds.label("silent_seconds")).order_by(
                    CLAIMS.c.claimed_at_seconds, CLAIMS.c.upload_id
                )
            )
            return [
                Claim(
                    upload_id=row.upload_id,
                    file_name=row.file_name,
                    track_key=row.track_key,
                    claimed_by=row.claimed_by,
                    claimed_at=datetime.fromtimestamp(row.claimed_at_seconds, UTC),
                    silent_seconds=max(0, row.silent_seconds),
                )
                for row in rows
            ]

        return tuple(self._database.read("looking for uploads that are claimed", read))

    def beat(self, *claimed_by: str) -> int:
        """Tell that these holders live; how many uploads they still hold."""

        def write(connection: Connection) -> int:
            held = CLAIMS.c.claimed_by.in_(claimed_by)
            # By primary key: MySQL would lock every row that it looks at.
            ids = connection.execute(select(CLAIMS.c.upload_id).where(held)).scalars().all()
            if not ids:
                return 0
            now = update(CLAIMS).values(heartbeat_at_seconds=database_seconds(connection))
            return connection.execute(now.where(CLAIMS.c.upload_id.in_(ids), held)).rowcount

        return self._database.write("telling that runs live", write)

    def release(self, *claimed_by: str, silent_seconds: int = 0) -> tuple[str, ...]:
        """Let what dead runs hold wait again; the ids. With ``silent_seconds``, only what they have not told of for so
        long. Of what somebody else has given another status meanwhile, only the claim goes.
        """
        held = [claim for claim in self.claims() if claim.claimed_by in claimed_by]
        return tuple(
            claim.upload_id
            for claim in held
            if self._end(claim.upload_id, claim.claimed_by, PENDING, silent_seconds=silent_seconds)
        )

    def _end(
        self, upload_id: str, claimed_by: str, status: str, message: str | None = None, silent_seconds: int = 0
    ) -> bool:
        def write(connection: Connection) -> bool:
            changed = self._change(connection, upload_id, PROCESSING, status, message)
            held = delete(CLAIMS).where(CLAIMS.c.upload_id == upload_id, CLAIMS.c.claimed_by == claimed_by)
            if silent_seconds:
                held = held.where(CLAIMS.c.heartbeat_at_seconds <= database_seconds(connection) - silent_seconds)
            if connection.execute(held).rowcount != 1:
                connection.rollback()
                return False
            return changed == 1

        return self._database.write(f"giving the upload {upload_id} the status {status}", write)

    def _change(
        self, connection: Connection, upload_id: str, before: str, after: str, message: str | None = None
    ) -> int:
        """How many rows had the status ``before``, and now have the other one and the message."""
        uploads = self._uploads
        values: dict[Any, str | None] = {uploads.processing_status: after, uploads.error_message: message}
        return connection.execute(
            update(uploads.table)
            .where(uploads.upload_id == upload_id, uploads.processing_status == before)
            .values(values)
        ).rowcount

    def _with_message(self, message: str, write: Callable[[str], bool]) -> bool:
        text = cut(visible(message), self._uploads.error_characters)
        try:
            return write(text)
        except UnsuitableValueError:  # a column of another character set
            return write(text.encode("ascii", "replace").decode())


def open_catalog(url: str, answer_seconds: float = ANSWER_SECONDS) -> Catalog:
    """The catalogue of a CATALOG_URL; what is missing there of tables is made.

    ``answer_seconds``: how long the database may take for one transaction.

    Raises:
        ConfigurationError: the URL cannot be used, or the table Uploads there.
        AccessDeniedError, AuthenticationError, ConnectionLostError, TimedOutError: as they say.
    """
    database = Database(parse_catalog_url(url), answer_seconds)
    migrate(database)
    uploads = database.read("looking for the table Uploads", find_uploads)
    if uploads is None:
        raise lost_uploads(database)
    return Catalog(database, uploads)
