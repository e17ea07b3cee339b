"""Between the old manifest and the event log."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dagster import DagsterInstance

from audio_compressor.defs.events import import_materialized
from audio_compressor.defs.history import event_log_position, read_history
from audio_compressor.defs.partitions import RECORDINGS
from audio_compressor.defs.report_history import last_cursor, read_news
from audio_compressor.recording import chronological
from audio_compressor.reporting.results import Result

if TYPE_CHECKING:
    import pandas as pd


def record_manifest(instance: DagsterInstance, results: Sequence[Result], on_entry: Callable[[], None]) -> int:
    """Record what the history has no outcome for; returns how many. Doing it twice records nothing twice."""
    history = read_history(instance)
    known = history.successes.keys() | history.failures.keys() | history.skips.keys()
    unknown = [result for result in results if result.directory not in known]
    keys = {result.directory for result in unknown} - set(history.known)
    instance.add_dynamic_partitions(str(RECORDINGS.name), sorted(keys, key=chronological))
    position = event_log_position(instance)
    for result in results:
        if result.directory not in known:
            instance.report_runless_asset_event(import_materialized(result, position))
        on_entry()
    return len(unknown)


def current_report(instance: DagsterInstance, output_dir: Path) -> "pd.DataFrame":
    """The report as it would be if it were made now; nothing is written."""
    from audio_compressor.reporting.files import read_report
    from audio_compressor.reporting.table import update

    report = read_report(output_dir)
    cursor = last_cursor(instance) if report is not None else 0
    return update(report, read_news(instance, cursor).results)
