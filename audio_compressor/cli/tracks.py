"""`audio-compressor tracks`: make the renditions of uploaded tracks, now."""

import logging
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from audio_compressor.cli.environment import (
    EXIT_ALL_FAILED,
    EXIT_SOME_FAILED,
    load_track_environment,
    open_instance,
)
from audio_compressor.cli.terminal import console
from audio_compressor.cli.watchers import WithBar, choose_watcher
from audio_compressor.closing import Closing
from audio_compressor.defs.track_intake import TrackSurvey
from audio_compressor.defs.track_night import TrackNight, TrackWatcher, run_tracks
from audio_compressor.reporting import formatting
from audio_compressor.settings import Settings
from audio_compressor.streaming.explain import explain_track
from audio_compressor.streaming.model import TrackOutcome
from audio_compressor.streaming.plan import explain_plan
from audio_compressor.streaming.summary import TrackSummary
from audio_compressor.texts import visible

log = logging.getLogger(__name__)

_COLOURS = {"success": "green", "failed": "red", "skipped": "yellow"}


def make(names: Sequence[str] | None) -> int:
    """Make the tracks of these names, or everything that waits (None); returns the exit code.

    Raises:
        AudioCompressorError: nothing could be done at all.
        KeyboardInterrupt: interrupted, or terminated.
    """
    return make_with(load_track_environment(), names)


def make_with(settings: Settings, names: Sequence[str] | None) -> int:
    """As `make`, with these settings."""
    out = console()
    watcher = choose_watcher(_Bar, _Lines, settings.log_level)
    with open_instance() as instance, watcher:
        night = run_tracks(settings, instance, watcher, names)
    _summarise(night, out)
    return _exit_code(night, were_named=names is not None)


def _exit_code(night: TrackNight, *, were_named: bool) -> int:
    plan = night.survey.plan
    bad = sum(track.status == "failed" for track in night.tracks) + len(plan.refused)
    skipped = sum(track.status == "skipped" for track in night.tracks) + len(plan.in_flight)
    if not bad:
        return EXIT_SOME_FAILED if skipped and were_named else 0
    nothing_is_done = bad == len(night.tracks) + len(plan.refused) and not plan.done
    return EXIT_ALL_FAILED if nothing_is_done else EXIT_SOME_FAILED


def _summarise(night: TrackNight, out: Console) -> None:
    plan = night.survey.plan
    if night.tracks:
        out.print(_table(night.tracks))
        # Not the table's caption, which would be broken where the table is narrow.
        out.print("MB is 1,000,000 bytes. Out: all that is published; loudness and true peak of the M4A.")
    for track in night.tracks:
        if track.level > logging.INFO:
            out.print(escape(track.line), soft_wrap=True)
    for refused in plan.refused:
        out.print(f"{escape(refused.file_name)}: refused: {escape(refused.reason)}", soft_wrap=True)
    for key in plan.in_flight:
        out.print(f"{escape(key)}: not yet: another run works on it")
    if plan.done:
        out.print(f"Done before, and skipped: {plan.done}.")
    elif not night.tracks and not plan.refused and not plan.in_flight:
        out.print("Nothing to do: no track waits.")


def _table(tracks: Sequence[TrackSummary]) -> Table:
    """One line for each track. Loudness is integrated, in LUFS, before and after; MB is 1,000,000 bytes."""
    table = Table()
    table.add_column("track", no_wrap=True)
    for name in ("MB", "out MB", "length", "LUFS", "out LUFS", "dBTP"):
        table.add_column(name, justify="right")
    table.add_column("mode")
    table.add_column("outcome", no_wrap=True)
    for track in sorted(tracks, key=lambda each: each.key):
        table.add_row(
            escape(visible(track.key)),
            _mb(track.uploaded_bytes),
            _mb(track.published_bytes),
            "" if track.duration_seconds is None else formatting.duration(track.duration_seconds),
            _figure(track.input_lufs),
            _figure(track.output_lufs),
            _figure(track.output_true_peak_dbtp),
            "was there" if track.was_there else escape(track.mode or ""),
            f"[{_COLOURS[track.status]}]{track.status}[/]",
        )
    return table


def _mb(size_bytes: int | None) -> str:
    return "" if size_bytes is None else formatting.megabytes(formatting.to_mb(size_bytes))


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


class _Lines(Closing, TrackWatcher):
    """One line for each track, with time and level."""

    def surveyed(self, survey: TrackSurvey) -> None:
        for line in explain_plan(survey.plan).splitlines():
            log.info(line)

    def finished(self, outcome: TrackOutcome) -> None:
        log.log(*explain_track(outcome))


class _Bar(WithBar, TrackWatcher):
    """Tracks done, and what is being worked on."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}"),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=console, transient=True)
        self._all: TaskID = self._progress.add_task("Looking at what waits", total=None, done="")
        self._tasks: dict[str, TaskID] = {}
        self._finished = 0
        self._waiting = 0

    def surveyed(self, survey: TrackSurvey) -> None:
        self._waiting = len(survey.plan.waiting)
        self._progress.update(
            self._all, description="Tracks", total=self._waiting, completed=0, done=f"0/{self._waiting}"
        )

    def downloading(self, key: str, size_bytes: int) -> None:
        self._tasks[key] = self._progress.add_task(f"  downloading {escape(key)}", total=size_bytes or None, done="")

    def downloaded(self, key: str, size_bytes: int) -> None:
        self._progress.advance(self._tasks[key], size_bytes)

    def encoding(self, key: str, fraction: float) -> None:
        task = self._tasks[key]
        self._progress.update(task, description=f"  encoding {escape(key)}", total=1.0, completed=fraction)

    def publishing(self, key: str, size_bytes: int) -> None:
        self._progress.update(self._tasks[key], description=f"  publishing {escape(key)}", total=None)
        self._progress.advance(self._tasks[key], size_bytes)

    def finished(self, outcome: TrackOutcome) -> None:
        self._finished += 1
        if task := self._tasks.pop(outcome.key, None):
            self._progress.remove_task(task)
        self._progress.update(self._all, completed=self._finished, done=f"{self._finished}/{self._waiting}")
        if outcome.status != "success":
            self._progress.console.print(escape(explain_track(outcome)[1]))
