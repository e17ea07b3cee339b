"""What the Dagster instance knows: successes, failures, what was observed, and what is being worked on."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg
from dagster import (
    AssetRecordsFilter,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    EventLogRecord,
    EventRecordsResult,
    RunRecord,
    RunsFilter,
)
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData as Judged,
)

from audio_compressor.defs import data_versions
from audio_compressor.defs.lines import RECORDING_LINE, Line
from audio_compressor.defs.names import (
    COMPRESSED_AUDIO,
    DATA_VERSION_TAG,
    PARENT_RUN_TAG,
    PARTITION_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    RECORDING_DIRECTORY,
    REQUESTED_TAG,
    RETRY_NUMBER_TAG,
    ROOT_RUN_TAG,
)
from audio_compressor.intake.plan import History
from audio_compressor.intake.ranges import KeyOrder
from audio_compressor.recording import Fingerprint

_PAGE = 500

# Not among them: NOT_STARTED. A daemon that crashes between creating a run and queueing it leaves one of these, and
# queues it only if the same evaluation asks for it again.
UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


# Between the making of a run and its start there are 0.1 s, and seconds on a busy machine. Two runs that want the same
# recordings must see each other then, too: in a race on one, both did all of them.
_BEGINNING_SECONDS = 300.0


def known_keys(instance: DagsterInstance, line: Line = RECORDING_LINE) -> Sequence[str]:
    """The partition keys in the order in which they were added."""
    return instance.get_dynamic_partitions(str(line.partitions.name))


def event_log_position(instance: DagsterInstance) -> int:
    """The id of the newest asset event."""
    return instance.event_log_storage.get_maximum_record_id() or 0


def read_history(instance: DagsterInstance) -> History:
    """A handful of indexed queries, whatever the number of recordings."""
    keys = known_keys(instance)
    successes = latest_versions(instance, COMPRESSED_AUDIO, DagsterEventType.ASSET_MATERIALIZATION)
    outcomes = latest_versions(instance, COMPRESSED_AUDIO, DagsterEventType.ASSET_OBSERVATION)
    return History(
        known=keys,
        observed=observed_fingerprints(instance),
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
        overtaken=overtaken(instance, COMPRESSED_AUDIO, successes.keys() & outcomes.keys()),
    )


def observed_fingerprints(instance: DagsterInstance, keys: Sequence[str] | None = None) -> Mapping[str, Fingerprint]:
    """The source files as they were last observed, of these recordings or of all."""
    observed = latest_versions(instance, RECORDING_DIRECTORY, DagsterEventType.ASSET_OBSERVATION, keys)
    # Anybody may report an observation, over Dagster's API too, of any version.
    parsed = {key: data_versions.parse_observed(version) for key, version in observed.items()}
    return {key: fingerprint for key, fingerprint in parsed.items() if fingerprint is not None}


def in_flight(
    instance: DagsterInstance, keys_in_order: Sequence[str], line: Line = RECORDING_LINE
) -> Mapping[str, str]:
    """The run that each partition is queued for or being processed by."""
    claimed: dict[str, str] = {}
    order = KeyOrder(keys_in_order)
    for run in _working(instance, line):
        for key in _keys_of(run, order):
            claimed.setdefault(key, run.run_id)
    return claimed


def unfinished_again(instance: DagsterInstance, run: DagsterRun) -> Collection[str]:
    """The recordings that had a result before, and of which this run was to make another but has recorded nothing."""
    if COMPRESSED_AUDIO not in _selection(run, RECORDING_LINE):
        return ()
    keys = set(_keys_of(run, KeyOrder(known_keys(instance)))) - _finished_by(instance, run, RECORDING_LINE)
    return latest_versions(instance, COMPRESSED_AUDIO, DagsterEventType.ASSET_MATERIALIZATION, list(keys)).keys()


def is_anything_in_flight(instance: DagsterInstance) -> bool:
    """Whether recordings are in work."""
    return any(True for _ in _working(instance, RECORDING_LINE))


def _working(instance: DagsterInstance, line: Line) -> Iterator[DagsterRun]:
    runs = instance.get_runs(RunsFilter(statuses=UNFINISHED))
    return (run for run in runs if line.decisive in _selection(run, line))


def claimed_before(
    instance: DagsterInstance,
    run_id: str,
    selected: Collection[dg.AssetKey],
    keys_in_order: Sequence[str],
    line: Line = RECORDING_LINE,
) -> Mapping[str, str]:
    """Those of its own partitions of which an earlier, unfinished run still has to make everything that is selected.

    Of two runs that want one partition, the one that was created first does it; the order of the run storage decides,
    so both come to the same answer.
    """
    claimed: dict[str, str] = {}
    order = KeyOrder(keys_in_order)
    records = [
        record
        for record in instance.get_run_records(RunsFilter(statuses=[*UNFINISHED, DagsterRunStatus.NOT_STARTED]))
        if record.dagster_run.status is not DagsterRunStatus.NOT_STARTED or _is_just_created(record)
    ]
    ours = next((record for record in records if record.dagster_run.run_id == run_id), None)
    wanted = set(_keys_of(ours.dagster_run, order)) if ours else set()
    for record in records:
        run = record.dagster_run
        if ours is None or record.storage_id >= ours.storage_id or not _selection(run, line) >= set(selected):
            continue
        # What a run has finished is asked only of those that want the same: hundreds may be queued.
        if common := wanted.intersection(_keys_of(run, order)):
            for key in common - _finished_by(instance, run, line):
                claimed.setdefault(key, run.run_id)
    return claimed


def _is_just_created(record: RunRecord) -> bool:
    """Or else its process, or the daemon, died before it could begin."""
    return time.time() - record.create_timestamp.timestamp() < _BEGINNING_SECONDS


def done_since_requested(
    instance: DagsterInstance, run: DagsterRun, keys: Sequence[str], observed: Mapping[str, Fingerprint]
) -> Mapping[str, str]:
    """The recordings that a run compressed, as they were last observed, after ``run`` was asked for; and which run.

    It may be another run that wanted them too, or the attempt that this one repeats: a worker that crashed had finished
    some.
    """
    requested_at_seconds = _requested_at_seconds(instance, run)
    done: dict[str, str] = {}
    for record in instance.fetch_materializations(
        AssetRecordsFilter(COMPRESSED_AUDIO, asset_partitions=list(keys), after_timestamp=requested_at_seconds),
        limit=1000,
        ascending=True,
    ).records:
        materialization = record.asset_materialization
        if materialization is None or record.partition_key is None or not record.run_id:
            continue
        success = data_versions.parse_success((materialization.tags or {}).get(DATA_VERSION_TAG, ""))
        if success is not None and success.fingerprint == observed.get(record.partition_key):
            done[record.partition_key] = record.run_id
    return done


def pages_of(
    fetch: Callable[..., EventRecordsResult],
    asset: dg.AssetKey,
    after_storage_id: int = 0,
    after_timestamp: float | None = None,
) -> Iterator[EventLogRecord]:
    """What ``fetch`` (of an instance) gives of an asset, the oldest first, with few at a time in memory."""
    while True:
        wanted = AssetRecordsFilter(asset, after_storage_id=after_storage_id, after_timestamp=after_timestamp)
        page = fetch(wanted, limit=_PAGE, ascending=True).records
        yield from page
        if len(page) < _PAGE:
            return
        after_storage_id = page[-1].storage_id


def latest_materializations(
    instance: DagsterInstance, assets: Collection[dg.AssetKey], key: str
) -> Iterator[dg.AssetMaterialization]:
    """What was last recorded of one recording, as far as there is something."""
    for asset in assets:
        records = instance.fetch_materializations(AssetRecordsFilter(asset, asset_partitions=[key]), limit=1).records
        if records and records[0].asset_materialization:
            yield records[0].asset_materialization


def latest_materialization(instance: DagsterInstance, asset: dg.AssetKey, key: str) -> Judged | None:
    """Which materialization the checks of this partition are about."""
    records = instance.fetch_materializations(AssetRecordsFilter(asset, asset_partitions=[key]), limit=1)
    for record in records.records:
        return Judged(storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp)
    return None


def requested_tag(at_seconds: float) -> dict[str, str]:
    """For a run: when it was asked for, which is before it is created. The UI shows it."""
    return {REQUESTED_TAG: datetime.fromtimestamp(at_seconds, UTC).isoformat()}


def _requested_at_seconds(instance: DagsterInstance, run: DagsterRun) -> float:
    """When this run was asked for. An automatic retry was with its first attempt; a person's re-execution is new."""
    if REQUESTED_TAG in run.tags and (PARENT_RUN_TAG not in run.tags or RETRY_NUMBER_TAG in run.tags):
        return datetime.fromisoformat(run.tags[REQUESTED_TAG]).timestamp()
    first = run.tags[ROOT_RUN_TAG] if RETRY_NUMBER_TAG in run.tags else run.run_id
    record = instance.get_run_record_by_id(first)
    return record.create_timestamp.timestamp() if record else time.time()


