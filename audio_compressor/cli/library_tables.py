"""Tables of the library for people: a plan, outcomes, holds and the trash. MB is 1,000,000 bytes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from audio_compressor.archive.explain import TierTotal
from audio_compressor.archive.model import Hold
from audio_compressor.archive.outcome import Outcome
from audio_compressor.archive.plan import Decision
from audio_compressor.archive.trash import TrashEntry
from audio_compressor.reporting import formatting
from audio_compressor.reporting.formatting import to_mb
from audio_compressor.texts import visible

# What of a long library is not worth a line for each recording.
SUMMED_UP = frozenset({"kept", "done", "held", "refused"})
# Columns that a name has on a narrow terminal; the other texts are folded more.
_LEAST_NAME = 24
_COLOURS = {"success": "green", "failed": "red", "refused": "yellow", "skipped": "yellow"}


def print_table(out: Console, table: Table) -> None:
    """In a pipe each row is one whole line, however long; on a terminal it fits."""
    if not out.is_terminal:
        out.width = max(out.width, Measurement.get(out, out.options.update(max_width=1_000_000), table).maximum)
    out.print(table)


def plan_table(decisions: Iterable[Decision]) -> Table:
    """One line for each recording."""
    table = _table(("recording", "action", "tier"), ("days", "MB", "expected MB", "saved MB"))
    table.add_column("reason", overflow="fold")
    for decision in decisions:
        table.add_row(
            _text(decision.file.key),
            _text(str(decision.action) if decision.verdict == "due" else decision.verdict),
            _text(str(decision.tier) if decision.tier else ""),
            f"{decision.age_days:,.1f}",
            *_sizes(decision.file.size_bytes, decision.expected_bytes, decision.saved_bytes),
            _text(_why(decision)),
        )
    return table


def _why(decision: Decision) -> str:
    """Without what other columns say."""
    return decision.reason.removeprefix(f"{decision.tier}: ") if decision.tier else decision.reason


def summed_up_table(decisions: Iterable[Decision]) -> Table:
    """What nothing is done with, by reason."""
    groups: dict[tuple[str, str], list[Decision]] = {}
    for decision in decisions:
        groups.setdefault((decision.verdict, _group(decision)), []).append(decision)
    table = _table(("", "why"), ("recordings", "MB"))
    for (verdict, why), found in sorted(groups.items()):
        size_bytes = sum(decision.file.size_bytes for decision in found)
        table.add_row(_text(verdict), _text(why), f"{len(found):,}", *_sizes(size_bytes))
    return table


def _group(decision: Decision) -> str:
    """The part of a reason that many recordings have in common."""
    if decision.verdict in {"done", "held"}:
        return decision.reason
    tier = str(decision.tier) if decision.tier else "no tier is for it yet"
    return f"{tier}, which came to nothing before" if decision.verdict == "refused" else tier


def tier_table(totals: Sequence[TierTotal], total: TierTotal) -> Table:
    figures = ("recordings", "due", "MB", "expected MB", "saved MB")
    table = _table(("tier",), figures, footer=("total", *_total_cells(total)))
    for each in totals:
        table.add_row(_text(each.tier or "none, or not yet"), *_total_cells(each))
    return table


def _total_cells(total: TierTotal) -> tuple[str, ...]:
    sizes = _sizes(total.size_bytes, total.expected_bytes, total.saved_bytes)
    return f"{total.files:,}", f"{total.due:,}", *sizes


def outcome_table(outcomes: Sequence[Outcome]) -> Table:
    """One line for each recording that was due."""
    before_bytes, after_bytes = sum(each.before_bytes for each in outcomes), sum(each.after_bytes for each in outcomes)
    done = sum(each.status == "success" for each in outcomes)
    sizes = _sizes(before_bytes, after_bytes, before_bytes - after_bytes)
    figures = ("MB before", "MB after", "saved MB")
    table = _table(("recording", "action"), figures, footer=("total", "", *sizes))
    table.add_column("outcome", footer=f"{done} of {len(outcomes)}", no_wrap=True)
    for outcome in sorted(outcomes, key=lambda each: each.key):
        table.add_row(
            _text(outcome.key),
            _text(str(outcome.action)),
            *_sizes(outcome.before_bytes, outcome.after_bytes, outcome.saved_bytes),
            f"[{_COLOURS[outcome.status]}]{outcome.status}[/]",
        )
    return table


def trash_table(entries: Sequence[TrashEntry], stays: timedelta) -> Table:
    """What lies in the trash, and until when."""
    table = _table(("file", "recording", ""), ("MB",))
    for heading in ("removed", "stays until", "reason"):
        table.add_column(heading)
    for entry in entries:
        table.add_row(
            _text(entry.path),
            _text(entry.key),
            "original" if entry.is_original else "copy",
            *_sizes(entry.size_bytes),
            _time(entry.removed_at),
            _time(entry.removed_at + stays),
            _text(entry.reason),
        )
    return table


def hold_table(holds: Sequence[Hold], matched: Mapping[str, int]) -> Table:
    """``matched`` is how many recordings each hold is about at present, by its id."""
    table = _table(("id", "what"), ("recordings",))
    for heading in ("since", "reason"):
        table.add_column(heading)
    for hold in holds:
        count = f"{matched[hold.id]:,}"
        table.add_row(hold.id, _text(str(hold.matcher)), count, _time(hold.placed_at), _text(hold.reason))
    return table


def _table(texts: Sequence[str], figures: Sequence[str], footer: Sequence[str] = ()) -> Table:
    """Columns of texts, then of figures; names are never cut."""
    table = Table(show_footer=bool(footer))
    for number, heading in enumerate((*texts, *figures)):
        is_figure = number >= len(texts)
        table.add_column(
            heading,
            justify="right" if is_figure else "left",
            no_wrap=is_figure,
            min_width=_LEAST_NAME if heading in {"recording", "file"} else None,
            overflow="fold",
            footer=footer[number] if number < len(footer) else "",
        )
    return table


def _sizes(*sizes_bytes: int) -> tuple[str, ...]:
    return tuple(formatting.megabytes(to_mb(size)) for size in sizes_bytes)


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _text(text: str) -> str:
    return escape(visible(text))
