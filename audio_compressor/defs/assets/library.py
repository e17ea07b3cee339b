"""`archived_audio`, and `archived_outputs` for our own results: one run takes many of them, each with its own outcome.

As with recordings and tracks, one step does all of them and logs each one's event the moment it is there. What the run
is going to do is shown before it does anything, as an observation of `archive_plan`, or `output_plan`.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import dagster as dg
from dagster import DagsterRun
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from audio_compressor.archive.explain import explain_outcome, explain_plan
from audio_compressor.archive.library import Library, Look
from audio_compressor.archive.outcome import Outcome
from audio_compressor.archive.plan import Decision
from audio_compressor.archive.progress import ArchiveProgress
from audio_compressor.defs.aged import Aged
from audio_compressor.defs.assets.recordings import OWNERS
from audio_compressor.defs.dead_runs import mark_process
from audio_compressor.defs.history import claimed_before, known_keys
from audio_compressor.defs.library_events import archived, not_archived, plan_observed, told_again
from audio_compressor.defs.names import CODE_VERSION, MAX_RETRIES_TAG, PARENT_RUN_TAG, REQUESTED_TAG, RETRY_NUMBER_TAG
from audio_compressor.defs.resources import LibraryResources
from audio_compressor.texts import visible


def plan_spec(aged: Aged) -> dg.AssetSpec:
    return dg.AssetSpec(
        aged.plan,
        group_name=aged.resource,
        kinds={"file"},
        owners=OWNERS,
        description=f"What is to become of the {aged.noun} in {aged.place}, and why: observed by each run before it "
        "does anything. MB is 1,000,000 bytes.",
    )


def _spec(aged: Aged) -> dg.AssetSpec:
    return dg.AssetSpec(
        aged.asset,
        deps=[aged.plan],
        skippable=True,
        group_name=aged.resource,
        kinds={"ffmpeg"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        description=f"One of the {aged.noun} in {aged.place} as the tier of its age keeps it: smaller, in cold "
        "storage, or deleted. The original goes only when its copy is proved to be the same sound, and lies in the "
        "trash for TRASH_DAYS. Where nothing is due, or nothing may be done, an observation says why; materialize it "
        "by hand to try again what was refused.",
    )


def build_archived_asset(aged: Aged, batch_size: int) -> dg.AssetsDefinition:
    """A backfill in the UI takes ``batch_size`` recordings a run."""

    @dg.multi_asset(
        name=f"archive_{aged.resource}",
        specs=[_spec(aged)],
        partitions_def=aged.line.partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(batch_size),
        required_resource_keys={aged.resource, "audio", "running", "archive_progress"},
    )
    def archive(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
        mark_process(context.instance, context.run)
        resources = aged.resources(context.resources)
        with resources.open() as opened:
            progress: ArchiveProgress = context.resources.archive_progress
            failed = _Batch(context, aged, opened, resources, progress).work()
        if failed:
            lines = "\n".join(failed)
            raise dg.Failure(
                f"{len(failed)} of {len(context.partition_keys)} {aged.noun} failed, and are as they were.\n{lines}",
                metadata={"failed": len(failed), "recordings": len(context.partition_keys)},
                allow_retries=False,
            )
        yield from ()  # the output is skippable, and its events are logged already

    return archive


def build_archive_job(aged: Aged) -> UnresolvedAssetJobDefinition:
    return dg.define_asset_job(
        aged.line.job_name,
        selection=dg.AssetSelection.assets(aged.asset),
        # Dagster's retry of a dead run would take its whole range; the next night asks for the rest.
        tags={MAX_RETRIES_TAG: "0"},
        description=f"Do what is due with one range of the {aged.noun} in {aged.place}.",
    )


@dataclass(frozen=True)
class _Batch:
    """The recordings of one run."""

    context: dg.AssetExecutionContext
    aged: Aged
    library: Library
    resources: LibraryResources
    progress: ArchiveProgress

    def work(self) -> list[str]:
        """Do what is due; sentences about what failed."""
        context, policy = self.context, self.library.rules.policy
        keys = list(context.partition_keys)
        if not policy.dry_run:
            for problem in self.library.begin():
                context.log.error(problem)
        look = self.library.look(again=keys if _is_asked_for_by_a_person(context.run) else ())
        decisions = {decision.file.key: decision for decision in look.plan.decisions}
        plan = replace(look.plan, decisions=tuple(decisions[key] for key in keys if key in decisions))
        context.log_event(plan_observed(self.aged, plan, look.plan))
        context.log.info(explain_plan(plan))
        elsewhere = self._elsewhere()
        due = []
        for key in keys:
            decision = decisions.get(key)
            if key in elsewhere:
                self._pass_over(key, "waiting", f"the run {elsewhere[key]} works on it", decision)
            elif decision is not None and decision.verdict == "due" and not policy.dry_run:
                due.append(decision)
            else:
                self._pass_over_or_tell_again(key, decision, look)
        return self._archive(due)

    def _archive(self, due: list[Decision]) -> list[str]:
        failed: list[str] = []
        if not due:
            return failed
        ffmpeg, workers = self.resources.audio.ffmpeg(), self.resources.running.encoders
        decisions = {decision.file.key: decision for decision in due}
        with closing(self.library.archive(due, ffmpeg, workers, self.progress.working)) as outcomes:
            for number, outcome in enumerate(outcomes, start=1):
                self._record(outcome, decisions[outcome.key])
                if outcome.status == "failed":
                    failed.append(f"{visible(outcome.key)}: {outcome.reason}")
                level, line = explain_outcome(outcome)
                self.context.log.log(level, "[%d/%d] %s", number, len(due), line)
                self.progress.finished(outcome)
        return failed

    def _record(self, outcome: Outcome, decision: Decision) -> None:
        if outcome.status == "success" and outcome.record is not None:
            root = self.library.layout.root
            self.context.log_event(archived(self.aged, root, outcome.record, outcome, datetime.now(UTC)))
        else:
            self.context.log_event(not_archived(self.aged, outcome.key, outcome.status, outcome.reason, decision))

    def _pass_over_or_tell_again(self, key: str, decision: Decision | None, look: Look) -> None:
        record = look.survey.records.get(key)
        if decision is None and (record is None or record.deleted_at is None):
            self._pass_over(key, "gone", "there is no such recording in the library, and no record of one", None)
        elif record is not None and (decision is None or decision.verdict == "done"):
            reason = decision.reason if decision else f"was deleted on {record.deleted_at:%Y-%m-%d}"
            self.context.log_event(told_again(self.aged, self.library.layout.root, record, reason, look.plan.at))
            self._tell(key, "done", reason, decision, logging.INFO)
        elif decision is not None:
            reason = "the policy says dry_run" if decision.verdict == "due" else decision.reason
            self._pass_over(key, decision.verdict, reason, decision)

    def _pass_over(self, key: str, verdict: str, reason: str, decision: Decision | None) -> None:
        self.context.log_event(not_archived(self.aged, key, verdict, reason, decision))
        self._tell(key, verdict, reason, decision, logging.WARNING if verdict in {"doubt", "gone"} else logging.INFO)

    def _tell(self, key: str, verdict: str, reason: str, decision: Decision | None, level: int) -> None:
        self.context.log.log(level, "%s: %s: %s", visible(key), verdict, visible(reason))
        if decision is not None:
            self.progress.passed_over(replace(decision, reason=reason))

    def _elsewhere(self) -> Mapping[str, str]:
        """What an earlier run, which goes on, still has to do."""
        instance, line = self.context.instance, self.aged.line
        return claimed_before(instance, self.context.run.run_id, (self.aged.asset,), known_keys(instance, line), line)


def _is_asked_for_by_a_person(run: DagsterRun) -> bool:
    """The schedule and the command mark what they ask for; a person who executes that again takes the mark along."""
    return REQUESTED_TAG not in run.tags or (PARENT_RUN_TAG in run.tags and RETRY_NUMBER_TAG not in run.tags)
