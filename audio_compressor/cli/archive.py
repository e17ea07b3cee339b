"""`audio-compressor archive`: do what is due in the library, now."""

import json
import logging
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from audio_compressor.archive.collection import LIBRARY, Collection
from audio_compressor.archive.explain import explain_decision, explain_outcome, explain_plan, outcomes_json
from audio_compressor.archive.matching import Matcher
from audio_compressor.archive.outcome import Outcome
from audio_compressor.archive.plan import Decision
from audio_compressor.archive.purging import Purge
from audio_compressor.cli.archive_plan import print_problems
from audio_compressor.cli.environment import EXIT_ALL_FAILED, EXIT_SOME_FAILED, open_instance
from audio_compressor.cli.library_tables import outcome_table, print_table
from audio_compressor.cli.terminal import console
from audio_compressor.cli.watchers import WithBar, choose_watcher
from audio_compressor.closing import Closing
from audio_compressor.defs.aged import of_collection
from audio_compressor.defs.library_intake import LibrarySurvey
from audio_compressor.defs.library_night import ArchiveNight, ArchiveWatcher, run_archive
from audio_compressor.reporting.formatting import megabytes, to_mb
from audio_compressor.settings import Settings
from audio_compressor.texts import visible

log = logging.getLogger(__name__)


def archive_now(settings: Settings, only: Matcher, *, as_json: bool, collection: Collection = LIBRARY) -> int:
    """Do what is due of what ``only`` matches, and empty the trash; returns the exit code.

    Raises:
        AudioCompressorError: nothing could be done at all.
        KeyboardInterrupt: interrupted, or terminated.
    """
    out = console()
    watcher = choose_watcher(_Bar, _Lines, settings.log_level)
    with open_instance() as instance, watcher:
        night = run_archive(of_collection(collection), settings, instance, watcher, only)
    if as_json:
        problems = [*night.problems, *night.survey.look.problems]
        out.out(json.dumps(outcomes_json(night.outcomes, len(night.survey.in_work), problems, night.purge), indent=2))
    else:
        _summarise(night, out)
    return _exit_code(night)


def _exit_code(night: ArchiveNight) -> int:
    failed = sum(outcome.status == "failed" for outcome in night.outcomes)
    if not failed:
        return EXIT_SOME_FAILED if night.problems or night.purge.kept else 0
    is_anything_done = any(decision.verdict == "done" for decision in night.survey.look.plan.decisions)
    nothing_is_done = failed == len(night.outcomes) and not is_anything_done
    return EXIT_ALL_FAILED if nothing_is_done else EXIT_SOME_FAILED


def _summarise(night: ArchiveNight, out: Console) -> None:
    if night.outcomes:
        print_table(out, outcome_table(night.outcomes))
        saved_bytes = sum(outcome.saved_bytes for outcome in night.outcomes)
        out.print(f"{megabytes(to_mb(saved_bytes))} MB saved. MB is 1,000,000 bytes.")
    for outcome in night.outcomes:
        if outcome.status != "success":
            out.print(escape(explain_outcome(outcome)[1]), soft_wrap=True)
    for decision in night.passed:
        out.print(escape(f"{explain_decision(decision)} ({decision.verdict})"), soft_wrap=True)
    if in_work := len(night.survey.in_work):
        out.print(f"Not done here: another run works on {in_work:,} of the recordings that are due.")
    elif not night.outcomes and not night.passed and night.survey.look.plan.due:
        out.print("Nothing to do: no recording that is due matches.")
    elif not night.outcomes and not night.passed:
        out.print(escape(f"Nothing to do. {explain_plan(night.survey.look.plan)}"), soft_wrap=True)
    print_problems(out, [*night.problems, *night.survey.look.problems])
    _tell_purge(night.purge, out)


def _tell_purge(purge: Purge, out: Console) -> None:
    if purge.removed:
        freed = megabytes(to_mb(purge.freed_bytes))
        out.print(f"Trash: {len(purge.removed):,} files were removed for good, {freed} MB are free again.")
    _print_kept(purge.kept, out)


def _print_kept(kept: Sequence[str], out: Console) -> None:
    for line in kept:
        out.print(f"[yellow]trash[/] {escape(visible(line))}", soft_wrap=True)


class _Lines(Closing, ArchiveWatcher):
    """One line for each recording, with time and level."""

    def surveyed(self, survey: LibrarySurvey) -> None:
        for line in survey.sentence.splitlines():
            log.info(line)

    def finished(self, outcome: Outcome) -> None:
        log.log(*explain_outcome(outcome))

    def passed_over(self, decision: Decision) -> None:
        log.info("%s (%s)", explain_decision(decision), decision.verdict)


class _Bar(WithBar, ArchiveWatcher):
    """Recordings done, and what was just done with one."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        self._task: TaskID = self._progress.add_task("Looking at the library", total=None)

    def surveyed(self, survey: LibrarySurvey) -> None:
        self._progress.update(self._task, description="Archiving", total=len(survey.due), completed=0)

    def working(self, key: str, what: str) -> None:
        self._progress.update(self._task, description=f"{escape(visible(key))}: {what}")

    def finished(self, outcome: Outcome) -> None:
        self._progress.advance(self._task)
        if outcome.status != "success":
            self._progress.console.print(escape(explain_outcome(outcome)[1]))

    def passed_over(self, decision: Decision) -> None:
        self._progress.advance(self._task)
        if decision.verdict != "done":
            self._progress.console.print(escape(explain_decision(decision)))
