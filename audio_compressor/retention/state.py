"""What is known of one piece of audio that was handed in: whose, since when, and how far its work has come.

It lies beside the audio as ``{job_id}.json``. Nothing in it is trusted to name a file: the names are made here.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

from audio_compressor.errors import NotAudioError, PermanentError
from audio_compressor.texts import visible

Status = Literal["pending", "processing", "completed", "failed"]
Outcome = Literal["completed", "failed"]

# What people hand in. FFmpeg looks at the content, but services that transcribe look at the name.
EXTENSIONS = frozenset(
    (
        *("aac", "aif", "aiff", "amr", "caf", "flac", "m4a", "mka", "mkv", "mov", "mp3", "mp4", "mpeg", "mpga"),
        *("oga", "ogg", "opus", "w64", "wav", "weba", "webm", "wma"),
    )
)
STATE_SUFFIX = ".json"
# RFC 9562 in lower case, as `str(uuid.uuid4())` writes it. A file of it and an extension can be in one place only.
_JOB_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_STATUSES: Mapping[str, Status] = {status: status for status in get_args(Status)}
_MOST_ERROR_CHARACTERS = 2_000


@dataclass(frozen=True)
class JobState:
    """Times are UTC. ``started_at`` is of the latest attempt; ``finished_at`` and ``error`` of one that has ended."""

    job_id: str
    status: Status
    file_name: str
    original_name: str
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None

    def to_json(self) -> str:
        times = {name: _iso(getattr(self, name)) for name in ("created_at", "started_at", "finished_at")}
        error = visible(self.error)[:_MOST_ERROR_CHARACTERS] if self.error else None
        return json.dumps({**self.__dict__, **times, "error": error}, indent=2) + "\n"

    @classmethod
    def from_json(cls, job_id: str, text: str) -> "JobState":
        """Raises ValueError, saying why, for anything that `to_json` has not written for this job."""
        try:
            given = json.loads(text)
        except RecursionError:
            raise ValueError("it is not JSON") from None
        if not isinstance(given, dict):
            raise ValueError("it is not a JSON object")
        status = _STATUSES.get(str(given.get("status")))
        if status is None:
            raise ValueError("it has no status that is known")
        if given.get("job_id") != job_id:
            raise ValueError("it is of another job")
        file_name = _text(given, "file_name")
        if file_name not in {f"{job_id}.{extension}" for extension in EXTENSIONS}:
            raise ValueError("it names a file that is not this job's")
        created_at, finished_at = _time(given, "created_at"), _time(given, "finished_at")
        if created_at is None or (status in get_args(Outcome) and finished_at is None):
            raise ValueError("it lacks a time")
        return cls(
            job_id,
            status,
            file_name,
            _text(given, "original_name"),
            created_at,
            _time(given, "started_at"),
            finished_at,
            _text(given, "error") if given.get("error") is not None else None,
        )


def require_job_id(job_id: str) -> str:
    """Raises PermanentError for anything but a UUID: nothing else may become part of a path."""
    if not is_job_id(job_id):
        raise PermanentError(
            f"{visible(job_id)!r} is not the id of a job; it must be a UUID in lower case, as str(uuid.uuid4()) gives"
        )
    return job_id


def is_job_id(text: str) -> bool:
    return _JOB_ID.fullmatch(text) is not None


def audio_name(job_id: str, original_name: str) -> str:
    """Under which name the audio is kept: nothing of the original name but its extension.

    Raises:
        PermanentError: the id is not one.
        NotAudioError: the extension is not one of audio.
    """
    extension = PurePosixPath(original_name).suffix.lower().removeprefix(".")
    if extension not in EXTENSIONS:
        raise NotAudioError(
            f"{visible(original_name)!r} is not taken: its name does not end as audio does; "
            f"allowed: {', '.join(sorted(EXTENSIONS))}"
        )
    return f"{require_job_id(job_id)}.{extension}"


def state_name(job_id: str) -> str:
    return f"{require_job_id(job_id)}{STATE_SUFFIX}"


def _iso(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None


def _text(given: Mapping[str, Any], name: str) -> str:
    if not isinstance(given.get(name), str):
        raise ValueError(f"it has no {name}")
    return str(given[name])


def _time(given: Mapping[str, Any], name: str) -> datetime | None:
    if given.get(name) is None:
        return None
    at = datetime.fromisoformat(_text(given, name))
    if at.tzinfo is None:
        raise ValueError(f"its {name} has no time zone")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"its {name} is no time of ours") from None
