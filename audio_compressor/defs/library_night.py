"""The library without a daemon: the same look and the same job, executed in this process one by one, and at the end
the trash is emptied.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dagster import DagsterInstance

from audio_compressor.archive.archiving import unfinished_outcome
from audio_compressor.archive.matching import EVERYTHING, Matcher
from audio_compressor.archive.outcome import Outcome
from audio_compressor.archive.plan import Decision
from audio_compressor.archive.progress import ArchiveProgress
from audio_compressor.archive.purging import Purge
from audio_compressor.archive.restoring import Restored
from audio_compressor.definitions import build_definitions
from audio_compressor.defs.aged import Aged
from audio_compressor.defs.in_process import execute, reason_of
from audio_compressor.defs.library_events import brought_back
from audio_compressor.defs.library_intake import LibrarySurvey, look_at_library
from audio_compressor.defs.requests import add_partitions, run_tags
from audio_compressor.defs.resources import build_library_resources
from audio_compressor.settings import Settings


class ArchiveWatcher(ArchiveProgress):
    """Told about the work as it goes on."""

    def surveyed(self, survey: LibrarySurvey) -> None:
        """What is due is known; work begins."""


class _Collector(ArchiveProgress):
    """Keeps what there is to sum up, and passes everything on."""

    def __init__(self, watcher: ArchiveProgress) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.passed: dict[str, Decision] = {}
        self._watcher = watcher

    def working(self, key: str, what: str) -> None:
        self._watcher.working(key, what)

    def finished(self, outcome: Outcome) -> None:
        self.outcomes[outcome.key] = outcome
        self._watcher.finished(outcome)

    def passed_over(self, decision: Decision) -> None:
        self.passed[decision.file.key] = decision
        self._watcher.passed_over(decision)


@dataclass(frozen=True)
class ArchiveNight:
    """What was due and what became of it; ``passed`` was due at the first look, and not any more when its turn came.

    ``problems`` are sentences about what was interrupted earlier and needs a person.
    """

    survey: LibrarySurvey
    outcomes: Sequence[Outcome]
    passed: Sequence[Decision]
    purge: Purge
    problems: Sequence[str]


def run_archive(
    aged: Aged, settings: Settings, instance: DagsterInstance, watcher: ArchiveWatcher, only: Matcher = EVERYTHING
) -> ArchiveNight:
    """Do what is due, of what ``only`` matches; finish what was interrupted before, and empty the trash afterwards.

    Raises:
        AudioCompressorError: the library cannot be looked at or written to.
        KeyboardInterrupt: see `execute`; nothing is left half done.
    """
    collector, resources = _Collector(watcher), build_library_resources(settings, aged.collection)
    job = build_definitions(settings, archive_progress=collector).resolve_job_def(aged.line.job_name)
    with resources.open() as library:
        problems = library.begin()
        survey = look_at_library(instance, library, aged.line, only)
        if survey.due:
            resources.audio.ffmpeg()
        if survey.new_keys:
            add_partitions(instance, survey.new_keys, aged.line)
        watcher.surveyed(survey)
        decisions = {decision.file.key: decision for decision in survey.due}
        for keys in survey.ranges(settings.batch_size):
            result = execute(job, instance, run_tags(keys, survey.looked_at_seconds))
            for key in keys.keys:
                if not result.success and key not in collector.outcomes and key not in collector.passed:
                    collector.finished(unfinished_outcome(decisions[key], reason_of(result)))
        purge = library.empty_trash()
    return ArchiveNight(survey, tuple(collector.outcomes.values()), tuple(collector.passed.values()), purge, problems)


def record_restored(aged: Aged, instance: DagsterInstance, restored: Restored) -> None:
    """That a recording was brought back, which is no run."""
    instance.report_runless_asset_event(brought_back(aged, restored))
