"""Where the commands write: tables and progress fit for a terminal, plain lines where there is none."""

import os
import sys
from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from audio_compressor.batch.model import Outcome
from audio_compressor.recording import chronological
from audio_compressor.reporting import formatting

# Wide enough for a table in a log file; rich would cut it at 80 columns.
_PIPE_WIDTH = 160


# 128 and the number of SIGPIPE, as shells tell it. Rich's own code is 1, which says that something failed.
_EXIT_BROKEN_PIPE = 141


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Whoever reads has seen enough."""
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), self.file.fileno())  # and for what is still to be flushed
        try:
            super().on_broken_pipe()
        except SystemExit:
            raise SystemExit(_EXIT_BROKEN_PIPE) from None


def console(*, stderr: bool = False) -> Console:
    """A console on a copy of the stream: Dagster redirects the original into its compute logs during a run."""
    stream = sys.stderr if stderr else sys.stdout
    stream.flush()
    width = None if stream.isatty() else _PIPE_WIDTH
    return _Console(file=os.fdopen(os.dup(stream.fileno()), "w", buffering=1), width=width, highlight=False)


def outcome_table(outcomes: Iterable[Outcome]) -> Table:
    """One line for each recording, totals at the end. MB is 1,000,000 bytes."""
    outcomes = sorted(outcomes, key=lambda outcome: chronological(outcome.directory))
    sizes = [_sizes(outcome) for outcome in outcomes]
    original_mb = sum(original for original, compressed, _ in sizes if compressed)
    compressed_mb = sum(compressed for _, compressed, _ in sizes)
    table = Table(show_footer=len(outcomes) > 1, caption="MB is 1,000,000 bytes.", caption_justify="left")
    done = sum(outcome.status == "success" for outcome in outcomes)
    table.add_column("directory", footer="total", no_wrap=True)
    table.add_column("original MB", justify="right", footer=formatting.megabytes(original_mb))
    table.add_column("compressed MB", justify="right", footer=formatting.megabytes(compressed_mb))
    total_ratio = original_mb / compressed_mb if compressed_mb else None
    table.add_column("ratio", justify="right", footer=formatting.ratio(total_ratio))
    total_seconds = sum(seconds for _, _, seconds in sizes)
    table.add_column("duration", justify="right", footer=formatting.duration(total_seconds))
    table.add_column("stored")
    table.add_column("outcome", footer=f"{done} of {len(outcomes)}", no_wrap=True)
    for outcome, (original, compressed, seconds) in zip(outcomes, sizes, strict=True):
        table.add_row(
            escape(outcome.directory),
            formatting.megabytes(original or None),
            formatting.megabytes(compressed or None),
            formatting.ratio(original / compressed if compressed else None),
            formatting.duration(seconds or None),
            outcome.compressed.stored.location if outcome.compressed else "",
            _outcome(outcome),
        )
    return table


def _sizes(outcome: Outcome) -> tuple[float, float, float]:
    original = formatting.to_mb(outcome.fingerprint.size_bytes) if outcome.fingerprint else 0.0
    if not outcome.compressed:
        return original, 0.0, 0.0
    compression = outcome.compressed.compression
    return original, formatting.to_mb(compression.size_bytes), compression.duration_seconds


def _outcome(outcome: Outcome) -> str:
    colour = {"success": "green", "failed": "red", "skipped": "yellow"}[outcome.status]
    return f"[{colour}]{outcome.status}[/]"
