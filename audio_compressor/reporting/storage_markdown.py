"""The storage report's tables, as Dagster shows them. MB is 1,000,000 bytes.

Tiers and names come from outside: nothing in them may become markup.
"""

from collections.abc import Iterable, Mapping, Sequence

from audio_compressor.archive.orphans import Orphan
from audio_compressor.reporting.formatting import UNKNOWN, megabytes, ratio, to_mb
from audio_compressor.reporting.storage import Figures
from audio_compressor.reporting.storage_disks import Disk
from audio_compressor.reporting.storage_growth import Forecast
from audio_compressor.texts import escape_cell

MOST_ORPHANS = 50
_MOST_MONTHS = 36


def figures_markdown(heading: str, by_name: Mapping[str, Figures], total: Figures) -> str:
    """One line for each, and for all."""
    rows = [_figures_row(name, figures) for name, figures in by_name.items()]
    if len(rows) > 1:
        rows.append(_figures_row("all", total))
    headings = (heading, "Files", "Original MB", "Now MB", "Saved MB", "Ratio")
    return _table(headings, rows, words=1)


def months_markdown(by_month: Mapping[str, Figures], total: Figures) -> str:
    """The newest first, and of many only the newest."""
    newest = dict(sorted(by_month.items(), reverse=True)[:_MOST_MONTHS])
    told = figures_markdown("Month", newest, total)
    return f"{told}\nThe latest {len(newest)} of {len(by_month)} months.\n" if len(newest) < len(by_month) else told


def disks_markdown(disks: Sequence[tuple[Disk, Forecast]]) -> str:
    """Free space as space.py judges it, and when the disk is full."""
    rows = [
        (
            escape_cell(str(disk.path)),
            escape_cell(", ".join(disk.holds)),
            UNKNOWN if disk.capacity_bytes is None else megabytes(to_mb(disk.capacity_bytes)),
            escape_cell(disk.space.sentence),
            escape_cell(forecast.sentence),
        )
        for disk, forecast in disks
    ]
    return _table(("Directory", "Holds", "Capacity MB", "Space", "Forecast"), rows, words=5)


def orphans_markdown(confirmed: Sequence[Orphan]) -> str:
    """The first of them."""
    if not confirmed:
        return "Every file has a record, and every record its file.\n"
    told = confirmed[:MOST_ORPHANS]
    rows = [(escape_cell(each.collection), escape_cell(each.kind), escape_cell(each.name)) for each in told]
    table = _table(("Collection", "What", "Name"), rows, words=3)
    return f"{table}\nThe first {len(told)} of {len(confirmed):,}.\n" if len(told) < len(confirmed) else table


def _figures_row(name: str, figures: Figures) -> tuple[str, ...]:
    return (
        escape_cell(name),
        f"{figures.files:,}",
        megabytes(to_mb(figures.original_bytes)),
        megabytes(to_mb(figures.total_bytes)),
        megabytes(to_mb(figures.saved_bytes)),
        ratio(figures.ratio),
    )


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]], words: int) -> str:
    """The first ``words`` columns are texts, the others numbers."""
    alignments = [":--" if index < words else "--:" for index in range(len(headings))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (headings, alignments, *rows))
