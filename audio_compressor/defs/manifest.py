"""Between the old manifest and the event log."""

from collections.abc import Callable, Sequence

from dagster import DagsterInstance

from audio_compressor.defs.events import import_materialized
from audio_compressor.defs.history import event_log_position, read_history
from audio_compressor.defs.requests import add_partitions
from audio_compressor.recording import chronological
from audio_compressor.reporting.results import Result


def record_manifest(instance: DagsterInstance, results: Sequence[Result], on_entry: Callable[[], None]) -> int:
    """Record what the history has no outcome for; returns how many. Doing it twice records nothing twice."""
    history = read_history(instance)
    known = history.successes.keys() | history.failures.keys() | history.skips.keys()
    unknown = [result for result in results if result.directory not in known]
    keys = {result.directory for result in unknown} - set(history.known)
    if keys:
        add_partitions(instance, sorted(keys, key=chronological))
    position = event_log_position(instance)
    for result in results:
        if result.directory not in known:
            instance.report_runless_asset_event(import_materialized(result, position))
        on_entry()
    return len(unknown)
