"""The files of the report: a table for analysts, and the manifest for those who read it over SFTP."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from audio_compressor.local_files import READABLE_MODE, sha256_of, write_atomically
from audio_compressor.reporting.manifest import MANIFEST_NAME, manifest_json
from audio_compressor.reporting.table import read_csv, write_csv

REPORT_NAME = "processing_report.csv"


@dataclass(frozen=True)
class ReportFiles:
    table: Path
    manifest: Path


def read_report(output_dir: Path) -> pd.DataFrame | None:
    """The table of the last report, or None when there is none."""
    return read_csv(output_dir / REPORT_NAME)


def table_sha256(output_dir: Path) -> str | None:
    """SHA-256 of the table of the last report, or None when there is none."""
    table = output_dir / REPORT_NAME
    return sha256_of(table) if table.is_file() else None


def write_report(report: pd.DataFrame, output_dir: Path) -> ReportFiles:
    """Write both files, each whole or not at all."""
    output_dir.mkdir(parents=True, exist_ok=True)
    files = ReportFiles(output_dir / REPORT_NAME, output_dir / MANIFEST_NAME)
    write_csv(report, files.table)
    write_atomically(files.manifest, manifest_json(report), READABLE_MODE)
    return files
