"""`audio-compressor status`: the totals, what is outstanding, what storage holds, and how much space is left.

With ``--json`` one document for programs; what is not set up is null, and so is what is not known:

    at              when it was looked at (ISO 8601, UTC, as all times here)
    recordings      last_result, done, failed, skipped, duration_hours, original_gb, compressed_gb, saved_gb (GB is
                    1,000,000,000 bytes), outstanding, waiting, in_work
    tracks          known, done
    library         recordings, due, due_saves_bytes, deleted, deleted_bytes, missing
    storage         the figures of reporting/storage_json.py
    orphans         count, first (fifty: collection, kind, name): what has lost its other half, found
                    now and by each storage report since one at least an hour ago
    last_report     when the last `storage_report` was made; null where there is none of the last 90 days
    problems        sentences about what could not be looked at, or does not fit together
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from audio_compressor.cli.environment import EXIT_ALL_FAILED, load_environment, open_instance
from audio_compressor.cli.terminal import console
from audio_compressor.defs.night import look
from audio_compressor.defs.report_history import bring_up_to_date
from audio_compressor.defs.storage_look import StorageState, look_at_everything
from audio_compressor.defs.track_totals import TrackTotals, track_totals
from audio_compressor.errors import AudioCompressorError
from audio_compressor.intake.explain import explain
from audio_compressor.intake.plan import Plan
from audio_compressor.reporting import formatting
from audio_compressor.reporting.storage import Figures, figures, figures_by
from audio_compressor.reporting.storage_disks import Disk
from audio_compressor.reporting.storage_growth import Forecast
from audio_compressor.reporting.storage_json import storage_json
from audio_compressor.reporting.storage_look import LibraryState
from audio_compressor.reporting.storage_markdown import MOST_ORPHANS
from audio_compressor.reporting.totals import Totals, totals
from audio_compressor.settings import Settings
from audio_compressor.texts import visible

if TYPE_CHECKING:
    import pandas as pd
    from dagster import DagsterInstance

_MOST_PROBLEMS = 5


def show_status(*, as_json: bool) -> int:
    """Whatever is known is shown, also when something cannot be looked at; returns the exit code."""
    settings = load_environment()
    out = console()
    with open_instance() as instance:
        results = bring_up_to_date(instance, Path(settings.output_dir))[0] if settings.sftp_host else None
        sums = None if results is None else totals(results)
        tracks = track_totals(instance) if settings.tracks_bucket else None
        if not as_json:
            _tell(out, [*_recording_lines(sums), *_track_lines(tracks)])
        plan, no_plan_because = _plan(settings, instance)
        if not as_json:
            if plan:
                _tell(out, [explain(plan)])
            if no_plan_because:
                _tell(out, [f"What is outstanding is not known: {no_plan_because}"])
        state = _look(settings, instance, results, no_plan_because)
    if as_json:
        problems = [no_plan_because] if no_plan_because else []
        out.print_json(json.dumps(_document(sums, plan, tracks, state, problems)))
    else:
        _tell(out, _storage_lines(state))
    return EXIT_ALL_FAILED if no_plan_because or state.look.unseen else 0


def _plan(settings: Settings, instance: "DagsterInstance") -> tuple[Plan | None, str | None]:
    """What is outstanding, or why that is not known."""
    if not settings.sftp_host:
        return None, None
    try:
        return look(settings, instance), None
    except AudioCompressorError as error:
        return None, str(error)


def _look(
    settings: Settings, instance: "DagsterInstance", results: "pd.DataFrame | None", source_problem: str | None
) -> StorageState:
    """A server that has just refused us is not asked again for its results: it may lock the account."""
    is_same_server = settings.storage_backend == "sftp"
    return look_at_everything(settings, instance, results, source_problem if is_same_server else None)


def _document(
    sums: Totals | None, plan: Plan | None, tracks: TrackTotals | None, state: StorageState, problems: list[str]
) -> dict[str, Any]:
    confirmed, last_at = state.judged.confirmed, state.reports.last_at
    return {
        "at": state.look.at.isoformat(),
        "recordings": _recordings(sums, plan) if sums else None,
        "tracks": asdict(tracks) if tracks else None,
        "library": asdict(state.look.library) if state.look.library else None,
        "storage": storage_json(state.look, state.disks),
        "orphans": {"count": len(confirmed), "first": [asdict(orphan) for orphan in confirmed[:MOST_ORPHANS]]},
        "last_report": last_at.isoformat() if last_at else None,
        "problems": [visible(problem) for problem in (*problems, *state.look.problems)],
    }


def _recordings(sums: Totals, plan: Plan | None) -> dict[str, Any]:
    return {
        "last_result": sums.last_run.isoformat() if sums.last_run else None,
        "done": sums.total_processed,
        "failed": sums.total_failed,
        "skipped": sums.total_skipped,
        "duration_hours": sums.total_duration_hours,
        "original_gb": sums.total_original_gb,
        "compressed_gb": sums.total_compressed_gb,
        "saved_gb": sums.total_space_saved_gb,
        "outstanding": len(plan.outstanding) if plan else None,
        "waiting": len(plan.waiting) if plan else None,
        "in_work": len(plan.in_flight) if plan else None,
    }


def _recording_lines(sums: Totals | None) -> Iterator[str]:
    if sums is None:
        return
    last_run = f"{sums.last_run:%Y-%m-%d %H:%M:%S} UTC" if sums.last_run else "never"
    yield f"Last result: {last_run}"
    yield f"Recordings: {sums.total_processed} done, {sums.total_failed} failed, {sums.total_skipped} skipped"
    yield (
        f"Audio: {sums.total_duration_hours:,.1f} hours, "
        f"{formatting.gigabytes(sums.total_original_gb)} GB compressed to "
        f"{formatting.gigabytes(sums.total_compressed_gb)} GB, "
        f"{formatting.gigabytes(sums.total_space_saved_gb)} GB saved"
    )


def _track_lines(tracks: TrackTotals | None) -> Iterator[str]:
    if tracks:
        yield f"Tracks: {tracks.known} known, {tracks.done} done"


def _storage_lines(state: StorageState) -> Iterator[str]:
    table = state.look.table
    by_collection = figures_by(table, "collection")
    if state.look.library:
        yield from _library_lines(state.look.library, by_collection.get("library") or figures(table.iloc[:0]))
    if results := by_collection.get("results"):
        yield f"Results: {results.files:,} files, {_gb(results.total_bytes)} GB"
    if staged := by_collection.get("staged"):
        yield f"Audio kept for processing: {staged.files:,} files, {_gb(staged.total_bytes)} GB"
    yield from (_disk_line(disk, forecast) for disk, forecast in state.disks)
    if orphans := len(state.judged.confirmed):
        yield f"Without their other half: {orphans:,} files or records; the asset storage_report lists them"
    problems = state.look.problems
    yield from (f"Problem: {visible(problem)}" for problem in problems[:_MOST_PROBLEMS])
    if len(problems) > _MOST_PROBLEMS:
        yield f"Problem: {len(problems) - _MOST_PROBLEMS:,} more; --json lists them"


def _library_lines(library: LibraryState, sums: Figures) -> Iterator[str]:
    yield (
        f"Library: {library.recordings:,} recordings, {_gb(sums.original_bytes)} GB as recorded, "
        f"{_gb(sums.total_bytes)} GB now, {_gb(sums.saved_bytes)} GB saved"
    )
    if library.due is not None and library.due_saves_bytes is not None:
        saves = f", which would save {_gb(library.due_saves_bytes)} GB" if library.due else ""
        yield f"Due in the library: {library.due:,} recordings{saves}"


def _disk_line(disk: Disk, forecast: Forecast) -> str:
    low = "LOW: " if disk.space.is_low or not disk.space.is_enough else ""
    return f"Disk of {disk.path} ({', '.join(disk.holds)}): {low}{disk.space.sentence}; {forecast.sentence}"


def _gb(size_bytes: int) -> str:
    return formatting.gigabytes(formatting.to_mb(size_bytes) / formatting.MB_PER_GB)


def _tell(out: Console, lines: "Iterator[str] | list[str]") -> None:
    for line in lines:
        out.print(escape(line), soft_wrap=True)
