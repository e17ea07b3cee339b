"""The report as a table: one row for each directory, kept up to date from results, stored as CSV for analysts."""

import re
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audio_compressor.errors import ManifestError
from audio_compressor.local_files import READABLE_MODE, write_atomically
from audio_compressor.recording import chronological
from audio_compressor.reporting.results import COLUMNS, PRODUCT_COLUMNS, STATUSES, Result

_TEXT_COLUMNS = [name for name, kind in COLUMNS.items() if kind == "string"]
# A spreadsheet takes these for the beginning of a formula, which may run programs; not so behind an apostrophe (OWASP,
# CSV Injection). Names and reasons come from outside.
_FORMULA = re.compile(r"^(?='*[=+\-@\t\n\uff1d\uff0b\uff0d\uff20])")
_HELD_FORMULA = re.compile(r"^'(?='*[=+\-@\t\n\uff1d\uff0b\uff0d\uff20])")


def update(frame: pd.DataFrame | None, results: Iterable[Result]) -> pd.DataFrame:
    """A new table with the results added; ``frame`` is from ``update`` or ``read_csv``, or None to begin with.

    The result with the latest ``processed_at`` gives a row its status and reason; of equal ones the last to arrive.
    A failed or skipped recording keeps the size, duration and storage columns of its last success.
    """
    known = _table([]) if frame is None else frame
    grouped: dict[str, list[Result]] = {}
    for result in sorted((_storable(result) for result in results), key=lambda result: result.processed_at):
        grouped.setdefault(result.directory, []).append(result)
    if not grouped:
        return known.copy()

    # Everything below looks at rows that change, so that a table of 100,000 rows costs as little as its copy.
    changing = known["directory"].isin(grouped)
    for row in results_of(known[changing]):
        grouped[row.directory] = _in_order(row, grouped[row.directory])
    changed = _table([_merged(group) for group in grouped.values()])

    unchanged = known[~changing]
    changed = changed.iloc[_chronological_order(changed["directory"].tolist())]
    directories = unchanged["directory"].tolist()
    positions = [
        bisect_left(directories, chronological(directory), key=chronological) for directory in changed["directory"]
    ]
    if unchanged.empty:
        return changed.reset_index(drop=True)
    place = np.concatenate([np.arange(len(unchanged)) + 0.5, np.asarray(positions, dtype=float)])
    return (
        pd.concat([unchanged, changed], ignore_index=True).iloc[np.argsort(place, kind="stable")].reset_index(drop=True)
    )


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write the table as UTF-8 CSV, whole or not at all; ``read_csv`` gives the same table back. A text that a
    spreadsheet would take for a formula has an apostrophe before it.

    Raises:
        OutOfSpaceError, AccessDeniedError, StorageError: the file could not be written; an earlier one is still there.
    """
    harmless = {name: frame[name].str.replace(_FORMULA, "'", regex=True) for name in _TEXT_COLUMNS}
    written = frame.assign(processed_at=_iso_texts(frame["processed_at"]), **harmless)
    text = written.to_csv(index=False, lineterminator="\n")
    write_atomically(path, text, READABLE_MODE)


def read_csv(path: Path) -> pd.DataFrame | None:
    """The table that ``write_csv`` wrote, or None when there is no such file.

    Raises:
        ManifestError: the file is not such a table.
    """
    try:
        # Figures are read as text and converted by column: the parser's own conversion loses the last digit.
        frame = pd.read_csv(path, dtype="string", keep_default_na=False, na_values=[""], encoding="utf-8")
        for name in _TEXT_COLUMNS:
            frame[name] = frame[name].str.replace(_HELD_FORMULA, "", regex=True)
        frame["processed_at"] = pd.to_datetime(frame["processed_at"], format="ISO8601", utc=True)
        frame = frame[list(COLUMNS)].astype(dict(COLUMNS))
        if frame["directory"].duplicated().any() or not frame["status"].isin(STATUSES).all():
            raise ValueError("a directory twice, or an unknown status")
        if frame[["directory", "processed_at"]].isna().any(axis=None):
            raise ValueError("a row without directory or time")
    except FileNotFoundError:
        return None
    except (KeyError, OSError, OverflowError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ManifestError(f"{path} is not a report: {reason}. Delete it, and the next run writes it anew.") from error
    return frame.iloc[_chronological_order(frame["directory"].tolist())].reset_index(drop=True)


def results_of(frame: pd.DataFrame) -> list[Result]:
    """The rows as results, in the order of the table, with None for what is unknown."""
    columns: dict[str, list[Any]] = {
        name: [None if missing else value for value, missing in zip(frame[name], frame[name].isna(), strict=True)]
        for name in COLUMNS
    }
    columns["processed_at"] = [moment.to_pydatetime() for moment in columns["processed_at"]]
    return [Result(**dict(zip(COLUMNS, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _merged(group: list[Result]) -> Result:
    latest = group[-1]
    if latest.status == "success":
        return latest
    for earlier in reversed(group):
        if earlier.status == "success" or _has_product(earlier):
            return replace(latest, **{name: getattr(earlier, name) for name in PRODUCT_COLUMNS})
    return latest


def _in_order(row: Result, newer: list[Result]) -> list[Result]:
    """The row among the results for its directory: before the first that is not older."""
    index = bisect_left([result.processed_at for result in newer], row.processed_at)
    return [*newer[:index], row, *newer[index:]]


def _has_product(result: Result) -> bool:
    """Whether a failed or skipped row still describes the file of an earlier success."""
    return result.compressed_size_mb is not None or result.storage_location is not None or result.uri is not None


def _storable(result: Result) -> Result:
    """The same in UTC, with texts that CSV gives back: no NUL, carriage return or lone surrogate, none empty."""
    changes: dict[str, Any] = {"processed_at": result.processed_at.astimezone(UTC)}
    for name in _TEXT_COLUMNS:
        text: str | None = getattr(result, name)
        if text is not None:
            text = text.encode("utf-8", "backslashreplace").decode()
            changes[name] = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\\0") or None
    return replace(result, **changes)


def _table(results: list[Result]) -> pd.DataFrame:
    columns = {name: [getattr(result, name) for result in results] for name in COLUMNS}
    return pd.DataFrame({name: pd.Series(columns[name], dtype=kind) for name, kind in COLUMNS.items()})


def _chronological_order(directories: list[str]) -> list[int]:
    return sorted(range(len(directories)), key=lambda index: chronological(directories[index]))


def _iso_texts(moments: Any) -> Any:
    return np.datetime_as_string(moments.dt.tz_localize(None).to_numpy(), unit="us", timezone="UTC")
