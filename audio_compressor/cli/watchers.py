"""How a night shows its progress: a bar on a terminal, log lines in a pipe or a log file."""

import logging
import sys
from collections.abc import Callable
from typing import Self, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from audio_compressor.batch.explain import explain as explain_outcome
from audio_compressor.batch.model import Outcome
from audio_compressor.cli.environment import log_to_stderr
from audio_compressor.cli.terminal import console
from audio_compressor.closing import Closing
from audio_compressor.defs.intake import Survey
from audio_compressor.defs.night import Watcher
from audio_compressor.intake.explain import explain
from audio_compressor.reporting.formatting import megabytes, to_mb

log = logging.getLogger(__name__)
Bar = TypeVar("Bar")
Lines = TypeVar("Lines")


def choose_watcher(bar: Callable[[Console], Bar], lines: Callable[[], Lines], log_level: str) -> Bar | Lines:
    """A bar on a terminal; elsewhere lines, of ``log_level`` and above."""
    if sys.stderr.isatty():
        return bar(console(stderr=True))
    log_to_stderr(log_level)
    return lines()


class WithBar(Closing):
    """A context manager around the work, with a bar that is drawn meanwhile."""

    _progress: Progress

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def close(self) -> None:
        self._progress.stop()


class ProgressBar(WithBar, Watcher):
    """Recordings done, megabytes downloaded, and what is being worked on."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[downloaded]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task: TaskID = self._progress.add_task("Looking at the source", total=None, downloaded="")
        self._downloaded_bytes = 0
        self._total_bytes = 0

    def surveyed(self, survey: Survey) -> None:
        self._total_bytes = sum(item.recording.fingerprint.size_bytes for item in survey.to_process)
        self._progress.update(self._task, description="Compressing", total=len(survey.to_process), completed=0)

    def downloading(self, directory: str) -> None:
        self._progress.update(self._task, description=f"Compressing {escape(directory)}")

    def downloaded(self, size_bytes: int) -> None:
        self._downloaded_bytes += size_bytes
        share = f"{megabytes(to_mb(self._downloaded_bytes))} of {megabytes(to_mb(self._total_bytes))} MB"
        self._progress.update(self._task, downloaded=share)

    def finished(self, outcome: Outcome) -> None:
        self._progress.advance(self._task)
        if outcome.status != "success":
            self._progress.console.print(escape(explain_outcome(outcome)[1]))


class LogLines(Closing, Watcher):
    """One line for each recording, with time and level."""

    def surveyed(self, survey: Survey) -> None:
        for line in explain(survey.plan).splitlines():
            log.info(line)

    def finished(self, outcome: Outcome) -> None:
        log.log(*explain_outcome(outcome))
