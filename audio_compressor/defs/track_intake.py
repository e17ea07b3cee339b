"""One look at what waits: uploads in the catalogue, or objects in the bucket, and the runs to ask for."""

import logging
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dagster import DagsterEventType, DagsterInstance, DagsterRun, RunsFilter

from audio_compressor.catalog.catalog import Catalog
from audio_compressor.defs import data_versions
from audio_compressor.defs.dead_runs import end_dead_runs
from audio_compressor.defs.history import UNFINISHED, in_flight, known_keys, latest_versions, overtaken
from audio_compressor.defs.lines import TRACK_LINE
from audio_compressor.defs.names import CLAIM_TAG, HLS_RENDITIONS, PARENT_RUN_TAG, RETRY_NUMBER_TAG, TRACK
from audio_compressor.defs.requests import run_tags
from audio_compressor.defs.resources import TrackResources
from audio_compressor.errors import AudioCompressorError
from audio_compressor.intake.ranges import KeyRange, contiguous_ranges
from audio_compressor.retries import Retry
from audio_compressor.staging import remove_abandoned
from audio_compressor.streaming.claims import BEAT_SECONDS, MOST_SILENT_SECONDS, dead_holders
from audio_compressor.streaming.plan import Known, TrackPlan, plan_listing, plan_named, plan_uploads
from audio_compressor.tracks.bucket import TrackBucket

log = logging.getLogger(__name__)

# With so many in the queue no more are claimed. Each look asks for every unfinished run.
_MOST_IN_WORK = 2_000


@dataclass(frozen=True)
class TrackSurvey:
    """A plan, and what it means for Dagster.

    ``looked_at_seconds`` is when the look began (seconds since the epoch).
    """

    plan: TrackPlan
    looked_at_seconds: float
    new_keys: tuple[str, ...]
    keys_in_order: tuple[str, ...]

    def ranges(self, batch_size: int) -> list[KeyRange]:
        return contiguous_ranges(self.keys_in_order, self.plan.keys, batch_size)


