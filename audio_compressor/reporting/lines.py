"""Markdown tables from texts that are ready to be shown: see `texts.escape_cell`."""

from collections.abc import Iterable, Sequence


def table_lines(headings: Sequence[tuple[str, str]], rows: Iterable[Iterable[str]]) -> list[str]:
    """Each heading comes with its alignment, ``:--`` or ``--:``."""
    heads = (heading for heading, _ in headings)
    alignments = (alignment for _, alignment in headings)
    return [_line(heads), _line(alignments), *(_line(row) for row in rows)]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
