"""One look at the source: list it, compare it with the history, and record what there is to record without a run."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg
from dagster import DagsterInstance

from audio_compressor.defs.events import adoption_materialized, directory_observed, skip_observed
from audio_compressor.defs.history import end_dead_runs, event_log_position, read_history
from audio_compressor.defs.names import COMPRESSION_JOB, RANGE_END_TAG, RANGE_START_TAG
from audio_compressor.defs.partitions import RECORDINGS
from audio_compressor.defs.resources import Resources
from audio_compressor.intake.adoption import Adoption, find_adoptable
from audio_compressor.intake.plan import History, Outstanding, Plan, make_plan
from audio_compressor.intake.ranges import KeyRange, contiguous_ranges
from audio_compressor.intake.settling import Look
from audio_compressor.recording import chronological
from audio_compressor.retries import Retry


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
            instance.add_dynamic_partitions(str(RECORDINGS.name), list(self.new_keys))
        for event in self.events:
            instance.report_runless_asset_event(event)

    def ranges(self, batch_size: int) -> list[KeyRange]:
        return contiguous_ranges(self.keys_in_order, {item.directory for item in self.to_process}, batch_size)


@dataclass(frozen=True)
class Surveyor:
    """Looks at the source on behalf of the schedule, the sensor and the command line alike."""

    instance: DagsterInstance
    resources: Resources

    def plan(self, *, looks: Mapping[str, Look], retry: Retry) -> Plan:
        """What there is to do, with nothing recorded.

        Raises:
            AudioCompressorError: the source cannot be listed; that is never taken for an empty one.
        """
        return self._plan(looks, retry)[0]

    def everything_outstanding(self, *, looks: Mapping[str, Look], retry: Retry) -> Survey:
        """What the night has to do.

        Raises:
            AudioCompressorError: the source cannot be listed; that is never taken for an empty one.
        """
        plan, history = self._plan(looks, retry)
        return self._survey(plan, history, plan.outstanding)

    def fresh(self, *, looks: Mapping[str, Look], retry: Retry, most: int) -> Survey:
        """What is new or changed since it was last observed, ``most`` at a time: the rest is found at the next look.

        Raises:
            AudioCompressorError: the source cannot be listed; that is never taken for an empty one.
        """
        plan, history = self._plan(looks, retry)
        return self._survey(plan, history, plan.fresh[:most])

    def _plan(self, looks: Mapping[str, Look], retry: Retry) -> tuple[Plan, History]:
        listing = self.resources.sftp.list_source(retry)
        end_dead_runs(self.instance)
        history = read_history(self.instance)
        rules = self.resources.intake_rules()
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
        candidates = [item for item in selected if item.directory not in history.successes]
        if not candidates or not self.resources.running.skip_processed:
            return (), ()
        with self.resources.open_storage() as storage:
            adopted = tuple(find_adoptable(candidates, storage, self.resources.audio.profile().extension))
            position = event_log_position(self.instance)
            return adopted, tuple(
                adoption_materialized(item, storage.location, storage.uri(item.name), position) for item in adopted
            )


def range_tags(keys: KeyRange) -> dict[str, str]:
    """One run for one key or for one contiguous range."""
    return {RANGE_START_TAG: keys.first, RANGE_END_TAG: keys.last}


def run_request(keys: KeyRange, run_key: str) -> dg.RunRequest:
    return dg.RunRequest(run_key=run_key, job_name=COMPRESSION_JOB, tags=range_tags(keys))
