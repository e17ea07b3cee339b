"""The most recent rows as a Markdown table for the report's metadata in Dagster.

Directory names and reasons come from outside: nothing in them may become markup where the table is shown.
"""

import pandas as pd

from audio_compressor.reporting.formatting import UNKNOWN, duration, megabytes, ratio
from audio_compressor.reporting.lines import table_lines
from audio_compressor.reporting.table import results_of
from audio_compressor.texts import escape_cell

# Of a reason; the CSV file has more of it. The table is kept with every report.
_MOST_CHARACTERS = 300

_HEADINGS = (
    ("Directory", ":--"),
    ("Outcome", ":--"),
    ("Original MB", "--:"),
    ("Compressed MB", "--:"),
    ("Ratio", "--:"),
    ("Duration", "--:"),
    ("Stored", ":--"),
    ("Processed at (UTC)", ":--"),
    ("Reason", ":--"),
)


def markdown_table(frame: pd.DataFrame, limit: int = 50) -> str:
    """The ``limit`` rows that were processed last, the newest first."""
    recent = frame.sort_values("processed_at", ascending=False, kind="stable").head(limit)
    rows = (
        (
            escape_cell(row.directory),
            escape_cell(row.status),
            megabytes(row.original_size_mb),
            megabytes(row.compressed_size_mb),
            ratio(row.compression_ratio),
            duration(row.duration_seconds),
            escape_cell(row.storage_location or UNKNOWN),
            f"{row.processed_at:%Y-%m-%d %H:%M}",
            escape_cell(_shortened(row.reason or "")),
        )
        for row in results_of(recent)
    )
    lines = table_lines(_HEADINGS, rows)
    if len(recent) < len(frame):
        lines.extend(["", f"The latest {len(recent):,} of {len(frame):,} recordings."])
    return "\n".join(lines) + "\n"


def _shortened(reason: str) -> str:
    return reason if len(reason) <= _MOST_CHARACTERS else f"{reason[: _MOST_CHARACTERS - 1]}…"
