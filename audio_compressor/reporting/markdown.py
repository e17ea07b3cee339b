"""The most recent rows as a Markdown table for the report's metadata in Dagster.

Directory names and reasons come from outside: nothing in them may become markup where the table is shown.
"""

import re
import unicodedata
from collections.abc import Iterable

import pandas as pd

from audio_compressor.reporting.formatting import UNKNOWN, duration, megabytes, ratio
from audio_compressor.reporting.table import results_of

# What CommonMark and its GitHub extension give a meaning to inside a line; a backslash takes it away (CommonMark 0.31,
# section 2.4). Angle brackets and ampersands become entities, for renderers that pass HTML through.
_MARKUP = re.compile(r"([\\`*_\[\]|~^$])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

# GitHub's extension links bare addresses even when they are escaped; an invisible word joiner inside prevents it.
_BARE_ADDRESS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?=@)", re.IGNORECASE)
_WORD_JOINER = "\u2060"

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
    lines = [
        _line(heading for heading, _ in _HEADINGS),
        _line(alignment for _, alignment in _HEADINGS),
    ]
    lines.extend(
        _line(
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
        )
        for row in results_of(recent)
    )
    if len(recent) < len(frame):
        lines.extend(["", f"The latest {len(recent):,} of {len(frame):,} recordings."])
    return "\n".join(lines) + "\n"


def escape_cell(text: str) -> str:
    """The text on one line, shown as it is in a cell of a Markdown table; nothing of it is rendered."""
    visible = "".join(" " if unicodedata.category(character) in _BLANKED else character for character in text)
    line = _BARE_ADDRESS.sub(_WORD_JOINER, " ".join(visible.split()))
    return "".join(_ENTITIES.get(character, character) for character in _MARKUP.sub(r"\\\1", line))


def _shortened(reason: str) -> str:
    return reason if len(reason) <= _MOST_CHARACTERS else f"{reason[: _MOST_CHARACTERS - 1]}…"


# Control characters, direction overrides and other invisible ones, lone surrogates, line and paragraph separators.
_BLANKED = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