def _finished_by(instance: DagsterInstance, run: DagsterRun, line: Line) -> set[str]:
    """The partitions of which a run has recorded all it has to say.

    Where the decisive product is part of it, its event comes after those of the others.
    """
    records = instance.event_log_storage.get_records_for_run(
        run.run_id, of_type={DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_OBSERVATION}
    ).records
    decisive = {line.decisive} & _selection(run, line) or _selection(run, line)
    return {record.partition_key for record in records if record.partition_key and record.asset_key in decisive}


def overtaken(instance: DagsterInstance, asset: dg.AssetKey, keys: Collection[str]) -> Collection[str]:
    """Those of the partitions whose last failure or skip came after their last success."""
    if not keys:
        return ()
    latest = instance.event_log_storage.get_latest_storage_id_by_partition
    successes = latest(asset, DagsterEventType.ASSET_MATERIALIZATION, set(keys))
    outcomes = latest(asset, DagsterEventType.ASSET_OBSERVATION, set(keys))
    return frozenset(key for key in keys if outcomes[key] > successes[key])


def _selection(run: DagsterRun, line: Line) -> set[dg.AssetKey]:
    """What a run makes of a line's partitions; none is noted when it makes everything of its job."""
    selected = set(run.asset_selection or ())
    if line.together and not selected.isdisjoint(line.products):
        return set(line.products)
    return selected or (set(line.products) if run.job_name == line.job_name else set())


def _keys_of(run: DagsterRun, order: KeyOrder) -> Sequence[str]:
    tags = run.tags
    if PARTITION_TAG in tags:
        return (tags[PARTITION_TAG],)
    if RANGE_START_TAG in tags:
        return order.between(tags[RANGE_START_TAG], tags[RANGE_END_TAG])
    return ()


def latest_versions(
    instance: DagsterInstance, asset: dg.AssetKey, event_type: DagsterEventType, keys: Sequence[str] | None = None
) -> dict[str, str]:
    """The data version of the newest event of each partition, of these or of all."""
    found = instance.event_log_storage.get_latest_tags_by_partition(asset, event_type, [DATA_VERSION_TAG], keys)
    return {key: tags[DATA_VERSION_TAG] for key, tags in found.items()}
