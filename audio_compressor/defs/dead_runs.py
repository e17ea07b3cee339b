"""Which process executes a run, and the end of runs whose process is gone.

Dagster's run monitoring asks the launcher, and the one for a single machine cannot tell: after a power cut, or when
daemon and code server were restarted, a run would stay started, keep its recordings claimed and its place in the queue
taken. So every run notes its process, and every look at the source looks after these.
"""

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.instance.config import PoolGranularity

from audio_compressor.defs.events import interrupted_observed
from audio_compressor.defs.history import UNFINISHED, observed_fingerprints, unfinished_again
from audio_compressor.defs.names import (
    ARCHIVED_AUDIO,
    ARCHIVED_OUTPUTS,
    JOB_NAMES,
    PROCESS_TAG,
    RECORDING_PRODUCTS,
    TRACK_PRODUCTS,
)

# How long a run may have said nothing when its process cannot be looked at: on another machine, longer than any one
# recording is given; on one with our name that was started anew since, or in a container beside us, where it is most
# likely gone, longer than recordings take.
_SILENCE_SECONDS = 24 * 3600
_SILENCE_UNDER_OUR_NAME_SECONDS = 3600
# Between the start of a run and its note lies less than a second.
_SILENCE_WITHOUT_NOTE_SECONDS = 600
_PRODUCTS = frozenset({*RECORDING_PRODUCTS, *TRACK_PRODUCTS, ARCHIVED_AUDIO, ARCHIVED_OUTPUTS})
_REASON = "The process that executed this run is gone; its work is outstanding again."


@dataclass(frozen=True)
class _Process:
    """``space`` is where its number means it: the boot of the machine, and the namespace of process ids in it.
    ``started`` (clock ticks since the boot) tells it from a later one with the same number.

    ``run_id`` is in it because a run that is executed again takes the tags of the first one along.
    """

    run_id: str
    host: str
    space: str
    pid: int
    started: str

    def __str__(self) -> str:
        return f"{self.run_id} {self.host} {self.space} {self.pid} {self.started}"

    @classmethod
    def parse(cls, text: str) -> "_Process | None":
        words = text.split(" ")
        if len(words) != 5 or not words[3].isdigit():
            return None
        return cls(words[0], words[1], words[2], int(words[3]), words[4])


def process_tag(run_id: str) -> dict[str, str]:
    """Marks a run that this process executes."""
    pid = os.getpid()
    return {PROCESS_TAG: str(_Process(run_id, socket.gethostname(), _space(), pid, _started(pid) or ""))}


def mark_process(instance: DagsterInstance, run: DagsterRun) -> None:
    """To be called where a run begins."""
    instance.add_run_tags(run.run_id, process_tag(run.run_id))


def end_dead_runs(instance: DagsterInstance) -> list[str]:
    """Report runs as failed whose process is gone; returns their ids."""
    ended = []
    for run in instance.get_runs(RunsFilter(statuses=[*UNFINISHED, DagsterRunStatus.NOT_STARTED])):
        process = _Process.parse(run.tags.get(PROCESS_TAG, ""))
        has_note = process is not None and process.run_id == run.run_id
        if not (_is_dead(instance, process) if process and has_note else _never_began(instance, run)):
            continue
        # A process writes how its run ended before it ends itself: what was read before may be old by now.
        latest = instance.get_run_by_id(run.run_id)
        if latest is None or latest.is_finished:
            continue
        if latest.status is DagsterRunStatus.CANCELING:  # as failed, it would be tried again
            instance.report_run_canceled(latest, _REASON)
        else:
            instance.report_run_failed(latest, _REASON)
        _note_unfinished(instance, latest)
        ended.append(run.run_id)
    return ended


def _note_unfinished(instance: DagsterInstance, run: DagsterRun) -> None:
    """What it was to make anew may lie in storage already, in place of what is recorded (ON_EXISTING=replace): with a
    failure after the success, it is outstanding again.
    """
    keys = unfinished_again(instance, run)
    observed = observed_fingerprints(instance, list(keys)) if keys else {}
    for key in keys:
        instance.report_runless_asset_event(interrupted_observed(key, observed.get(key), _REASON))


def _is_dead(instance: DagsterInstance, process: _Process) -> bool:
    if (process.host, process.space) == (socket.gethostname(), _space()):
        started = _started(process.pid)
        return started != process.started if started else not _is_hidden(process.pid)
    is_our_name = process.host == socket.gethostname()
    limit_seconds = _SILENCE_UNDER_OUR_NAME_SECONDS if is_our_name else _SILENCE_SECONDS
    return _was_silent(instance, process.run_id, limit_seconds)


def _never_began(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Whether its process went before it could note anything. One of ours would have, unless it waits for its pool,
    which it does only where the granularity of pools was changed.
    """
    is_ours = run.job_name in JOB_NAMES or not _PRODUCTS.isdisjoint(run.asset_selection or ())
    granularity = instance.get_concurrency_config().pool_config.pool_granularity
    if run.status is not DagsterRunStatus.STARTED or not is_ours or granularity is not PoolGranularity.RUN:
        return False
    return _was_silent(instance, run.run_id, _SILENCE_WITHOUT_NOTE_SECONDS)


def _was_silent(instance: DagsterInstance, run_id: str, limit_seconds: float) -> bool:
    last = instance.event_log_storage.get_records_for_run(run_id, limit=1, ascending=False).records
    if last:
        return time.time() - last[0].timestamp > limit_seconds
    record = instance.get_run_record_by_id(run_id)
    return record is not None and time.time() - record.create_timestamp.timestamp() > limit_seconds


def _space() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    namespace = Path("/proc/self/ns/pid").readlink().name
    return f"{boot}-{namespace.removeprefix('pid:').strip('[]')}"


def _is_hidden(pid: int) -> bool:
    """Whether it is somebody else's, of whom proc(5) may be mounted to tell nothing (``hidepid``, ProtectProc=)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except ProcessLookupError:
        pass
    return False


def _started(pid: int) -> str | None:
    """None for a process that has ended, also when nobody has asked for its exit code yet (proc(5))."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return None
    return None if fields[0] in {"Z", "X"} else fields[19]
