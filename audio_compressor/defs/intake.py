"""One look at the source: list it, compare it with the history, and record what there is to record without a run."""

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster import DagsterInstance

from audio_compressor.defs.bulk_events import report_events
from audio_compressor.defs.dead_runs import end_dead_runs
from audio_compressor.defs.events import adoption_materialized, directory_observed, skip_observed
from audio_compressor.defs.history import event_log_position, read_history
from audio_compressor.defs.looks import read_looks, write_looks
from audio_compressor.defs.names import COMPRESSION_JOB
from audio_compressor.defs.requests import add_partitions, run_tags
from audio_compressor.defs.resources import Resources
from audio_compressor.errors import AudioCompressorError
from audio_compressor.intake.adoption import Adoption, find_adoptable
from audio_compressor.intake.listing import look_into_all
from audio_compressor.intake.plan import History, Outstanding, Plan, make_plan, quiet_directories
from audio_compressor.intake.ranges import KeyRange, contiguous_ranges
from audio_compressor.recording import chronological
from audio_compressor.retries import Retry
from audio_compressor.staging import remove_abandoned

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Survey:
    """A plan, which part of it is to be processed now, and what to record beforehand.

    ``looked_at_seconds`` is when the look began (seconds since the epoch).
    """

    plan: Plan
    looked_at_seconds: float
    to_process: tuple[Outstanding, ...]
    adopted: tuple[Adoption, ...]
    new_keys: tuple[str, ...]
    keys_in_order: tuple[str, ...]
    events: tuple[dg.AssetObservation | dg.AssetMaterialization, ...]

    def record(self, instance: DagsterInstance) -> None:
        """Add the new keys in one call, then report the events."""
        if self.new_keys:
            add_partitions(instance, self.new_keys)
        report_events(instance, self.events)

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
        return self._plan(self.resources.running.retry()).plan

    def everything_outstanding(self, retry: Retry, most_fresh: int | None = None) -> Survey:
        """What the night has to do; of what is new or changed ``most_fresh``, if given. The sensor goes on with the
        rest, and the next night with those of them that were rewritten in place.

        Raises:
            AudioCompressorError: the source cannot be listed; that is never taken for an empty one.
        """
        look = self._look(retry)
        left_out = {item.directory for item in look.plan.fresh[most_fresh:]} if most_fresh is not None else ()
        selected = tuple(item for item in look.plan.outstanding if item.directory not in left_out)
        return self._survey(look, selected, most_fresh)

    def fresh(self, retry: Retry, most: int) -> Survey:
        """What is new or changed since it was last observed, ``most`` at a time: the rest is found at the next look.

        Raises:
            AudioCompressorError: the source cannot be listed; that is never taken for an empty one.
        """
        look = self._look(retry, passing_over=True)
        return self._survey(look, look.plan.fresh[:most], most)

    def _look(self, retry: Retry, *, passing_over: bool = False) -> "_Look":
        end_dead_runs(self.instance)
        remove_abandoned(Path(self.resources.running.temp_dir))
        look = self._plan(retry, passing_over=passing_over)
        write_looks(self.instance, look.plan.looks)
        return look

    def _plan(self, retry: Retry, *, passing_over: bool = False) -> "_Look":
        began_at_seconds = time.time()
        rules = self.resources.intake_rules()
        looks = read_looks(self.instance)
        read: list[History] = []

        def quiet(directories: Mapping[str, int]) -> Collection[str]:
            read.append(read_history(self.instance))
            return quiet_directories(directories, read[-1], rules, looks, began_at_seconds)

        listing = self.resources.sftp.list_source(retry, quiet if passing_over else look_into_all)
        # After the names are known: what was finished before is done, and not found in storage and adopted.
        history = read[-1] if read else read_history(self.instance)
        plan = make_plan(listing, history, rules, looks=looks, now_seconds=time.time())
        return _Look(began_at_seconds, plan, history)

    def _survey(self, look: "_Look", selected: tuple[Outstanding, ...], most_events: int | None) -> Survey:
        plan, history = look.plan, look.history
        adopted, adoptions = self._adopt(selected, history)
        adopted_directories = {item.recording.directory for item in adopted}
        observations = [directory_observed(item.recording) for item in selected if item.is_fresh]
        news = [skip for skip in plan.skips if skip.is_news]
        if most_events is not None:
            news = news[: most_events - len(observations)]
        wanted = {item.directory for item in selected} | {skip.directory for skip in news}
        new_keys = tuple(sorted(wanted - set(history.known), key=chronological))
        return Survey(
            plan=plan,
            looked_at_seconds=look.began_at_seconds,
            to_process=tuple(item for item in selected if item.directory not in adopted_directories),
            adopted=adopted,
            new_keys=new_keys,
            keys_in_order=(*history.known, *new_keys),
            events=(
                *observations,
                *adoptions,
                *(skip_observed(skip) for skip in news),
            ),
        )

    def _adopt(
        self, selected: tuple[Outstanding, ...], history: History
    ) -> tuple[tuple[Adoption, ...], tuple[dg.AssetMaterialization, ...]]:
        unknown = [
            item
            for item in selected
            if item.directory not in history.observed and item.directory not in history.successes
        ]
        if not unknown or not self.resources.running.skip_processed:
            return (), ()
        try:
            with self.resources.open_storage() as storage:
                extension = self.resources.audio.profile().extension
                adopted = tuple(find_adoptable(unknown, storage, extension, results=len(history.successes)))
                position = event_log_position(self.instance)
                return adopted, tuple(
                    adoption_materialized(item, storage.location, storage.uri(item.name), position) for item in adopted
                )
        except AudioCompressorError as error:
            # The runs have a fallback for this. What an earlier deployment left there is then made again; of equal
            # content the file that is there is kept.
            log.warning("The destination cannot be looked at, so nothing is adopted: %s", error)
            return (), ()


@dataclass(frozen=True)
class _Look:
    """What was there to see, and what was known; ``began_at_seconds`` is since the epoch."""

    began_at_seconds: float
    plan: Plan
    history: History


def run_request(keys: KeyRange, run_key: str, looked_at_seconds: float) -> dg.RunRequest:
    return dg.RunRequest(run_key=run_key, job_name=COMPRESSION_JOB, tags=run_tags(keys, looked_at_seconds))
