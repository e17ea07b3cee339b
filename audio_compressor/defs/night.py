"""The night without a daemon: the same look at the source and the same jobs, executed in this process one by one."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import dagster as dg
from dagster import DagsterInstance

from audio_compressor.batch.connections import SharedConnection
from audio_compressor.batch.model import Outcome, Progress
from audio_compressor.definitions import build_definitions
from audio_compressor.defs.in_process import execute, reason_of
from audio_compressor.defs.intake import Survey, Surveyor
from audio_compressor.defs.names import COMPRESSION_JOB, RELOCATION_JOB, REPORT_JOB
from audio_compressor.defs.report_history import last_cursor, newest_result
from audio_compressor.defs.requests import run_tags
from audio_compressor.defs.resources import Resources, build_resources
from audio_compressor.intake.plan import Plan
from audio_compressor.intake.ranges import KeyRange
from audio_compressor.settings import Settings


class Watcher(Progress):
    """Told about a night as it goes on."""

    def surveyed(self, survey: Survey) -> None:
        """The source has been looked at; work begins."""


class _Collector(Progress):
    """Keeps the outcomes of a night, and passes everything on."""

    def __init__(self, watcher: Progress) -> None:
        self.outcomes: list[Outcome] = []
        self._watcher = watcher

    def downloading(self, directory: str) -> None:
        self._watcher.downloading(directory)

    def downloaded(self, size_bytes: int) -> None:
        self._watcher.downloaded(size_bytes)

    def finished(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._watcher.finished(outcome)


@dataclass(frozen=True)
class Night:
    """What there was to do and what became of it."""

    survey: Survey
    outcomes: Sequence[Outcome]
    report_problem: str | None

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.status == "failed"]


def run_night(settings: Settings, instance: DagsterInstance, watcher: Watcher) -> Night:
    """Process everything outstanding, then bring the report up to date.

    Raises:
        AudioCompressorError: the source cannot be listed.
    """
    resources = build_resources(settings)
    with closing(SharedConnection()) as connection:
        return _run_night(settings, resources, connection, instance, watcher)


def _run_night(
    settings: Settings, resources: Resources, connection: SharedConnection, instance: DagsterInstance, watcher: Watcher
) -> Night:
    collector = _Collector(watcher)
    definitions = build_definitions(settings, collector, connection)
    survey = Surveyor(instance, resources).everything_outstanding(resources.running.retry())
    ranges = survey.ranges(settings.batch_size)
    if ranges:
        connection.start(resources.sftp.endpoint())
    survey.record(instance)
    watcher.surveyed(survey)

    job = definitions.resolve_job_def(COMPRESSION_JOB)
    for keys in ranges:
        result = execute(job, instance, run_tags(keys, survey.looked_at_seconds))
        if not result.success:
            _account_for(keys, result, collector)
    if not ranges and resources.has_stranded():
        execute(definitions.resolve_job_def(RELOCATION_JOB), instance, {})
    return Night(survey, collector.outcomes, _report(definitions, instance))


def _report(definitions: dg.Definitions, instance: DagsterInstance) -> str | None:
    """Bring the report up to date where there is something new; the reason why that did not work."""
    if newest_result(instance) <= last_cursor(instance):
        return None
    result = execute(definitions.resolve_job_def(REPORT_JOB), instance, {})
    return None if result.success else reason_of(result)


def look(settings: Settings, instance: DagsterInstance) -> Plan:
    """What `run_night` would do, with nothing done.

    Raises:
        AudioCompressorError: the source cannot be listed.
    """
    return Surveyor(instance, build_resources(settings)).plan()


def _account_for(keys: KeyRange, result: dg.ExecuteInProcessResult, collector: _Collector) -> None:
    """A run that failed as a whole leaves recordings without an outcome: they failed with it."""
    told = {outcome.directory for outcome in collector.outcomes}
    for key in keys.keys:
        if key not in told:
            collector.finished(Outcome(key, "failed", reason_of(result)))
