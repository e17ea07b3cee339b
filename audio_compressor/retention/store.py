"""`AudioStore`: where audio lies that people hand in to be worked on, until the work is done.

    AUDIO_STORAGE_PATH/
      JOB_ID.wav           the audio; whoever works with it holds a lock on it (locks.py)
      JOB_ID.json          how far its work has come (state.py)
      .JOB_ID.part         audio that is being saved
      .JOB_ID.json.part    a state that is being written

A state is there before its audio, and goes after it: audio without a state is never ours to delete.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal

from audio_compressor.errors import AudioCompressorError, PermanentError, StorageError
from audio_compressor.local_files import local_errors, sync_directory, write_atomically
from audio_compressor.recording import part_name
from audio_compressor.retention.incoming import copy, opened, size_of
from audio_compressor.retention.locks import WAIT_SECONDS, locked, require_plain_file, take
from audio_compressor.retention.state import JobState, Outcome, audio_name, state_name
from audio_compressor.space import Space, check_space
from audio_compressor.texts import visible

log = logging.getLogger(__name__)

Deletion = Literal["deleted", "missing", "changed", "in use"]

# Of what we write ourselves, some kilobytes.
_MOST_STATE_BYTES = 1_000_000


@dataclass(frozen=True)
class StoredAudio:
    """``space`` is what was found before it was saved, and None when it was not saved just now."""

    path: Path
    state: JobState
    space: Space | None = None


class AudioStore:
    """Methods may be called from several threads and processes; a job is begun and finished on the same object."""

    def __init__(
        self,
        directory: Path,
        warning_bytes: int = 0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.directory = directory
        self._warning_bytes = warning_bytes
        self._now = now
        self._held: set[str] = set()

    def save(self, source: Path | BinaryIO, original_name: str, job_id: str) -> StoredAudio:
        """Copy audio into the store, whole or not at all. ``job_id`` is a UUID that was not used before.

        Raises:
            PermanentError: the id is no UUID, or has its audio already.
            NotAudioError: the name does not end as audio does, or there is nothing in it.
            OutOfSpaceError: there is no room for it; nothing was written when its size is known beforehand.
            AccessDeniedError, StorageError, SourceChangedError: it could not be read or written.
        """
        path = self.directory / audio_name(job_id, original_name)
        state = JobState(job_id, "pending", path.name, original_name, self._now())
        with opened(source) as readable:
            size_bytes = size_of(readable)
            space = check_space(path, size_bytes or 0, self._warning_bytes)
            with local_errors(path):
                self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                try:
                    with self._alone(job_id) as (descriptor, part):
                        self._require_new(job_id, path)
                        copy(readable, descriptor, size_bytes, visible(original_name))
                        self._publish(state, part, path)
                except BlockingIOError:
                    raise StorageError(f"The audio of job {job_id} is being saved by somebody else already") from None
        return StoredAudio(path, state, space)

    def path(self, job_id: str) -> Path:
        """Where the audio of a job is: a plain file in the directory of the store, and nowhere else.

        Raises:
            PermanentError: the id is no UUID, or there is no such audio.
            AccessDeniedError: in its place is a link, or anything else but a file.
        """
        path = self.directory / self.state(job_id).file_name
        with local_errors(path):
            try:
                require_plain_file(path, path.lstat())
            except FileNotFoundError:
                raise _missing(job_id) from None
        return path

    def state(self, job_id: str) -> JobState:
        """Raises PermanentError when there is none, StorageError when it cannot be read."""
        path = self.directory / state_name(job_id)
        with local_errors(path):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except FileNotFoundError:
                raise _missing(job_id) from None
            with os.fdopen(descriptor, "rb") as file:
                require_plain_file(path, os.fstat(descriptor))
                text = file.read(_MOST_STATE_BYTES)
        try:
            return JobState.from_json(job_id, text.decode())
        except ValueError as error:
            raise StorageError(f"{path} does not tell the state of its job: {error}; correct or remove it") from error

    @contextmanager
    def begin(self, job_id: str) -> Iterator[StoredAudio]:
        """Work on the audio; for as long as the block lasts nobody else begins, and it is not deleted.

        A block that ends with an exception has failed; in one that ends well, `finish` says how it went.

        Raises:
            StorageError: somebody else works on it.
            PermanentError: there is no such audio any more.
        """
        path = self.path(job_id)
        with self._locked(job_id, path):
            self._held.add(job_id)
            try:
                state = replace(
                    self.state(job_id), status="processing", started_at=self._now(), finished_at=None, error=None
                )
                self._write(state)
                try:
                    yield StoredAudio(path, state)
                except BaseException as error:
                    self._note_failure(job_id, error)
                    raise
            finally:
                self._held.discard(job_id)

    def finish(self, job_id: str, outcome: Outcome, error: str | None = None) -> JobState:
        """Note that the work has ended; AUDIO_RETENTION_HOURS count from now. Inside the block of `begin`, or for a
        job that nobody works on.

        Raises:
            StorageError: somebody else works on it, or the state cannot be written.
            PermanentError: there is no such audio any more.
        """
        alone = nullcontext() if job_id in self._held else self._locked(job_id, self.path(job_id))
        with alone:
            state = replace(self.state(job_id), status=outcome, finished_at=self._now(), error=error)
            self._write(state)
        return state

    def delete(self, job_id: str, only_if: JobState | None = None) -> Deletion:
        """Delete audio and state, unless somebody works on it, or its state is another than ``only_if``.

        Raises:
            AudioCompressorError: it cannot be deleted; the state is still there then.
        """
        state_path = self.directory / state_name(job_id)
        try:
            state = self.state(job_id)
        except PermanentError:
            with local_errors(state_path):
                if not os.path.lexists(state_path):
                    return "missing"
            raise
        path = self.directory / state.file_name
        # Whoever plans ahead comes again; anybody else may have met a clean-up that only looks.
        wait_seconds = 0.0 if only_if else WAIT_SECONDS
        with local_errors(path):
            try:
                is_ours = only_if is None and job_id in self._held
                with nullcontext() if is_ours else locked(path, wait_seconds=wait_seconds):
                    return self._delete_if(job_id, path, only_if)
            except FileNotFoundError:  # deleted by hand, or by one who was killed before the state went too
                pass
            except BlockingIOError:
                return "in use"
            try:
                with self._alone(job_id):  # with whom its audio would come back
                    return "changed" if os.path.lexists(path) else self._delete_if(job_id, path, only_if)
            except BlockingIOError:
                return "in use"

    def note_sign_of_life(self, job_id: str) -> None:
        """For one whose audio was seen in use: should its worker be killed, AUDIO_RETENTION_HOURS count from now.

        Raises:
            AccessDeniedError, StorageError: it cannot be noted.
        """
        path = self.directory / state_name(job_id)
        at_seconds = self._now().timestamp()
        with local_errors(path), suppress(FileNotFoundError):
            os.utime(path, (at_seconds, at_seconds), follow_symlinks=False)

    def _delete_if(self, job_id: str, path: Path, only_if: JobState | None) -> Deletion:
        try:
            if only_if is not None and self.state(job_id) != only_if:
                return "changed"
        except PermanentError:
            return "missing"
        path.unlink(missing_ok=True)
        (self.directory / state_name(job_id)).unlink(missing_ok=True)
        sync_directory(self.directory)
        return "deleted"

    @contextmanager
    def _locked(self, job_id: str, path: Path) -> Iterator[None]:
        with ExitStack() as lock:
            with local_errors(path):
                try:
                    lock.enter_context(locked(path, wait_seconds=WAIT_SECONDS))
                except BlockingIOError:
                    raise StorageError(f"{path} is being worked on by somebody else; try again later") from None
                except FileNotFoundError:
                    raise _missing(job_id) from None
            yield

    @contextmanager
    def _alone(self, job_id: str) -> Iterator[tuple[int, Path]]:
        """An empty, locked part file, which is gone after the block; what a killed saver left in it is dropped.

        Raises BlockingIOError when somebody is saving audio for this job.
        """
        part = self.directory / part_name(job_id)
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        try:
            require_plain_file(part, os.fstat(descriptor))
            take(descriptor)
            os.ftruncate(descriptor, 0)
            try:
                yield descriptor, part
            finally:
                with suppress(FileNotFoundError):  # renamed; one that is there now is somebody else's
                    if os.path.samestat(os.fstat(descriptor), part.lstat()):
                        part.unlink()
        finally:
            os.close(descriptor)

    def _require_new(self, job_id: str, path: Path) -> None:
        if os.path.lexists(path):
            raise PermanentError(f"{path} is there already; take a new id for each piece of audio")
        if os.path.lexists(self.directory / state_name(job_id)):
            earlier = self.directory / self.state(job_id).file_name
            if os.path.lexists(earlier):  # or else it is of a saver that was killed
                raise PermanentError(f"{earlier} is there already; take a new id for each piece of audio")

    def _publish(self, state: JobState, part: Path, path: Path) -> None:
        try:
            self._write(state)
            part.rename(path)
            sync_directory(self.directory)
        except BaseException:
            with suppress(OSError):
                path.unlink(missing_ok=True)
                (self.directory / state_name(state.job_id)).unlink(missing_ok=True)
            raise

    def _write(self, state: JobState) -> None:
        write_atomically(self.directory / state_name(state.job_id), state.to_json())

    def _note_failure(self, job_id: str, error: BaseException) -> None:
        """Of what cannot be noted, the lock tells: a job in work that nobody holds counts as failed."""
        try:
            if self.state(job_id).status == "processing":
                self.finish(job_id, "failed", str(error) or type(error).__name__)
        except AudioCompressorError as unnoted:
            log.warning("That job %s has failed could not be noted: %s", job_id, unnoted)


def _missing(job_id: str) -> PermanentError:
    return PermanentError(
        f"No audio is kept for job {job_id}: none was saved, or it was deleted AUDIO_RETENTION_HOURS after its work"
    )