@dataclass(frozen=True)
class TrackSurveyor:
    """Looks on behalf of the sensor and the command line alike."""

    instance: DagsterInstance
    resources: TrackResources

    def look(self, most: int, *, again: bool = False, retry: Retry | None = None) -> TrackSurvey:
        """What is to be made, ``most`` at a time; ``again``: what failed before as well.

        Raises:
            AudioCompressorError: bucket or catalogue cannot be looked at.
        """

        def plan(bucket: TrackBucket, in_work: Collection[str]) -> TrackPlan:
            with self.resources.tracks.open_catalog() as catalog:
                if catalog is None:
                    return self._plan_listing(bucket, in_work, again=again).first(most)
                bucket.look()
                self._release_dead(catalog)
                found = plan_uploads(catalog, max(0, min(most, _MOST_IN_WORK - len(in_work))), in_work, again=again)
            if found.waiting:  # nothing is claimed that could not be worked on
                self.resources.audio.ffmpeg()
                bucket.check_writable()
            return found

        return self._survey(plan, retry)

    def look_for(self, names: Sequence[str]) -> TrackSurvey:
        """These tracks, whatever is known of them.

        Raises:
            AudioCompressorError: the bucket cannot be looked at.
        """

        def plan(bucket: TrackBucket, in_work: Collection[str]) -> TrackPlan:
            with self.resources.tracks.open_catalog() as catalog:
                if catalog:
                    self._release_dead(catalog)
            return plan_named(names, bucket, in_work)

        return self._survey(plan, None)

    def _survey(self, plan: Callable[[TrackBucket, Collection[str]], TrackPlan], retry: Retry | None) -> TrackSurvey:
        began_at_seconds = time.time()
        end_dead_runs(self.instance)
        remove_abandoned(Path(self.resources.running.temp_dir))
        keys = known_keys(self.instance, TRACK_LINE)
        with self.resources.open_bucket(retry) as bucket:
            found = plan(bucket, in_flight(self.instance, keys, TRACK_LINE))
        known = frozenset(keys)
        new_keys = tuple(key for key in found.keys if key not in known)
        return TrackSurvey(found, began_at_seconds, new_keys, (*keys, *new_keys))

    def claim(self, survey: TrackSurvey, ranges: Sequence[KeyRange]) -> list[dict[str, str]]:
        """Claim the uploads of these ranges, and give the tags for the run of each.

        Raises:
            AudioCompressorError: nothing stays claimed that could be given back.
        """
        uploads = {item.track.key: item.upload for item in survey.plan.waiting if item.upload}
        names = [str(uuid.uuid4()) for _ in ranges]
        with self.resources.tracks.open_catalog() as catalog:
            try:
                for keys, claimed_by in zip(ranges, names, strict=True):
                    for key in keys.keys if catalog else ():
                        if catalog and key in uploads:
                            catalog.claim(uploads[key], key, claimed_by)
            except BaseException:
                with suppress(AudioCompressorError):
                    if catalog:
                        catalog.release(*names)
                raise
        return [
            {**run_tags(keys, survey.looked_at_seconds), CLAIM_TAG: claimed_by}
            for keys, claimed_by in zip(ranges, names, strict=True)
        ]

    def give_back(self, claimed_by: str) -> None:
        """Let what is claimed under this name wait again.

        Raises:
            AudioCompressorError: the catalogue is away; a later look does it.
        """
        with self.resources.tracks.open_catalog() as catalog:
            if catalog:
                catalog.release(claimed_by)

    def _plan_listing(self, bucket: TrackBucket, in_work: Collection[str], *, again: bool) -> TrackPlan:
        files = latest_versions(self.instance, TRACK, DagsterEventType.ASSET_MATERIALIZATION)
        made = latest_versions(self.instance, HLS_RENDITIONS, DagsterEventType.ASSET_MATERIALIZATION)
        told = latest_versions(self.instance, HLS_RENDITIONS, DagsterEventType.ASSET_OBSERVATION)
        over = made.keys() & told.keys() - set(overtaken(self.instance, HLS_RENDITIONS, made.keys() & told.keys()))
        failures = {key: data_versions.parse_failed_track(told[key]) for key in told.keys() - over}
        known = Known(
            successes={key: data_versions.parse_renditions(version) for key, version in made.items()},
            failures={key: fingerprint for key, fingerprint in failures.items() if fingerprint is not None},
            in_flight=in_work,
        )
        published_from = {key: data_versions.parse_file_name(version) for key, version in files.items()}
        return plan_listing(bucket.list_raw(published_from), known, again=again)

    def _release_dead(self, catalog: Catalog) -> None:
        claims = catalog.claims()
        if not claims:
            return
        living = {claim_name(self.instance, run) for run in self.instance.get_runs(RunsFilter(statuses=UNFINISHED))}
        quiet = {claim.claimed_by for claim in claims if claim.silent_seconds > BEAT_SECONDS}
        if waiting := quiet & living:  # they may be queued for hours, and another deployment knows of none of them
            catalog.beat(*waiting)
        ended = self._ended({claim.claimed_by for claim in claims} - living)
        dead = set(dead_holders(claims, living, ended))
        released = (
            *catalog.release(*(dead & ended)),
            *catalog.release(*(dead - ended), silent_seconds=MOST_SILENT_SECONDS),
        )
        for upload_id in released:
            log.warning("The upload %s waits again: the run that had claimed it is gone", upload_id)

    def _ended(self, names: Collection[str]) -> set[str]:
        """Those under which runs had claimed that are all over. Two questions, whatever their number: with 2,000 runs
        that had ended, a look took 47 s when it asked for each.
        """
        if not names:  # Dagster refuses to look for none
            return set()
        runs: dict[str, list[DagsterRun]] = {}
        for run in self.instance.get_runs(RunsFilter(tags={CLAIM_TAG: list(names)})):
            runs.setdefault(run.tags[CLAIM_TAG], []).append(run)
        for run in self.instance.get_runs(RunsFilter(run_ids=list(names))):
            runs.setdefault(run.run_id, []).append(run)
        return {name for name, found in runs.items() if all(run.is_finished for run in found)}


def claim_name(instance: DagsterInstance, run: DagsterRun) -> str:
    """Under which name a run claims uploads: that of whoever claimed for it, or its own id.

    An automatic retry goes on with what its first attempt had claimed. A person's re-execution takes the tags along,
    too, but is one of its own: the first one may still be at work.
    """
    if PARENT_RUN_TAG not in run.tags:
        return run.tags.get(CLAIM_TAG, run.run_id)
    parent = instance.get_run_by_id(run.tags[PARENT_RUN_TAG]) if RETRY_NUMBER_TAG in run.tags else None
    return claim_name(instance, parent) if parent else run.run_id
