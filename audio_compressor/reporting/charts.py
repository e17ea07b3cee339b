"""The report's picture: what came in, what was kept, and what that has saved so far."""

import atexit
import io
import os
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from audio_compressor.imports import large_imports
from audio_compressor.recording import recorded_on
from audio_compressor.reporting.formatting import MB_PER_GB, gigabytes, ratio
from audio_compressor.reporting.totals import compressed, totals

_SIZE_INCHES, _DPI = (8.0, 4.5), 100
_ORIGINAL, _COMPRESSED, _SAVED, _QUIET = "#b3c0ce", "#1f5fa8", "#2c7f4f", "#5b6470"

# One bar for each period; in 700 pixels a person can tell about 60 bars apart. (name, pandas alias, days)
_PERIODS = (("day", "D", 1.0), ("week", "W", 7.0), ("month", "M", 30.4), ("quarter", "Q", 91.3), ("year", "Y", 365.2))
_MOST_BARS = 60


def size_chart_png(frame: pd.DataFrame) -> bytes:
    """A PNG of 800 × 450 pixels, at most 40 kB: original and compressed size by recording date, and the sum saved.

    Recordings without a date in their name count on the day they were processed.
    """
    _give_matplotlib_a_cache()
    # Imported here and without pyplot: 0.3 s that only the report needs, and no figure is left in a global list.
    with large_imports():
        from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="constrained")
    measured = frame[compressed(frame)]
    if measured.empty:
        axes = figure.add_subplot()
        axes.set_axis_off()
        axes.text(0.5, 0.5, "Nothing compressed yet", ha="center", va="center", fontsize=16, color=_QUIET)
    else:
        _draw(figure, measured)
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()


def _draw(figure: Any, measured: pd.DataFrame) -> None:
    bins, period, period_days = _binned(measured)
    unit, mb_per_unit = ("GB", MB_PER_GB) if bins["original"].max() >= 10 * MB_PER_GB else ("MB", 1)
    sums = totals(measured)
    sizes, saved = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))

    # A day's bars stand on its date, a longer period's between its dates. The compressed one is narrower, so that it is
    # seen to stand in front of the other and not under it.
    half_period = timedelta(days=period_days / 2)
    middles = [day.to_pydatetime() + (timedelta(0) if period == "day" else half_period) for day in bins.index]
    sizes.bar(middles, bins["original"] / mb_per_unit, width=0.85 * period_days, color=_ORIGINAL)
    sizes.bar(middles, bins["compressed"] / mb_per_unit, width=0.45 * period_days, color=_COMPRESSED)
    sizes.set_ylabel(f"{unit} per {period}", color=_QUIET)
    sizes.legend(
        ["original", "compressed"], frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderpad=0
    )
    noun = "recording" if len(measured) == 1 else "recordings"
    _headline(sizes, f"{len(measured):,} {noun}, ratio {ratio(sums.overall_ratio)}", "black")

    edges = [*(middle - half_period for middle in middles), middles[-1] + half_period]
    so_far = (bins["saved"].cumsum() / MB_PER_GB).tolist()
    saved.fill_between(edges, [*so_far, so_far[-1]], step="post", color=_SAVED, alpha=0.2, linewidth=0)
    saved.step(edges, [*so_far, so_far[-1]], where="post", color=_SAVED, linewidth=2)
    saved.set_ylabel("GB in total", color=_QUIET)
    saved.set_ylim(bottom=min(0, *so_far))
    _headline(saved, f"{gigabytes(sums.total_space_saved_gb)} GB saved", _SAVED)

    # One lonely bar would fill the whole width, with hours on its axis.
    padding = timedelta(days=max(period_days, (8 * period_days - (edges[-1] - edges[0]) / timedelta(days=1)) / 2))
    saved.set_xlim(edges[0] - padding, edges[-1] + padding)
    _label_dates(saved)
    for axes in (sizes, saved):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e3e7eb", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(colors=_QUIET, length=3)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")


def _binned(measured: pd.DataFrame) -> tuple[pd.DataFrame, str, float]:
    """Sums in MB for each period that has recordings, by its first day; the period's name and length in days."""
    days = [
        recorded_on(directory) or processed_at.date()
        for directory, processed_at in zip(measured["directory"], measured["processed_at"], strict=True)
    ]
    span_days = (max(days) - min(days)).days + 1
    name, alias, period_days = next((item for item in _PERIODS if span_days <= _MOST_BARS * item[2]), _PERIODS[-1])
    sizes = pd.DataFrame(
        {"original": measured["original_size_mb"].to_numpy(), "compressed": measured["compressed_size_mb"].to_numpy()},
        index=pd.DatetimeIndex(days).to_period(alias).start_time,
    )
    sizes["saved"] = sizes["original"] - sizes["compressed"]
    return sizes.groupby(level=0).sum(), name, period_days


def _label_dates(axes: Any) -> None:
    from matplotlib import dates

    untyped: Any = dates
    # For ticks at years, months, days and smaller ones, which never occur; the first of a year or month, and the year.
    ticks = ["%Y", "%b", "%-d %b", "", "", ""]
    firsts = ["", "%Y", "%-d %b", "", "", ""]
    years = ["", "%Y", "%Y", "", "", ""]
    locator = untyped.AutoDateLocator(minticks=3, maxticks=10)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        untyped.ConciseDateFormatter(locator, formats=ticks, zero_formats=firsts, offset_formats=years)
    )


def _headline(axes: Any, text: str, color: str) -> None:
    axes.set_title(text, loc="left", fontsize=12, fontweight="bold", color=color)


def _give_matplotlib_a_cache() -> None:
    """Point matplotlib to a private directory when it cannot write to the home directory, as in a read-only container.

    It would make one itself, with two warnings in every run's log.
    """
    if os.environ.get("MPLCONFIGDIR"):
        return
    if _can_hold("XDG_CONFIG_HOME", "~/.config") and _can_hold("XDG_CACHE_HOME", "~/.cache"):
        return
    directory = tempfile.mkdtemp(prefix="audio-compressor-matplotlib-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    os.environ["MPLCONFIGDIR"] = directory


def _can_hold(variable: str, default: str) -> bool:
    """Whether matplotlib can make its directory where the XDG variable or its default says."""
    try:
        wanted = Path(os.environ.get(variable) or default).expanduser() / "matplotlib"
        nearest = next(path for path in (wanted, *wanted.parents) if path.exists())
    except (OSError, RuntimeError, StopIteration):  # such as a user id without a home directory
        return False
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
