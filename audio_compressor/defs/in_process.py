"""Executes a job in this process, as the commands do, and notices when somebody wants the command to end."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg
from dagster import DagsterInstance
from dagster._core.utils import make_new_run_id
from dagster_shared.error import SerializableErrorInfo

from audio_compressor.defs.dead_runs import process_tag

# The outcomes are shown by the caller; Dagster's own console log would say everything twice.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
# By which people and service managers end a command.
_ENDING = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}


def execute(job: dg.JobDefinition, instance: DagsterInstance, tags: dict[str, str]) -> dg.ExecuteInProcessResult:
    """
    Raises:
        KeyboardInterrupt: the run was interrupted, or a signal came when it was done.
    """
    run_id = make_new_run_id()
    with _signals() as was_interrupted:
        result = job.execute_in_process(
            run_config=_QUIET,
            instance=instance,
            tags={**tags, **process_tag(run_id)},  # from the start; a run that a launcher starts marks itself
            run_id=run_id,
            raise_on_error=False,
        )
        if was_interrupted():
            raise KeyboardInterrupt
    return result


@contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Whether somebody wanted the command to end meanwhile.

    Dagster ends the run that a signal interrupts; one that comes when the last step is done it forgets (1.13,
    `capture_interrupts`), and the night went on.
    """
    if threading.current_thread() is not threading.main_thread():  # where signals do not go
        yield lambda: False
        return
    numbers, written = socket.socketpair()
    with numbers, written:
        for end in (numbers, written):
            end.setblocking(False)
        before = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
        try:
            yield lambda: not _ENDING.isdisjoint(_received(numbers))
        finally:
            signal.set_wakeup_fd(before)


def _received(numbers: socket.socket) -> bytes:
    try:
        return numbers.recv(4096)
    except BlockingIOError:
        return b""


def reason_of(result: dg.ExecuteInProcessResult) -> str:
    """Why a run failed, in the words of the first error."""
    messages = [(error.cause or error).message.strip() for error in _errors(result)]
    return messages[0] if messages else f"run {result.run_id} failed"


def _errors(result: dg.ExecuteInProcessResult) -> list[SerializableErrorInfo]:
    found = (getattr(event.event_specific_data, "error", None) for event in result.all_events)
    return [error for error in found if isinstance(error, SerializableErrorInfo)]
