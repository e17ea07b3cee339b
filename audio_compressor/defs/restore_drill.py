"""Does what lies in cold storage come back? An asset check that fetches some of it by lot, on a schedule."""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import dagster as dg
from dagster import DagsterInstance, DagsterRun

from audio_compressor.archive.drilling import Drilled
from audio_compressor.archive.restore_drill import Memory, Report, hold_drill
from audio_compressor.defs.assets.recordings import OWNERS
from audio_compressor.defs.dead_runs import mark_process
from audio_compressor.defs.evaluations import last_figures
from audio_compressor.defs.event_parts import bounded, megabytes
from audio_compressor.defs.names import ARCHIVED_AUDIO, ARCHIVED_COPIES, DRILL_JOB
from audio_compressor.defs.resources import AudioResource, LibraryResource, LibraryResources, RunningResource
from audio_compressor.reporting import formatting
from audio_compressor.reporting.formatting import to_mb
from audio_compressor.reporting.lines import table_lines
from audio_compressor.settings import LibrarySettings, RunningSettings
from audio_compressor.staging import open_staging
from audio_compressor.texts import escape_cell, escape_line, visible

CHECK_NAME = "restore_drill"
DRILL_CHECK = dg.AssetCheckKey(ARCHIVED_COPIES, CHECK_NAME)
_LOST, _UNSEEN, _COPIES = "lost", "not_looked_at", "copies"
# Kept with each evaluation: what people read, and what is looked at again the next time.
_MOST_TOLD = 100
_MOST_AGAIN = 1000
_TABLE = (("recording", ":--"), ("MB", "--:"), ("finding", ":--"), ("reason", ":--"))
# An asset of its own, and an external one: a check of `archived_audio` would be planned with each run that makes some
# of it, and that would hide what it has found.
ARCHIVED_COPIES_SPEC = dg.AssetSpec(
    ARCHIVED_COPIES,
    deps=[ARCHIVED_AUDIO],
    kinds={"s3"},
    group_name="library",
    owners=OWNERS,
    description="What lies in cold storage and stands for recordings; some of it is fetched now and then.",
)


@dg.asset_check(
    asset=ARCHIVED_COPIES,
    name=CHECK_NAME,
    description="Some of what lies in cold storage, drawn by lot, comes back, has the SHA-256 that was archived, and "
    "plays to its end. What is lost is looked at again each time until it is whole, or nobody needs it any more. What "
    "cannot be looked at is not called good. MB is 1,000,000 bytes.",
)
def restore_drill(
    context: dg.AssetCheckExecutionContext, library: LibraryResource, audio: AudioResource, running: RunningResource
) -> dg.AssetCheckResult:
    mark_process(context.instance, context.run)

    def tell(drilled: Drilled) -> None:
        log = context.log.info if drilled.finding == "intact" else context.log.error
        log("%s: %s: %s", visible(drilled.key), drilled.finding, visible(drilled.reason))

    resources = LibraryResources(library, audio, running)
    dice, run_id = dice_of(context.run), context.run.run_id
    return _result(drill_now(context.instance, resources, library.drill_size, dice, run_id, tell))


def dice_of(run: DagsterRun) -> random.Random:
    """Those of the first run, for one that is tried again: it looks at the same."""
    return random.Random(run.root_run_id or run.run_id)  # noqa: S311


def drill_now(
    instance: DagsterInstance,
    resources: LibraryResources,
    size: int,
    dice: random.Random,
    run_id: str,
    tell: Callable[[Drilled], object],
) -> Report:
    """``run_id`` names the staging directory; ``tell`` is given what came of each copy.

    Raises:
        AudioCompressorError: see `hold_drill`; what the last drill found stands.
    """
    last = last_figures(instance, DRILL_CHECK)
    memory = Memory(tuple(last.get(_LOST) or ()), tuple(last.get(_UNSEEN) or ()), last.get(_COPIES) or 0)
    ffmpeg = resources.audio.ffmpeg()
    with resources.open() as library, open_staging(Path(resources.running.temp_dir), run_id) as staging:
        return hold_drill(library, memory, size, dice, staging.path, ffmpeg=ffmpeg, tell=tell)


def record_drill(instance: DagsterInstance, report: Report) -> None:
    """Record a drill that was no run, so that it counts as one."""
    result = _result(report)
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=ARCHIVED_COPIES,
            check_name=CHECK_NAME,
            passed=result.passed,
            severity=result.severity,
            description=result.description,
            metadata=result.metadata,
        )
    )


def _result(report: Report) -> dg.AssetCheckResult:
    memory = report.memory
    return dg.AssetCheckResult(
        passed=report.verdict == "intact",
        severity=dg.AssetCheckSeverity.ERROR if report.verdict == "lost" else dg.AssetCheckSeverity.WARN,
        description=escape_line(bounded(report.sentence)),
        metadata={
            "drilled": dg.MetadataValue.md(_table(report.found)),
            "looked_at": len(report.found),
            "intact": sum(each.finding == "intact" for each in report.found),
            _COPIES: memory.copies,
            "copies_mb": megabytes(report.size_bytes),
            "copies_bytes": report.size_bytes,
            _LOST: dg.MetadataValue.json(list(memory.lost)[:_MOST_AGAIN]),
            _UNSEEN: dg.MetadataValue.json(list(memory.unseen)[:_MOST_AGAIN]),
            "unreadable_records": dg.MetadataValue.json(
                {visible(key): bounded(reason) for key, reason in list(report.unreadable.items())[:_MOST_TOLD]}
            ),
        },
    )


def _table(found: Sequence[Drilled]) -> str:
    """What is not intact comes first."""
    rows = sorted(found, key=lambda each: each.finding == "intact")
    lines = table_lines(_TABLE, (_row(each) for each in rows[:_MOST_TOLD]))
    if len(rows) > _MOST_TOLD:
        lines += ["", f"The first {_MOST_TOLD} of {len(rows):,}."]
    return "\n".join(lines) + "\n"


def _row(drilled: Drilled) -> Iterator[str]:
    yield escape_cell(drilled.key)
    yield formatting.megabytes(to_mb(drilled.size_bytes))
    yield drilled.finding
    yield escape_cell(bounded(drilled.reason))


restore_drill_job = dg.define_asset_job(
    DRILL_JOB,
    selection=dg.AssetSelection.checks(DRILL_CHECK),
    description="Fetch some of what lies in cold storage, compare it, and play it to its end.",
)


def build_drill_schedule(library: LibrarySettings, running: RunningSettings) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="restore_drill_schedule",
        job_name=DRILL_JOB,
        cron_schedule=library.drill_schedule,
        execution_timezone=running.schedule_timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING if library.drill_size else dg.DefaultScheduleStatus.STOPPED,
        description="Sees whether DRILL_SIZE recordings come back from cold storage, and what was lost before.",
    )
