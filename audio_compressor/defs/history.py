"""What the Dagster instance knows: successes, failures, what was observed, and what is being worked on."""

import os
import socket
import time
from collections.abc import Mapping, Sequence

import dagster as dg
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from audio_compressor.defs import data_versions
from audio_compressor.defs.names import (
    COMPRESSED_AUDIO,
    DATA_VERSION_TAG,
    PARTITION_TAG,
    PROCESS_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    RECORDING_DIRECTORY,
)
from audio_compressor.defs.partitions import RECORDINGS
from audio_compressor.intake.plan import History
from audio_compressor.intake.ranges import keys_between
from audio_compressor.recording import Fingerprint

UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]

# A run of the command line on another machine is taken for dead when it has said nothing for this long. The slowest
# step that says nothing is one recording of MAX_FILE_SIZE_MB: minutes, not hours.
_SILENCE_SECONDS = 3600


def known_keys(instance: DagsterInstance) -> Sequence[str]:
    """The partition keys in the order in which they were added."""
    return instance.get_dynamic_partitions(str(RECORDINGS.name))


def event_log_position(instance: DagsterInstance) -> int:
    """The id of the newest asset event."""
    return instance.event_log_storage.get_maximum_record_id() or 0


def read_history(instance: DagsterInstance) -> History:
    """Three indexed queries, whatever the number of recordings."""
    keys = known_keys(instance)
    successes = _versions(instance, COMPRESSED_AUDIO, DagsterEventType.ASSET_MATERIALIZATION)
    outcomes = _versions(instance, COMPRESSED_AUDIO, DagsterEventType.ASSET_OBSERVATION)
    observed = _versions(instance, RECORDING_DIRECTORY, DagsterEventType.ASSET_OBSERVATION)
    return History(
        known=keys,
        observed={key: Fingerprint.parse(version) for key, version in observed.items()},
        successes={
            key: success for key, version in successes.items() if (success := data_versions.parse_success(version))
        },
        failures={
            key: data_versions.parse_failure(version)
            for key, version in outcomes.items()
            if data_versions.is_failure(version)
        },
        skips={key: skip for key, version in outcomes.items() if (skip := data_versions.parse_skip(version))},
        in_flight=in_flight(instance, keys),
    )


def in_flight(instance: DagsterInstance, keys_in_order: Sequence[str]) -> Mapping[str, str]:
    """The run that each recording is queued for or being processed by."""
    claimed: dict[str, str] = {}
    for run in instance.get_runs(RunsFilter(statuses=UNFINISHED)):
        for key in _keys_of(run, keys_in_order):
            claimed.setdefault(key, run.run_id)
    return claimed


def claimed_before(instance: DagsterInstance, run_id: str, keys_in_order: Sequence[str]) -> Mapping[str, str]:
    """The recordings that an earlier, unfinished run is to process.

    Of two runs that want one recording, the one that was created first does it; the order of the run storage decides,
    so both come to the same answer.
    """
    claimed: dict[str, str] = {}
    records = instance.get_run_records(RunsFilter(statuses=UNFINISHED))
    ours = next((record.storage_id for record in records if record.dagster_run.run_id == run_id), None)
    for record in records:
        if ours is not None and record.storage_id < ours:
            for key in _keys_of(record.dagster_run, keys_in_order):
                claimed.setdefault(key, record.dagster_run.run_id)
    return claimed


def process_tag() -> dict[str, str]:
    """Marks a run that this process executes itself, without a launcher that would notice its death."""
    return {PROCESS_TAG: f"{socket.gethostname()}:{os.getpid()}"}


def end_dead_runs(instance: DagsterInstance) -> list[str]:
    """Report runs as failed whose process, started from the command line, is gone; returns their ids.

    Dagster's run monitoring watches only runs that a launcher started. A killed command would keep its recordings
    claimed forever.
    """
    ended = []
    for run in instance.get_runs(RunsFilter(statuses=UNFINISHED)):
        process = run.tags.get(PROCESS_TAG)
        if process and _is_dead(instance, run, process):
            instance.report_run_failed(
                run, "The process that executed this run is gone; its work is outstanding again."
            )
            ended.append(run.run_id)
    return ended


def _is_dead(instance: DagsterInstance, run: DagsterRun, process: str) -> bool:
    host, _, pid = process.rpartition(":")
    if host == socket.gethostname() and not _is_running(int(pid)):
        return True
    last = instance.event_log_storage.get_records_for_run(run.run_id, limit=1, ascending=False).records
    return not last or time.time() - last[0].timestamp > _SILENCE_SECONDS


def _is_running(pid: int) -> bool:
    """Whether another process has this number; ours has not begun a run yet when this is asked."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


def _keys_of(run: DagsterRun, keys_in_order: Sequence[str]) -> Sequence[str]:
    selection = run.asset_selection
    if selection is not None and COMPRESSED_AUDIO not in selection:
        return ()
    tags = run.tags
    if PARTITION_TAG in tags:
        return (tags[PARTITION_TAG],)
    if RANGE_START_TAG in tags:
        return keys_between(keys_in_order, tags[RANGE_START_TAG], tags[RANGE_END_TAG])
    return ()


def _versions(instance: DagsterInstance, asset: dg.AssetKey, event_type: DagsterEventType) -> dict[str, str]:
    found = instance.event_log_storage.get_latest_tags_by_partition(asset, event_type, [DATA_VERSION_TAG])
    return {key: tags[DATA_VERSION_TAG] for key, tags in found.items()}
