"""`audio-compressor run`: one night, now."""

from rich.console import Console
from rich.markup import escape

from audio_compressor.batch.explain import explain
from audio_compressor.cli.environment import (
    EXIT_ALL_FAILED,
    EXIT_SOME_FAILED,
    load_recording_environment,
    open_instance,
)
from audio_compressor.cli.terminal import console, outcome_table
from audio_compressor.cli.watchers import LogLines, ProgressBar, choose_watcher
from audio_compressor.defs.night import Night, run_night
from audio_compressor.intake.plan import Plan
from audio_compressor.settings import Settings


def run() -> int:
    """Process what is outstanding; returns the exit code.

    Raises:
        AudioCompressorError: nothing could be done at all.
        KeyboardInterrupt: interrupted, or terminated.
    """
    settings = load_recording_environment()
    out = console()
    night = watch_night(settings)
    summarise(night, out)
    return exit_code(night)


def watch_night(settings: Settings) -> Night:
    """Run the night with a progress bar on a terminal, with log lines elsewhere."""
    watcher = choose_watcher(ProgressBar, LogLines, settings.log_level)
    with open_instance() as instance, watcher:
        return run_night(settings, instance, watcher)


def exit_code(night: Night) -> int:
    failed = len(night.failed)
    if not failed:
        return EXIT_SOME_FAILED if night.report_problem else 0
    nothing_is_done = failed == len(night.outcomes) and not night.survey.plan.done
    return EXIT_ALL_FAILED if nothing_is_done else EXIT_SOME_FAILED


def summarise(night: Night, out: Console) -> None:
    """The table of this night, and a line for everything that did not succeed or was not processed."""
    plan = night.survey.plan
    if night.outcomes:
        out.print(outcome_table(night.outcomes))
    for outcome in night.outcomes:
        if outcome.status != "success":
            out.print(escape(explain(outcome)[1]), soft_wrap=True)
    for adoption in night.survey.adopted:
        out.print(f"{escape(adoption.recording.directory)}: adopted, {escape(adoption.name)} was in storage already.")
    for skip in plan.skips:
        out.print(f"{escape(skip.directory)}: skipped: {escape(skip.reason)}", soft_wrap=True)
    for item in (*plan.waiting, *plan.in_flight):
        out.print(f"{escape(item.directory)}: not yet: {escape(item.reason)}", soft_wrap=True)
    if plan.done and night.outcomes:
        out.print(f"{len(plan.done)} more were done before and are skipped.")
    elif not night.outcomes:
        out.print(_nothing_to_do(plan, len(night.survey.adopted)))
    if night.report_problem:
        out.print(f"The report could not be brought up to date: {escape(night.report_problem)}", soft_wrap=True)


def _nothing_to_do(plan: Plan, adopted: int) -> str:
    sentences = [f"{len(plan.done)} recordings were done before and are skipped"] if plan.done else []
    if adopted:
        sentences.append(f"{adopted} were adopted")
    if plan.waiting:
        sentences.append(f"{len(plan.waiting)} have not settled yet; run this again in a minute")
    if plan.in_flight:
        sentences.append(f"another run works on {len(plan.in_flight)}")
    if plan.skips:
        sentences.append(f"{len(plan.skips)} are skipped")
    return f"Nothing to do: {'; '.join(sentences) or 'there are no recordings'}."
