"""`audio-compressor run`: one night, now."""

import signal
import sys
from types import FrameType

from rich.console import Console
from rich.markup import escape

from audio_compressor.cli.environment import (
    EXIT_ALL_FAILED,
    EXIT_SOME_FAILED,
    load_environment,
    log_to_stderr,
    open_instance,
)
from audio_compressor.cli.terminal import console, outcome_table
from audio_compressor.cli.watchers import LogLines, ProgressBar, TerminalWatcher
from audio_compressor.defs.night import Night, run_night
from audio_compressor.settings import Settings


def run() -> int:
    """Process what is outstanding; returns the exit code.

    Raises:
        AudioCompressorError: nothing could be done at all.
        KeyboardInterrupt: interrupted, or terminated.
    """
    settings = load_environment()
    out = console()
    night = watch_night(settings)
    summarise(night, out)
    return exit_code(night)


def watch_night(settings: Settings) -> Night:
    """Run the night with a progress bar on a terminal, with log lines elsewhere."""
    interrupt_on_signals()
    watcher: TerminalWatcher
    if sys.stderr.isatty():
        watcher = ProgressBar(console(stderr=True))
    else:
        log_to_stderr(settings.log_level)
        watcher = LogLines()
    with open_instance() as instance, watcher:
        return run_night(settings, instance, watcher)


def exit_code(night: Night) -> int:
    failed = len(night.failed)
    if not failed:
        return EXIT_SOME_FAILED if night.report_problem else 0
    return EXIT_ALL_FAILED if failed == len(night.outcomes) else EXIT_SOME_FAILED


def summarise(night: Night, out: Console) -> None:
    """The table of this night, and a line for everything that was not processed."""
    plan = night.survey.plan
    if night.outcomes:
        out.print(outcome_table(night.outcomes))
    for adoption in night.survey.adopted:
        out.print(f"Adopted {escape(adoption.recording.directory)}: {escape(adoption.name)} was in storage already.")
    for skip in plan.skips:
        out.print(f"Skipped {escape(skip.directory)}: {escape(skip.reason)}")
    for item in (*plan.waiting, *plan.in_flight):
        out.print(f"Not yet {escape(item.directory)}: {escape(item.reason)}")
    if not night.outcomes:
        out.print(f"Nothing to do: {len(plan.done)} recordings were done before and are skipped.")
    elif plan.done:
        out.print(f"{len(plan.done)} more were done before and are skipped.")
    if night.report_problem:
        out.print(f"The report could not be brought up to date: {escape(night.report_problem)}")


def interrupt_on_signals() -> None:
    """Handle a service manager's stop like Ctrl+C, and Ctrl+C also in the background, where shells ignore it."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
