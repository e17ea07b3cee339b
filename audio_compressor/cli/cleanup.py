"""`audio-compressor cleanup`: delete, now, audio that was kept for processing for long enough."""

import json
import sys
from dataclasses import asdict

from rich.markup import escape
from rich.table import Table

from audio_compressor.cli.environment import EXIT_SOME_FAILED, history_errors, load_environment, open_instance
from audio_compressor.cli.terminal import console
from audio_compressor.defs.cleanup import record_cleanup, space_of
from audio_compressor.defs.resources import build_retention_resource
from audio_compressor.reporting import formatting
from audio_compressor.retention.cleanup import CleanupResult, clean_up


def clean_up_now(*, as_json: bool) -> int:
    """Clean up, print what came out, record it in Dagster; returns the exit code.

    In this order: where the disk is full, the history cannot be written before something is deleted.

    Raises:
        AccessDeniedError, StorageError: the directory cannot be listed.
        HistoryError: it was cleaned up, but that could not be recorded.
    """
    retention = build_retention_resource(load_environment())
    result = clean_up(retention.audio_store(), retention.audio_retention_hours)
    space = space_of(retention)
    if as_json:
        told = {"directory": retention.audio_storage_path, **asdict(result), "space": asdict(space)}
        console().print_json(json.dumps(told))
    else:
        _tell(result, retention.audio_storage_path, space.sentence)
    with open_instance() as instance, history_errors():
        record_cleanup(instance, result, retention)
    return EXIT_SOME_FAILED if result.failed else 0


def _tell(result: CleanupResult, directory: str, space: str) -> None:
    out = console()
    table = Table(caption="MB is 1,000,000 bytes.", caption_justify="left")
    for heading in ("scanned", "deleted", "freed MB", "failed", "kept"):
        table.add_column(heading, justify="right")
    freed = formatting.megabytes(formatting.to_mb(result.freed_bytes))
    table.add_row(f"{result.scanned:,}", f"{result.deleted:,}", freed, f"{result.failed:,}", f"{result.kept:,}")
    out.print(table)
    out.print(escape(f"{directory}: {space}"), soft_wrap=True)
    for line in result.reported:
        out.print(f"[yellow]kept[/] {escape(line)}", soft_wrap=True)
    for line in result.errors:
        print(f"audio-compressor: {line}", file=sys.stderr)
