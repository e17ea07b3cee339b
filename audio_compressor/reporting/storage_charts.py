"""The storage report's pictures: what lies there by month, what became of it in each tier, and how it grows.

Drawn as the processing report's are (charts.py): PNG of 800 × 450 pixels. MB is 1,000,000 bytes, GB 1,000 MB.
"""

import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from audio_compressor.imports import large_imports
from audio_compressor.reporting.charts import _give_matplotlib_a_cache, _headline, _label_dates
from audio_compressor.reporting.formatting import gigabytes, ratio
from audio_compressor.reporting.storage import figures, figures_by
from audio_compressor.reporting.storage_disks import Disk
from audio_compressor.reporting.storage_growth import HISTORY, Forecast, Night

_SIZE_INCHES, _DPI = (8.0, 4.5), 100
_ORIGINAL, _NOW, _FREE, _QUIET = "#b3c0ce", "#1f5fa8", "#2c7f4f", "#5b6470"
_STACKED = ("#1f5fa8", "#e08e2b", "#2c7f4f", "#8f5bb0", "#c0504d", "#3fa7a3")
_OTHERS = "#9aa3ab"
_GB = 1e9
_MOST_MONTHS = 60
_MOST_BARS = 10
_MOST_LABEL = 40
_DRAWN = frozenset("…–×")


def month_chart_png(table: pd.DataFrame) -> bytes:
    """What lies there of the recordings of each month, or of many months of each year, in the colours of its tiers."""
    return _picture(lambda figure: _draw_months(figure, table) if len(table) else _draw_nothing(figure))


def tier_chart_png(table: pd.DataFrame) -> bytes:
    """Original size and what it takes now, by tier and by location."""
    return _picture(lambda figure: _draw_tiers(figure, table) if len(table) else _draw_nothing(figure))


def growth_chart_png(nights: Sequence[Night], disk: Disk | None, forecast: Forecast | None) -> bytes:
    """The sums night by night, and what is free on a disk, to the day when it is full."""
    return _picture(lambda figure: _draw_growth(figure, nights, disk, forecast))


def _picture(draw: Callable[[Any], None]) -> bytes:
    _give_matplotlib_a_cache()
    with large_imports():
        from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="constrained")
    draw(figure)
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()


def _draw_nothing(figure: Any) -> None:
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.text(0.5, 0.5, "Nothing stored yet", ha="center", va="center", fontsize=16, color=_QUIET)


