"""What lies in the store: jobs, parts that killed savers left, and files that are no job's. It changes nothing."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from audio_compressor.errors import AccessDeniedError, AudioCompressorError, PermanentError
from audio_compressor.local_files import local_errors
from audio_compressor.recording import part_name
from audio_compressor.retention.locks import is_in_use
from audio_compressor.retention.state import STATE_SUFFIX, JobState, is_job_id
from audio_compressor.retention.store import AudioStore

_PART = re.compile(re.escape(part_name("NAME")).replace("NAME", f"(?P<job>[^.]+)(?:{re.escape(STATE_SUFFIX)})?"))
# mkfs makes it on every ext file system, a volume of its own among them.
_OF_THE_FILE_SYSTEM = {"lost+found"}


@dataclass(frozen=True)
class Item:
    """One thing in the store: a job with its audio and state, a part file, or a stranger, which is neither.

    ``name`` is the job's id, or the name of the file. ``modified_at`` of a job is when its state was last written: the
    last sign of life of its worker. ``size_bytes`` is what would be freed. ``problem``: why it cannot be judged.
    """

    name: str
    kind: Literal["job", "part", "stranger"]
    size_bytes: int
    modified_at: datetime
    is_in_use: bool = False
    state: JobState | None = None
    has_audio: bool = True
    problem: str | None = None


def take_stock(store: AudioStore) -> list[Item]:
    """Everything, by name. A directory that is not there is an empty one.

    Raises:
        AccessDeniedError, StorageError: it cannot be listed, which is not the same as an empty one.
    """
    with local_errors(store.directory):
        try:
            names = sorted(path.name for path in store.directory.iterdir())
        except FileNotFoundError:
            return []
        return list(_items(store, names))


def _items(store: AudioStore, names: list[str]) -> Iterator[Item]:
    # Audio that is there has a state, even if it came between: the state is asked for, not looked up in the listing.
    of_jobs: set[str] = set()
    for job_id in sorted({name.partition(".")[0] for name in names if is_job_id(name.partition(".")[0])}):
        if job := _job(store, job_id):
            yield job
            if job.state:
                of_jobs |= {f"{job_id}{STATE_SUFFIX}", job.state.file_name}
            else:
                of_jobs |= {name for name in names if name.startswith(f"{job_id}.")}
    for name in names:
        if name not in of_jobs and name not in _OF_THE_FILE_SYSTEM and (item := _other(store.directory / name)):
            yield item


def _job(store: AudioStore, job_id: str) -> Item | None:
    """None when there is no state, or none that makes sense; what there is of it is strangers then."""
    try:
        state = store.state(job_id)
        state_file = (store.directory / f"{job_id}{STATE_SUFFIX}").lstat()
    except AccessDeniedError as error:
        return Item(job_id, "job", 0, datetime.now(UTC), problem=str(error))
    except (AudioCompressorError, FileNotFoundError):
        return None
    path = store.directory / state.file_name
    written_at = modified_at(state_file)
    try:
        audio = path.lstat()
        in_use = is_in_use(path)
    except FileNotFoundError:
        return Item(job_id, "job", state_file.st_size, written_at, state=state, has_audio=False)
    except AccessDeniedError as error:
        return Item(job_id, "job", 0, written_at, state=state, problem=str(error))
    except OSError as error:
        return Item(job_id, "job", 0, written_at, state=state, problem=f"{path}: {error.strerror}")
    return Item(job_id, "job", audio.st_size + state_file.st_size, written_at, in_use, state)


def _other(path: Path) -> Item | None:
    try:
        found = path.lstat()
    except FileNotFoundError:  # gone meanwhile
        return None
    written_at = modified_at(found)
    if not stat.S_ISREG(found.st_mode):
        return Item(path.name, "stranger", 0, written_at, problem="it is no plain file")
    match = _PART.fullmatch(path.name)
    if match and is_job_id(match["job"]):
        return _part(path, found)
    return Item(path.name, "stranger", found.st_size, written_at, problem=_why_strange(path.name))


def _part(path: Path, found: os.stat_result) -> Item:
    try:
        in_use = is_in_use(path)
    except (OSError, PermanentError) as error:
        return Item(path.name, "part", found.st_size, modified_at(found), problem=str(error))
    return Item(path.name, "part", found.st_size, modified_at(found), in_use)


def _why_strange(name: str) -> str:
    job_id, _, suffix = name.partition(".")
    if not is_job_id(job_id):
        return "it is not one of ours"
    return "its state cannot be read" if f".{suffix}" == STATE_SUFFIX else "there is no state of its job that names it"


def modified_at(found: os.stat_result) -> datetime:
    """In whole microseconds, UTC."""
    return datetime.fromtimestamp(found.st_mtime, UTC)
