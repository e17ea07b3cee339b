from datetime import UTC, datetime
from pathlib import Path

import pytest
from pandas.testing import assert_frame_equal

from audio_compressor.errors import ManifestError
from audio_compressor.reporting.files import read_report, write_report
from audio_compressor.reporting.manifest import manifest_json
from audio_compressor.reporting.results import Result
from audio_compressor.reporting.table import update


def test_both_files_hold_the_same_and_nothing_else_is_left(tmp_path: Path) -> None:
    output_dir = tmp_path / "not" / "there yet"
    report = update(None, [Result("10-17-25", "failed", datetime(2025, 11, 5, tzinfo=UTC), reason="für später")])
    assert read_report(output_dir) is None
    for _ in range(2):
        files = write_report(report, output_dir)
    again = read_report(output_dir)
    assert again is not None
    assert_frame_equal(again, report)
    assert files.manifest.read_text(encoding="utf-8") == manifest_json(report)
    assert sorted(path.name for path in output_dir.iterdir()) == ["manifest.json", "processing_report.csv"]


def test_a_damaged_table_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "processing_report.csv").write_text("directory,status\n10-17")
    with pytest.raises(ManifestError):
        read_report(tmp_path)
