"""What Dagster loads: it is valid, complete, and its start says what is wrong with the settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from audio_compressor_tests.fixtures.studio import CHECKOUT, Studio


def validate(cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", str(CHECKOUT / "workspace.yaml")]
    return subprocess.run(command, cwd=cwd, env=os.environ, capture_output=True, text=True, timeout=120, check=False)


def test_the_workspace_is_valid(studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "dagster").mkdir()
    ended = validate(tmp_path)
    assert ended.returncode == 0, ended.stderr


def test_bad_settings_stop_the_start_with_every_problem(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster").mkdir()
    monkeypatch.setenv("BITRATE", "fast")
    monkeypatch.setenv("CHANNELS", "7")
    ended = validate(tmp_path)
    assert ended.returncode != 0
    for sentence in ("The configuration has 2 problems", "BITRATE is 'fast'", "CHANNELS is '7'"):
        assert sentence in ended.stdout + ended.stderr


def test_public_names(studio: Studio) -> None:
    repository = studio.definitions.get_repository_def()
    assets = {key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()}
    assert assets == {
        "recording_directory",
        "raw_audio",
        "compressed_audio",
        "recording_metadata",
        "stored_files",
        "processing_report",
        "retained_audio",
        "storage_report",
    }
    assert repository.has_schedule_def("nightly_compression_schedule")
    assert repository.has_sensor_def("new_recordings_sensor")
    for key in repository.asset_graph.get_all_asset_keys():
        node = repository.asset_graph.get(key)
        assert node.description, key
        assert node.owners, key
        assert node.kinds, key
        assert node.group_name != "default", key


def test_the_night_follows_its_time_zone(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHEDULE", "30 1 * * *")
    monkeypatch.setenv("SCHEDULE_TIMEZONE", "Europe/Berlin")
    schedule = studio.definitions.get_repository_def().get_schedule_def("nightly_compression_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 1 * * *", "Europe/Berlin")
