"""One look at the source: list it, compare it with the history, and record what there is to record without a run."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
from dagster import DagsterInstance
from sqlalchemy.exc import IntegrityError

from audio_compressor.defs.events import adoption_materialized, directory_observed, skip_observed
from audio_compressor.defs.history import end_dead_runs, event_log_position, known_keys, read_history
from audio_compressor.defs.looks import read_looks, write_looks
from audio_compressor.defs.names import COMPRESSION_JOB, RANGE_END_TAG, RANGE_START_TAG
from audio_compressor.defs.partitions import RECORDINGS
from audio_compressor.defs.resources import Resources
from audio_compressor.errors import AudioCompressorError
from audio_compressor.intake.adoption import Adoption, find_adoptable
from audio_compressor.intake.plan import History, Outstanding, Plan, make_plan
from audio_compressor.intake.ranges import KeyRange, contiguous_ranges
from audio_compressor.recording import chronological
from audio_compressor.retries import Retry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Survey:
    """A plan, which part of it is to be processed now, and what to record beforehand."""

    plan: Plan
    to_process: tuple[Outstanding, ...]
    adopted: tuple[Adoption, ...]
    new_keys: tuple[str, ...]
    keys_in_order: tuple[str, ...]
    events: tuple[dg.AssetObservation | dg.AssetMaterialization, ...]

    def record(self, instance: DagsterInstance) -> None:
        """Add the new keys in one call, then report the events."""
        if self.new_keys:
            add_partitions(instance, self.new_keys)
        for event in self.events:
            instance.report_runless_asset_event(event)

    def ranges(self, batch_size: int) -> list[KeyRange]:
        return contiguous_ranges(self.keys_in_order, {item.directory for item in self.to_process}, batch_size)


@dataclass(frozen=True)
class Surveyor:
    """Looks at the source on behalf of the schedule, the sensor and the command line alike."""

    instance: DagsterInstance
    resources: Resources

    def plan(self) -> Plan:
        """What there is to do, with nothing recorded.

        Raises:
            AudioCompressorError: the source cannot be listed; that is never taken for an empty one.
        """
        return self._plan(self.resources.running.retry())[0]

    def everything_outstanding(self, retry: Retry) -> Survey:
        """What the night has to do.

        Raises:
            AudioCompressorError: the source cannot be listed; that is never taken for an empty one.
        """
        plan, history = self._look(retry)
        return self._survey(plan, history, plan.outstanding)

    def fresh(self, retry: Retry, most: int) -> Survey:
        """What is new or changed since it was last observed, ``most`` at a time: the rest is found at the next look.

        Raises:
            AudioCompressorError: the source cannot be listed; that is never taken for an empty one.
        """
        plan, history = self._look(retry)
        return self._survey(plan, history, plan.fresh[:most])

    def _look(self, retry: Retry) -> tuple[Plan, History]:
        end_dead_runs(self.instance)
        plan, history = self._plan(retry)
        write_looks(self.instance, plan.looks)
        return plan, history

    def _plan(self, retry: Retry) -> tuple[Plan, History]:
        listing = self.resources.sftp.list_source(retry)
        history = read_history(self.instance)
        rules = self.resources.intake_rules()
        looks = read_looks(self.instance)
        return make_plan(listing, history, rules, looks=looks, now_seconds=time.time()), history

    def _survey(self, plan: Plan, history: History, selected: tuple[Outstanding, ...]) -> Survey:
        adopted, adoptions = self._adopt(selected, history)
        adopted_directories = {item.recording.directory for item in adopted}
        news = [skip for skip in plan.skips if skip.is_news]
        wanted = {item.directory for item in selected} | {skip.directory for skip in news}
        new_keys = tuple(sorted(wanted - set(history.known), key=chronological))
        return Survey(
            plan=plan,
            to_process=tuple(item for item in selected if item.directory not in adopted_directories),
            adopted=adopted,
            new_keys=new_keys,
            keys_in_order=(*history.known, *new_keys),
            events=(
                *(directory_observed(item.recording) for item in selected if item.is_fresh),
                *adoptions,
                *(skip_observed(skip) for skip in news),
            ),
        )

    def _adopt(
        self, selected: tuple[Outstanding, ...], history: History
    ) -> tuple[tuple[Adoption, ...], tuple[dg.AssetMaterialization, ...]]:
        unknown = [
            item for item in selected if item.directory not in history.observed.keys() | history.successes.keys()
        ]
        if not unknown or not self.resources.running.skip_processed:
            return (), ()
        try:
            with self.resources.open_storage() as storage:
                adopted = tuple(find_adoptable(unknown, storage, self.resources.audio.profile().extension))
                position = event_log_position(self.instance)
                return adopted, tuple(
                    adoption_materialized(item, storage.location, storage.uri(item.name), position) for item in adopted
                )
        except AudioCompressorError as error:
            # The runs have a fallback for this. What an earlier deployment left there is then made again; of equal
            # content the file that is there is kept.
            log.warning("The destination cannot be looked at, so nothing is adopted: %s", error)
            return (), ()


def add_partitions(instance: DagsterInstance, keys: Sequence[str]) -> None:
    """Add keys in this order; another process may be adding the same ones."""
    try:
        instance.add_dynamic_partitions(str(RECORDINGS.name), list(keys))
    except IntegrityError:
        # Dagster looks which keys are there and then inserts the others; somebody was in between.
        known = set(known_keys(instance))
        instance.add_dynamic_partitions(str(RECORDINGS.name), [key for key in keys if key not in known])


def range_tags(keys: KeyRange) -> dict[str, str]:
    """One run for one key or for one contiguous range."""
    return {RANGE_START_TAG: keys.first, RANGE_END_TAG: keys.last}


def run_request(keys: KeyRange, run_key: str) -> dg.RunRequest:
    return dg.RunRequest(run_key=run_key, job_name=COMPRESSION_JOB, tags=range_tags(keys))
