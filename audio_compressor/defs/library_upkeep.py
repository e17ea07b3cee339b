"""Each night, the library is tidied up: what was interrupted is finished, the trash is emptied, and what was archived
without Dagster is told to it.
"""

from collections.abc import Iterable, Iterator

import dagster as dg
from dagster import DagsterEventType, DagsterInstance

from audio_compressor.archive.library import Library
from audio_compressor.archive.records import Record
from audio_compressor.defs.aged import Aged
from audio_compressor.defs.dead_runs import mark_process
from audio_compressor.defs.history import known_keys, latest_versions
from audio_compressor.defs.library_events import told_again, version_of
from audio_compressor.defs.lines import Line
from audio_compressor.reporting.formatting import megabytes, to_mb
from audio_compressor.settings import LibrarySettings, RunningSettings


def build_archive_upkeep_job(aged: Aged) -> dg.JobDefinition:
    @dg.op(
        name=f"tidy_{aged.resource}",
        required_resource_keys={aged.resource, "audio", "running"},
        description="Finish what was interrupted, remove from the trash what has lain there for TRASH_DAYS, and tell "
        "Dagster what was archived without it. Where the policy says dry_run, nothing is touched.",
    )
    def tidy(context: dg.OpExecutionContext) -> None:
        mark_process(context.instance, context.run)
        with aged.resources(context.resources).open() as opened:
            problems = [] if opened.rules.policy.dry_run else _tidy(context, opened)
            look = opened.look()
            told = 0
            for record in _untold(context.instance, aged.line, look.survey.records.values()):
                reason = "was archived without Dagster"
                context.log_event(told_again(aged, opened.layout.root, record, reason, look.plan.at))
                told += 1
            if told:
                context.log.info("%d %s that were archived before are told to Dagster", told, aged.noun)
        if problems:
            lines = "\n".join(problems)
            raise dg.Failure(f"{len(problems)} things need a person to look at them.\n{lines}", allow_retries=False)

    @dg.job(name=aged.upkeep_job, description=f"Finishes what was interrupted in {aged.place}, and empties its trash.")
    def upkeep() -> None:
        tidy()

    return upkeep


def _tidy(context: dg.OpExecutionContext, library: Library) -> list[str]:
    problems = library.begin()
    purge = library.empty_trash()
    freed = megabytes(to_mb(purge.freed_bytes))
    context.log.info("%d files removed from the trash, %s MB are free again", len(purge.removed), freed)
    return [*problems, *purge.kept]


def _untold(instance: DagsterInstance, line: Line, records: Iterable[Record]) -> Iterator[Record]:
    """Those of known partitions of which Dagster does not know what they are now."""
    known = set(known_keys(instance, line))
    told = latest_versions(instance, line.decisive, DagsterEventType.ASSET_MATERIALIZATION)
    for record in records:
        is_archived = record.copy is not None or record.deleted_at is not None
        if record.key in known and is_archived and told.get(record.key) != version_of(record):
            yield record


def build_archive_upkeep_schedule(
    aged: Aged, library: LibrarySettings, running: RunningSettings
) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=f"{aged.prefix}_upkeep_schedule",
        job_name=aged.upkeep_job,
        cron_schedule=library.archive_schedule,
        execution_timezone=running.schedule_timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Finishes what was interrupted there, and removes what was in the trash for TRASH_DAYS.",
    )
