"""`doctor`, `status` and `manifest`, each in a process of its own."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from audio_compressor.cli.doctor import check_staging
from audio_compressor.errors import AccessDeniedError
from audio_compressor_tests.cli.commands import audio_compressor
from audio_compressor_tests.fixtures.music import Music
from audio_compressor_tests.fixtures.sftp_servers import PASSWORD
from audio_compressor_tests.fixtures.studio import Studio

MANIFEST = {
    "last_run": "2025-11-05T02:00:00Z",
    "total_processed": 1,
    "total_failed": 1,
    "total_space_saved_gb": 0.1,
    "directories": [
        {
            "directory": "10-17-25",
            "processed_at": "2099-11-05T02:01:23Z",
            "original_size_mb": 156.3,
            "compressed_size_mb": 8.2,
            "compression_ratio": 19.0,
            "status": "success",
            "storage_location": "sftp",
        },
        {"directory": "10-18-25", "processed_at": "2025-11-05T02:02:00Z", "status": "failed"},
    ],
}


def test_doctor_finds_everything_in_order(studio: Studio, tmp_path: Path) -> None:
    studio.add("10-17-25")
    ended = audio_compressor("doctor", cwd=tmp_path)
    assert ended.code == 0, ended.out + ended.err
    lines = ended.out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "ok   settings",
        "ok   FFmpeg",
        "ok   connection and host key",
        "ok   listing",
        "ok   destination",
        "ok   staging",
        "ok   Dagster",
    ]
    assert "1 recordings in /audio, 1 with audio" in ended.out


@pytest.mark.parametrize("arguments", [["status"], ["verify", "--all"], ["run"]])
def test_a_reader_that_has_seen_enough_is_no_failure(studio: Studio, tmp_path: Path, arguments: list[str]) -> None:
    """As with `| head`: exit code 1 would say that something is missing or failed."""
    studio.add("10-17-25")
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as closed:
        command = [sys.executable, "-m", "audio_compressor", *arguments]
        ended = subprocess.run(command, cwd=tmp_path, stdout=closed, stderr=subprocess.PIPE, timeout=150, check=False)
    assert (ended.returncode, b"Traceback" in ended.stderr, b"ignored" in ended.stderr) == (141, False, False)


def test_doctor_says_what_is_wrong_and_goes_on(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFTP_REMOTE_PATH", "/nowhere")
    monkeypatch.setenv("FFMPEG_BINARY", "/nowhere/ffmpeg")
    ended = audio_compressor("doctor", cwd=tmp_path)
    assert ended.code == 2
    assert "FAIL FFmpeg: " in ended.out
    assert "FAIL listing: " in ended.out
    assert "ok   destination: " in ended.out


def test_doctor_logs_in_no_second_time_after_a_refusal(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFTP_PASSWORD", f"not-{PASSWORD}")
    monkeypatch.setenv("STORAGE_BACKEND", "sftp")
    monkeypatch.setenv("SFTP_DEST_PATH", "/audio/compressed")
    ended = audio_compressor("doctor", cwd=tmp_path)
    assert ended.code == 2, ended.err
    assert "FAIL connection and host key: " in ended.out
    for finding in ("listing", "destination"):
        assert f"skip {finding}: no connection, so it was not tried" in ended.out
    assert "ok   Dagster: " in ended.out
    assert studio.server.connections == 1


def test_doctor_calls_a_bad_dagster_yaml_by_its_name(studio: Studio, tmp_path: Path) -> None:
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("storrage: {}\n")
    ended = audio_compressor("doctor", cwd=tmp_path)
    assert ended.code == 2
    (finding,) = [line for line in ended.out.splitlines() if "Dagster" in line]
    assert finding.startswith("FAIL Dagster: ")
    assert str(home) in finding
    assert "storrage" in finding
    assert "Traceback" not in ended.out + ended.err


def test_doctor_reports_a_history_without_its_tables(studio: Studio, tmp_path: Path) -> None:
    home = tmp_path / "dagster"
    assert audio_compressor("doctor", cwd=tmp_path).code == 0
    with closing(sqlite3.connect(home / "history/runs.db")) as runs:
        runs.execute("DROP TABLE runs")
        runs.commit()
    ended = audio_compressor("doctor", cwd=tmp_path)
    assert ended.code == 2
    assert "FAIL Dagster: " in ended.out
    assert "no such table: runs" in ended.out
    assert "Traceback" not in ended.err


def test_an_unwritable_staging_directory_is_not_called_a_full_one(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMP_DIR", "/proc/sys/staging")
    with pytest.raises(AccessDeniedError, match="cannot be written"):
        check_staging(studio.settings)


def test_doctor_of_tracks_alone(music: Music, tmp_path: Path) -> None:
    music.add("song.wav")
    ended = audio_compressor("doctor", cwd=tmp_path)
    assert ended.code == 0, ended.out + ended.err
    lines = dict(line.split(": ", 1) for line in ended.out.splitlines())
    assert [*lines] == [f"ok   {name}" for name in ("settings", "FFmpeg", "tracks", "catalogue", "staging", "Dagster")]
    assert lines["ok   tracks"].startswith("1 tracks below tracks/; ")
    assert lines["ok   catalogue"].startswith("1 uploads wait in the database")
    assert "enough for a track of " in lines["ok   staging"]
    assert "recording" not in ended.out


def test_doctor_makes_no_database(music: Music, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.db"
    monkeypatch.setenv("CATALOG_URL", f"sqlite:///{other}")
    ended = audio_compressor("doctor", cwd=tmp_path)
    assert ended.code == 0, ended.out + ended.err
    assert f"ok   catalogue: the database {other} is not there yet; the first run makes it" in ended.out
    assert not other.exists()
    monkeypatch.setenv("CATALOG_URL", f"sqlite:///{tmp_path}/nowhere/other.db")
    ended = audio_compressor("doctor", cwd=tmp_path)
    assert ended.code == 2
    assert f"FAIL catalogue: {tmp_path}/nowhere is not there, or cannot be written" in ended.out


def test_an_old_manifest_is_imported_once_and_not_redone(studio: Studio, tmp_path: Path) -> None:
    for directory in ("10-17-25", "10-18-25"):
        studio.add(directory)
    file = tmp_path / "old.json"
    file.write_text(json.dumps(MANIFEST))
    ended = audio_compressor("manifest", "import", str(file), cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert "2 of 2 entries" in ended.out
    assert "0 of 2 entries" in audio_compressor("manifest", "import", str(file), cwd=tmp_path).out

    status = audio_compressor("status", cwd=tmp_path)
    assert status.code == 0, status.err
    assert "1 done, 1 failed, 0 skipped" in status.out
    assert "1 outstanding, 1 done." in status.out
    assert "10-18-25" in status.out

    assert audio_compressor("run", cwd=tmp_path).code == 0
    assert [name for name in studio.results() if name.endswith(".wav")] == ["10-18-25_compressed.wav"]
    exported = json.loads(audio_compressor("manifest", "export", cwd=tmp_path).out)
    assert exported == json.loads((studio.output / "manifest.json").read_text())
    assert [(entry["directory"], entry["status"]) for entry in exported["directories"]] == [
        ("10-17-25", "success"),
        ("10-18-25", "success"),
    ]
    assert exported["directories"][0] == MANIFEST["directories"][0]  # type: ignore[index]


def test_a_bad_manifest_records_nothing(studio: Studio, tmp_path: Path) -> None:
    file = tmp_path / "old.json"
    file.write_text(json.dumps({"directories": [{"directory": "10-17-25"}, 7]}))
    ended = audio_compressor("manifest", "import", str(file), cwd=tmp_path)
    assert ended.code == 2
    assert "Traceback" not in ended.err
    assert "0 done" in audio_compressor("status", cwd=tmp_path).out


def test_status_without_a_server_still_shows_the_totals(studio: Studio, tmp_path: Path) -> None:
    studio.server.stop()
    ended = audio_compressor("status", cwd=tmp_path)
    assert ended.code == 2
    assert "Recordings: 0 done" in ended.out
    assert "is not known" in ended.out
