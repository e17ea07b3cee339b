"""Does what a plan has decided for one recording, and tells what became of it."""

import logging
import time

from audio_compressor.archive.compressing import compress
from audio_compressor.archive.locks import try_lock
from audio_compressor.archive.moving import delete, move_to_cold_storage
from audio_compressor.archive.outcome import Done, Outcome, Status, Tools
from audio_compressor.archive.plan import Decision
from audio_compressor.archive.records import Record, Refusal
from audio_compressor.archive.work import Never, NotNow, Work
from audio_compressor.errors import (
    AudioCompressorError,
    CancelledError,
    NotAudioError,
    ProofError,
    SourceChangedError,
)
from audio_compressor.texts import visible

log = logging.getLogger(__name__)

_ACTIONS = {"opus": compress, "cold": move_to_cold_storage, "delete": delete}


def archive(decision: Decision, tools: Tools) -> Outcome:
    """Do what is due. Whatever goes wrong with a recording is an outcome of that recording.

    Raises:
        CancelledError: the run is being stopped.
        ValueError: nothing is due.
    """
    started_at_seconds = time.monotonic()
    file, action = decision.file, decision.action
    if decision.verdict != "due" or action is None:
        raise ValueError(f"nothing is due for {file.key}")
    with try_lock(tools.layout.lock_path(file.key)) as is_ours:
        status, reason, done = (
            _attempt(decision, tools) if is_ours else ("skipped", "another run is working on it", None)
        )
    return Outcome(
        key=file.key,
        status=status,
        reason=reason,
        action=action,
        before_bytes=file.size_bytes,
        after_bytes=done.after_bytes if done else file.size_bytes,
        tier=str(decision.tier),
        record=done.record if done else None,
        proof=done.proof if done else None,
        seconds=time.monotonic() - started_at_seconds,
    )


def unfinished_outcome(decision: Decision, reason: str) -> Outcome:
    """Of a recording that was due when the run ended with an error of its own. Raises ValueError: nothing is due."""
    if decision.action is None:
        raise ValueError(f"nothing is due for {decision.file.key}")
    size_bytes = decision.file.size_bytes
    return Outcome(decision.file.key, "failed", reason, decision.action, size_bytes, size_bytes, str(decision.tier))


def _attempt(decision: Decision, tools: Tools) -> tuple[Status, str, Done | None]:
    try:
        work = Work.of(decision, tools)
        return "success", decision.reason, _ACTIONS[work.action.kind](work)
    except CancelledError:
        raise
    except (NotNow, SourceChangedError) as error:
        return "skipped", str(error), None
    except Never as error:
        return "refused", _remembered(decision, tools, str(error)), None
    except (NotAudioError, ProofError) as error:
        return "failed", _remembered(decision, tools, str(error)), None
    except AudioCompressorError as error:
        return "failed", str(error), None
    except Exception as error:
        log.exception("%s: unexpected error", decision.file.key, exc_info=error)
        return "failed", visible(f"unexpected {type(error).__name__}: {error}"), None


def _remembered(decision: Decision, tools: Tools, reason: str) -> str:
    """The same reason; and the same is not tried again every night, for as long as the file is the same."""
    file, standing = decision.file, decision.file.standing
    if standing is not None and standing.stamp is not None:
        record = tools.records.read(file.key) or Record(file.key, file.recorded_at, file.dated_by)
        stamp = standing.stamp
        refusal = Refusal(str(decision.action), reason, stamp.size_bytes, stamp.modified_ns, tools.now())
        tools.records.write(record.with_refusal(refusal))
    return reason