def _draw_months(figure: Any, table: pd.DataFrame) -> None:
    tiers = [*figures_by(table, "tier")]
    own = tiers if len(tiers) <= len(_STACKED) else tiers[: len(_STACKED) - 1]
    by_year = table["month"].nunique() > _MOST_MONTHS
    sums = (
        table.assign(
            period=table["month"].str.slice(0, 4) if by_year else table["month"],
            tier=table["tier"].where(table["tier"].isin(own), "others"),
        )
        .groupby(["period", "tier"])["bytes"]
        .sum()
        .unstack(fill_value=0)
    )
    unit, unit_bytes = _unit(int(table["bytes"].sum()))
    axes = figure.add_subplot()
    bottom = [0.0] * len(sums)
    for tier, color in zip([*own, *({"others"} & set(sums.columns))], (*_STACKED, _OTHERS), strict=False):
        heights = (sums[tier] / unit_bytes).tolist()
        axes.bar(range(len(sums)), heights, bottom=bottom, color=color, label=_label(tier))
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    step = max(1, -(-len(sums) // 12))
    axes.set_xticks(range(0, len(sums), step), list(sums.index)[::step])
    axes.set_xlim(-max(1.0, 4 - len(sums) / 2), max(len(sums), 3 + len(sums) / 2))
    axes.set_ylabel(f"{unit} of recordings of the {'year' if by_year else 'month'}", color=_QUIET)
    figure.legend(frameon=False, fontsize=8, ncols=3, loc="outside lower center")
    _headline(axes, f"{gigabytes(figures(table).total_bytes / unit_bytes)} {unit} in {len(table):,} files", "black")
    _tidy(axes, "y")


def _draw_tiers(figure: Any, table: pd.DataFrame) -> None:
    total = figures(table)
    unit, unit_bytes = _unit(max(total.total_bytes, total.original_bytes))
    tiers, locations = figures_by(table, "tier"), figures_by(table, "location")
    shown = [list(found.items())[:_MOST_BARS] for found in (tiers, locations)]
    both = figure.subplots(2, 1, sharex=True, height_ratios=[len(found) + 1 for found in shown])
    for axes, found in zip(both, shown, strict=True):
        places = range(len(found))
        axes.barh(places, [each.original_bytes / unit_bytes for _, each in found], height=0.8, color=_ORIGINAL)
        axes.barh(places, [each.total_bytes / unit_bytes for _, each in found], height=0.4, color=_NOW)
        axes.set_yticks(places, [_label(name) for name, _ in found])
        axes.invert_yaxis()
        _tidy(axes, "x")
    both[0].legend(["original", "now"], frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    saved = f"{gigabytes(total.saved_bytes / unit_bytes)} {unit} saved, ratio {ratio(total.ratio)}"
    _headline(both[0], saved, "black")
    both[1].set_xlabel(unit, color=_QUIET)


def _draw_growth(figure: Any, nights: Sequence[Night], disk: Disk | None, forecast: Forecast | None) -> None:
    sums, free = figure.subplots(2, 1, sharex=True)
    known = [night for night in nights if night.total_bytes is not None and night.original_bytes is not None]
    days = [night.at.astimezone(UTC) for night in known]
    for sizes, color, label in (
        ([night.original_bytes or 0 for night in known], _ORIGINAL, "original"),
        ([night.total_bytes or 0 for night in known], _NOW, "now"),
    ):
        sums.plot(days, [size / _GB for size in sizes], color=color, linewidth=2, marker=".", label=label)
    sums.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    sums.set_ylabel("GB", color=_QUIET)
    sums.set_ylim(bottom=0)
    _headline(sums, "Everything stored", "black")
    name = disk.holds[0] if disk else ""
    points = [(night.at.astimezone(UTC), night.free_bytes[name] / _GB) for night in nights if name in night.free_bytes]
    free.plot([at for at, _ in points], [size for _, size in points], color=_FREE, linewidth=2, marker=".")
    if points and forecast and forecast.bytes_per_day is not None:
        _draw_forecast(free, points[-1], forecast)
    free.set_ylabel("GB free", color=_QUIET)
    free.set_ylim(bottom=0)
    told = f"Disk of {', '.join(disk.holds)}: {forecast.sentence}" if disk and forecast else "No disk"
    free.set_title(told, loc="left", fontsize=9, color=_FREE)
    if points or known:
        _label_dates(free)
    for axes in (sums, free):
        _tidy(axes, "y")


def _draw_forecast(axes: Any, last: tuple[datetime, float], forecast: Forecast) -> None:
    """As far ahead as we look back: a date years away would press the history into one pixel."""
    at, free_gb = last
    end = min(at + HISTORY, forecast.full_at or at + HISTORY)
    days = (end - at).total_seconds() / 86_400
    then_gb = max(0.0, free_gb - (forecast.bytes_per_day or 0.0) * days / _GB)
    axes.plot([at, end], [free_gb, then_gb], color=_FREE, linestyle="--", linewidth=1.5)


def _unit(most_bytes: int) -> tuple[str, float]:
    return ("GB", _GB) if most_bytes >= _GB else ("MB", _GB / 1000)


def _label(text: str) -> str:
    """matplotlib takes what lies between dollar signs for mathematics, hides what starts with an underscore, and warns
    of every character that its font lacks: it has Latin, Greek and Cyrillic.
    """
    shortened = text if len(text) <= _MOST_LABEL else f"{text[: _MOST_LABEL - 1]}…"
    drawn = "".join(character if _is_drawn(character) else "?" for character in shortened)
    return f" {drawn}".replace("$", r"\$") if drawn.startswith("_") else drawn.replace("$", r"\$")


def _is_drawn(character: str) -> bool:
    return character in _DRAWN or (ord(character) < 0x530 and character.isprintable())


def _tidy(axes: Any, grid: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color="#e3e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_QUIET, length=3)
