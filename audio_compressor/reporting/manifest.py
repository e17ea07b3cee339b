"""``manifest.json`` in the form that the pipeline before this one wrote: made from the table, and read back for import.

Its readers fetch it over SFTP, so the form is fixed: names, order and null for what is unknown.
"""

import json
import math
import reprlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from audio_compressor.errors import ManifestError
from audio_compressor.recording import why_unusable
from audio_compressor.reporting.formatting import rounded
from audio_compressor.reporting.results import STATUSES, Result, Status
from audio_compressor.reporting.table import results_of
from audio_compressor.reporting.totals import totals

MANIFEST_NAME = "manifest.json"

# 100,000 entries take 25 MB.
MAX_CHARACTERS = 100_000_000

_ENTRY = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",\n      ", ": "))
_END = "\n}"
_ROWS_AT_ONCE = 5_000

_STORAGE_LOCATIONS = ("local", "sftp", "s3")
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 60


def build_manifest(frame: pd.DataFrame) -> dict[str, Any]:
    """The table as a manifest. Figures have one decimal, three below 1, and are 0 only for what is empty."""
    return {**_totals(frame), "directories": list(_entries(frame))}


def manifest_json(frame: pd.DataFrame) -> str:
    """The manifest as UTF-8 JSON text, indented by two.

    Entry by entry: json's own indentation is written in Python, which took 1.7 s of the 4.9 s of a report of 100,000.
    """
    text = json.dumps({**_totals(frame), "directories": []}, indent=2, ensure_ascii=False, allow_nan=False)
    entries = ",\n".join(f"    {{\n      {_ENTRY.encode(entry)[1:-1]}\n    }}" for entry in _entries(frame))
    if entries:
        text = f"{text.removesuffix('[]' + _END)}[\n{entries}\n  ]{_END}"
    return text + "\n"


def _totals(frame: pd.DataFrame) -> dict[str, Any]:
    sums = totals(frame)
    return {
        "last_run": None if sums.last_run is None else _timestamp(sums.last_run),
        "total_processed": sums.total_processed,
        "total_failed": sums.total_failed,
        "total_space_saved_gb": rounded(sums.total_space_saved_gb),
    }


def _entries(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for start in range(0, len(frame), _ROWS_AT_ONCE):
        for row in results_of(frame.iloc[start : start + _ROWS_AT_ONCE]):
            yield {
                "directory": row.directory,
                "processed_at": _timestamp(row.processed_at),
                "original_size_mb": _figure(row.original_size_mb),
                "compressed_size_mb": _figure(row.compressed_size_mb),
                "compression_ratio": _figure(row.compression_ratio),
                "status": row.status,
                "storage_location": row.storage_location,
            }


def parse_manifest(text: str) -> list[Result]:
    """The results in a manifest; when a directory is there twice, the last entry counts. Its totals are not read.

    Raises:
        ManifestError: it is not a manifest, or entries are wrong; every one of them is listed.
    """
    if len(text) > MAX_CHARACTERS:
        raise ManifestError(f"The manifest is too large ({len(text):,} characters; at most {MAX_CHARACTERS:,}).")
    try:
        document = json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        raise ManifestError(f"The manifest is not JSON: {error}.") from None
    except (RecursionError, ValueError) as error:
        raise ManifestError(f"The manifest is not usable JSON: {error}.") from None
    entries = document.get("directories") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ManifestError('This is not a manifest: it has no list named "directories".')

    results: dict[str, Result] = {}
    problems: list[str] = []
    for index, entry in enumerate(entries):
        reader = _EntryReader(entry)
        result = reader.result()
        if reader.problems or result is None:
            problems.append(f"entry {index} ({reader.label}): {'; '.join(reader.problems)}")
            continue
        results.pop(result.directory, None)
        results[result.directory] = result
    if problems:
        raise ManifestError(f"The manifest has {len(problems)} unusable of {len(entries)} entries:", problems)
    return list(results.values())


class _EntryReader:
    """Reads one entry to its end and notes everything that is wrong with it."""

    def __init__(self, entry: object) -> None:
        self.problems: list[str] = []
        self.label = "no directory"
        self._entry: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
        if not isinstance(entry, dict):
            self.problems.append(f"it is {_REPR.repr(entry)} instead of an object")

    def result(self) -> Result | None:
        if self.problems:
            return None
        directory = self._directory()
        status = self._status()
        processed_at = self._moment("processed_at")
        original_size_mb = self._number("original_size_mb")
        compressed_size_mb = self._number("compressed_size_mb")
        compression_ratio = self._number("compression_ratio")
        storage_location = self._entry.get("storage_location")
        if storage_location is not None and storage_location not in _STORAGE_LOCATIONS:
            self._wrong("storage_location", storage_location, ", ".join(_STORAGE_LOCATIONS))
        if directory is None or status is None or processed_at is None or self.problems:
            return None
        return Result(
            directory=directory,
            status=status,
            processed_at=processed_at,
            original_size_mb=original_size_mb,
            compressed_size_mb=compressed_size_mb,
            compression_ratio=compression_ratio,
            storage_location=storage_location,
        )

    def _directory(self) -> str | None:
        value = self._entry.get("directory")
        if not isinstance(value, str):
            self._wrong("directory", value, "a name")
            return None
        self.label = _REPR.repr(value)
        if reason := why_unusable(value):
            self.problems.append(f"directory cannot be a recording: {reason}")
        return value

    def _status(self) -> Status | None:
        value = self._entry.get("status")
        for status in STATUSES:
            if value == status:
                return status
        self._wrong("status", value, ", ".join(STATUSES))
        return None

    def _moment(self, name: str) -> datetime | None:
        value = self._entry.get(name)
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else None
            if moment is not None:
                return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (OverflowError, ValueError):
            pass  # reported below, like a value that is no text
        self._wrong(name, value, "a time such as 2025-11-05T02:01:23Z")
        return None

    def _number(self, name: str) -> float | None:
        value = self._entry.get(name)
        if value is None:
            return None
        try:
            number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        except OverflowError:
            number = math.inf
        if not math.isfinite(number) or number < 0:
            self._wrong(name, value, "a number from 0, or null")
            return None
        return number

    def _wrong(self, name: str, value: object, allowed: str) -> None:
        found = "missing" if value is None else _REPR.repr(value)
        self.problems.append(f"{name} is {found}; allowed: {allowed}")


def _timestamp(moment: datetime) -> str:
    return moment.replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _figure(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else rounded(value)
