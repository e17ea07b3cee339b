"""`audio-compressor archive drill`: see, now, whether recordings come back from cold storage."""

import json
import random
import uuid

from rich.console import Console
from rich.markup import escape

from audio_compressor.archive.drilling import Drilled, Finding
from audio_compressor.archive.restore_drill import Report, Verdict, report_json
from audio_compressor.cli.environment import EXIT_ALL_FAILED, EXIT_SOME_FAILED, open_instance
from audio_compressor.cli.library import load_library_environment
from audio_compressor.cli.terminal import console
from audio_compressor.defs.resources import build_library_resources
from audio_compressor.defs.restore_drill import drill_now, record_drill
from audio_compressor.reporting.formatting import megabytes, to_mb
from audio_compressor.texts import visible

_EXIT_CODES: dict[Verdict, int] = {"intact": 0, "lost": EXIT_SOME_FAILED, "unknown": EXIT_ALL_FAILED}
_COLOURS: dict[Finding, str] = {
    "intact": "green",
    "damaged": "red",
    "missing": "red",
    "thawing": "yellow",
    "unknown": "yellow",
}


def drill_library(size: int | None, *, as_json: bool) -> int:
    """Drill so many recordings, or DRILL_SIZE (None), print what came of each, record it in Dagster; returns the exit
    code.

    Raises:
        AudioCompressorError: no drill could be held.
        HistoryError: it was held and printed, but could not be recorded.
    """
    settings, out = load_library_environment(), console()
    resources = build_library_resources(settings)
    run_id = f"drill-{uuid.uuid4()}"
    size = settings.drill_size if size is None else size

    def tell(drilled: Drilled) -> None:
        if not as_json:
            _tell(drilled, out)

    with open_instance() as instance:
        report = drill_now(instance, resources, size, random.Random(run_id), run_id, tell)  # noqa: S311
        if as_json:
            out.out(json.dumps(report_json(report), indent=2))
        else:
            _sum_up(report, out)
        record_drill(instance, report)
    return exit_code(report)


def exit_code(report: Report) -> int:
    return _EXIT_CODES[report.verdict]


def _tell(drilled: Drilled, out: Console) -> None:
    finding = f"[{_COLOURS[drilled.finding]}]{drilled.finding}[/]"
    name, size = escape(visible(drilled.key)), megabytes(to_mb(drilled.size_bytes))
    out.print(f"{name} ({size} MB): {finding}: {escape(visible(drilled.reason))}", soft_wrap=True)


def _sum_up(report: Report, out: Console) -> None:
    for key in report.lost_before:
        out.print(f"{escape(visible(key))}: [red]lost[/] at an earlier drill", soft_wrap=True)
    for key, reason in report.unreadable.items():
        out.print(f"{escape(visible(key))}: [yellow]unknown[/]: {escape(visible(reason))}", soft_wrap=True)
    sentence = report.sentence
    out.print(escape(f"{sentence[:1].upper()}{sentence[1:]}. MB is 1,000,000 bytes."), soft_wrap=True)
