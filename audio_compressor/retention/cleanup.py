"""When kept audio goes: a plan, which is a pure function and has a reason for everything, and the carrying out of it.

What is in use, waits for its work, or is in any doubt stays. `AudioStore.delete` asks again before it deletes.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from audio_compressor.errors import AudioCompressorError
from audio_compressor.local_files import local_errors
from audio_compressor.retention.inventory import Item, modified_at, take_stock
from audio_compressor.retention.locks import locked
from audio_compressor.retention.state import Status
from audio_compressor.retention.store import AudioStore
from audio_compressor.storage.base import LEFTOVER_SECONDS
from audio_compressor.texts import visible

log = logging.getLogger(__name__)

# A saver that was killed: nothing was added to its part file for a day, or no audio has followed its state.
LEFTOVER = timedelta(seconds=LEFTOVER_SECONDS)
_ENDINGS: Mapping[Status, str] = {
    "processing": "has lost its worker, so it counts as failed; the last sign of life was",
    "completed": "was completed",
    "failed": "has failed",
}


@dataclass(frozen=True)
class CleanupDecision:
    """``reason`` is what follows the item's name in a sentence; with ``report``, why it cannot be judged."""

    item: Item
    action: Literal["delete", "keep", "report"]
    reason: str


@dataclass(frozen=True)
class CleanupResult:
    """``scanned`` is all that was looked at, and is ``deleted``, ``failed`` and ``kept`` together. ``errors`` has a
    sentence for each job that could not be judged or deleted, ``reported`` for each file that is kept and no job's.
    """

    scanned: int
    deleted: int
    failed: int
    errors: tuple[str, ...]
    freed_bytes: int
    kept: int
    reported: tuple[str, ...]


def clean_up(
    store: AudioStore, retention_hours: float, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> CleanupResult:
    """Delete what has been kept for long enough.

    Raises:
        AccessDeniedError, StorageError: the directory cannot be listed.
    """
    return execute(store, plan_cleanup(now(), take_stock(store), retention_hours))


def plan_cleanup(now: datetime, items: Iterable[Item], retention_hours: float) -> list[CleanupDecision]:
    """What happens to each, and why. Pure."""
    return [CleanupDecision(item, *_decide(now, item, retention_hours)) for item in items]


def _decide(now: datetime, item: Item, retention_hours: float) -> tuple[Literal["delete", "keep", "report"], str]:
    if item.problem:
        return "report", item.problem
    if item.is_in_use:
        return "keep", "is in use"
    silent = now - item.modified_at
    if item.kind == "part":
        if silent >= LEFTOVER:
            return "delete", f"was left by a saver that was killed {_hours(silent)} ago"
        return "keep", "is being saved"
    state = item.state
    if state is None or item.kind == "stranger":
        return "report", "has no state, so nobody knows whether its work is done"
    if state.status == "pending":
        if item.has_audio:
            return "keep", f"waits for its work since {state.created_at:%Y-%m-%d %H:%M} UTC"
        if silent >= LEFTOVER:
            return "delete", "has a state without audio, which a saver that was killed left"
        return "keep", "is being saved"
    ended_at = item.modified_at if state.status == "processing" else state.finished_at
    if ended_at is None:
        return "report", "has no time at which its work ended"
    age = now - ended_at
    is_over = age.total_seconds() >= retention_hours * 3600
    return "delete" if is_over else "keep", f"{_ENDINGS[state.status]} {_hours(age)} ago"


def execute(store: AudioStore, decisions: Sequence[CleanupDecision]) -> CleanupResult:
    """Carry out a plan. What cannot be deleted stops nothing else; what somebody has begun to use meanwhile is kept."""
    deleted, freed_bytes = 0, 0
    errors: list[str] = []
    reported: list[str] = []
    for decision in decisions:
        item = decision.item
        if decision.action == "report":
            (reported if item.kind == "stranger" else errors).append(visible(f"{item.name}: {decision.reason}"))
            continue
        try:
            if item.is_in_use and item.kind == "job":
                store.note_sign_of_life(item.name)
            elif decision.action == "delete" and _delete(store, item):
                deleted += 1
                freed_bytes += item.size_bytes
                log.info("Deleted %s, which %s", visible(item.name), decision.reason)
        except AudioCompressorError as error:
            errors.append(f"{visible(item.name)}: {error}")
    for sentence in errors:
        log.error("Not cleaned up: %s", sentence)
    kept = len(decisions) - deleted - len(errors)
    return CleanupResult(len(decisions), deleted, len(errors), tuple(errors), freed_bytes, kept, tuple(reported))


def _delete(store: AudioStore, item: Item) -> bool:
    if item.kind == "job":
        return store.delete(item.name, only_if=item.state) == "deleted"
    path = store.directory / item.name
    with local_errors(path):
        try:
            with locked(path):
                if modified_at(path.lstat()) != item.modified_at:
                    return False
                path.unlink()
                return True
        except (BlockingIOError, FileNotFoundError):
            return False


def _hours(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    return f"{hours:,.1f} hours"
