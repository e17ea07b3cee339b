"""`storage_report`: its figures, tables and memory, with a real instance and a library of tiny files."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from audio_compressor.archive.orphans import Judged, Orphan
from audio_compressor.definitions import build_definitions
from audio_compressor.defs.names import COMPRESSED_AUDIO, HLS_RENDITIONS, STORAGE_REPORT, STORAGE_REPORT_JOB
from audio_compressor.defs.storage_history import read_reports, suspects_json
from audio_compressor.settings import GROUPS, load_settings
from audio_compressor_tests.cli.commands import audio_compressor
from audio_compressor_tests.fixtures.shelf import Shelf
from audio_compressor_tests.fixtures.studio import Studio

OLD, LOST = "2026-01/2026-01-02.webm", "2026-01/2026-01-03.webm"


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A library, and nothing else."""
    for name in (name.upper() for group in GROUPS for name in group.model_fields):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LIBRARY_DIR", str(tmp_path / "library"))
    monkeypatch.setenv("AUDIO_STORAGE_PATH", str(tmp_path / "staged"))
    monkeypatch.setenv("DISK_WARNING_MB", "0")
    shelf = Shelf.at(tmp_path / "library")
    shelf.file("2026-01/2026-01-01.webm", 1_000_000)
    shelf.archived(OLD, 1_000_000, 300_000, "Opus 64k")
    return shelf


@pytest.fixture
def quick() -> Iterator[dg.DagsterInstance]:
    """An instance without files: no other process looks at it."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def report(instance: dg.DagsterInstance) -> tuple[dict[str, Any], dict[str, dg.AssetCheckEvaluation]]:
    """Make one; gives its metadata and its checks."""
    job = build_definitions(load_settings()).resolve_job_def(STORAGE_REPORT_JOB)
    result = job.execute_in_process(instance=instance)
    assert result.success
    [record] = instance.fetch_materializations(STORAGE_REPORT, limit=1).records
    assert record.asset_materialization
    metadata = {key: value.value for key, value in record.asset_materialization.metadata.items()}
    return metadata, {check.check_name: check for check in result.get_asset_check_evaluations()}


def record_earlier(
    instance: dg.DagsterInstance, ago: timedelta, free_mb: int, **metadata: dg.MetadataValue[Any] | int
) -> None:
    """A report as it would have been then."""
    at = datetime.now(UTC) - ago
    free = {"library": free_mb * 1_000_000}
    night: dict[str, Any] = {"at": at.isoformat(), "total_bytes": 5, "original_bytes": 9, "free_bytes": free}
    told: dict[str, Any] = {"night": dg.MetadataValue.json(night), **metadata}
    instance.report_runless_asset_event(dg.AssetMaterialization(STORAGE_REPORT, metadata=told))


def test_figures_tables_and_pictures(shelf: Shelf, quick: dg.DagsterInstance) -> None:
    metadata, checks = report(quick)
    names = ("total_mb", "original_mb", "compressed_mb", "saved_mb", "files", "library_recordings", "library_due")
    assert {name: metadata[name] for name in names} == {
        "total_mb": 1.3,
        "original_mb": 2.0,
        "compressed_mb": 0.3,
        "saved_mb": 0.7,
        "files": 2,
        "library_recordings": 2,
        "library_due": 1,
    }
    assert metadata["compression_ratio"] == pytest.approx(2 / 1.3, abs=0.001)
    assert metadata["free_mb"] == metadata["library_free_mb"]
    assert "| Opus 64k | 1 | 1.0 | 0.300 | 0.700 | 3.3× |" in str(metadata["by_tier"])
    assert "| 2026-01 | 2 |" in str(metadata["by_month"])
    assert "| library | 2 |" in str(metadata["by_location"])
    assert metadata["forecast"] == "too little history for a forecast: 0 of 7 days"
    for name in ("months", "tiers", "growth"):
        assert str(metadata[name]).startswith(f"![{name}](data:image/png;base64,")
    assert (metadata["orphans"], metadata["problems"]) == (0, [])
    assert {name: check.passed for name, check in checks.items()} == {
        "everything_looked_at": True,
        "no_orphans": True,
        "enough_space": True,
    }
    assert sum(len(str(value)) for value in metadata.values()) < 150_000


def test_the_same_library_gives_the_same_report(shelf: Shelf, quick: dg.DagsterInstance) -> None:
    first, second = report(quick)[0], report(quick)[0]
    same = [name for name in first if name.startswith(("by_", "orphans")) or name in {"months", "tiers", "total_mb"}]
    assert len(same) == 9
    assert {name: first[name] for name in same} == {name: second[name] for name in same}


def test_orphans_are_told_by_the_second_report(shelf: Shelf, quick: dg.DagsterInstance) -> None:
    shelf.archived(LOST, 1_000_000, 300_000, "Opus 64k")
    (shelf.layout.root / LOST).with_suffix(".opus").unlink()
    shelf.file("2026-01/<b>song</b>.mp3", 10)
    metadata, checks = report(quick)
    assert (metadata["orphans"], checks["no_orphans"].passed) == (0, True)
    metadata, checks = report(quick)
    assert (metadata["orphans"], checks["no_orphans"].passed) == (0, True)  # seconds later

    [group] = metadata["suspects"]
    group["since"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    record_earlier(quick, timedelta(minutes=5), 100, suspects=dg.MetadataValue.json([group]))
    metadata, checks = report(quick)
    assert (metadata["orphans"], checks["no_orphans"].passed) == (2, False)
    assert f"| library | record without a file | {LOST} |" in str(metadata["orphans_found"])
    assert "&lt;b&gt;song" in str(metadata["orphans_found"])
    assert checks["no_orphans"].description == "2 files without a record or records without a file"


def test_a_library_that_is_away_gives_no_figures_that_look_like_a_loss(
    shelf: Shelf, quick: dg.DagsterInstance, tmp_path: Path
) -> None:
    report(quick)
    shelf.layout.root.rename(tmp_path / "away")
    metadata, checks = report(quick)
    assert not {"total_mb", "original_mb", "saved_mb", "files", "library_recordings"} & metadata.keys()
    assert "is its disk mounted?" in str(metadata["problems"])
    assert not checks["everything_looked_at"].passed
    assert [night.total_bytes for night in read_reports(quick, datetime.now(UTC)).nights] == [1_300_000, None]


def test_little_space_is_a_check_that_fails(
    shelf: Shelf, quick: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISK_WARNING_MB", "1e12")
    check = report(quick)[1]["enough_space"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "is low (DISK_WARNING_MB)" in str(check.description)


def test_the_forecast_goes_by_earlier_reports(shelf: Shelf, quick: dg.DagsterInstance) -> None:
    first = report(quick)[0]
    free_mb = round(float(str(first["library_free_mb"])))
    for day in range(1, 31):
        record_earlier(quick, timedelta(days=day), free_mb + 1000 * day)
    quick.report_runless_asset_event(dg.AssetMaterialization(STORAGE_REPORT, metadata={"night": "somebody's own"}))
    metadata, _ = report(quick)
    assert str(metadata["forecast"]).startswith("full around ")
    growth = float(str(metadata["forecast"]).rpartition("growing by ")[2].removesuffix(" MB a day").replace(",", ""))
    assert growth == pytest.approx(1000, rel=0.05)


def test_what_is_remembered_is_bounded_and_read_back(quick: dg.DagsterInstance) -> None:
    now = datetime.now(UTC)
    suspects = {Orphan("library", "file without a record", f"{n}.mp3"): now - timedelta(days=n) for n in range(1200)}
    given = suspects_json(Judged((), suspects))
    record_earlier(quick, timedelta(days=1), 1, suspects=dg.MetadataValue.json(given))
    found = read_reports(quick, now).suspects
    assert found == {orphan: since for orphan, since in suspects.items() if since <= now - timedelta(days=200)}


def test_what_somebody_else_has_reported_is_passed_over(quick: dg.DagsterInstance) -> None:
    whole: dict[str, Any] = {
        "since": "2026-01-01T00:00:00+00:00",
        "orphans": [["library", "file without a record", "x"]],
    }
    record_earlier(quick, timedelta(days=2), 1, suspects=dg.MetadataValue.json([whole]))
    assert len(read_reports(quick, datetime.now(UTC)).suspects) == 1
    strange: tuple[Any, ...] = (
        {**whole, "since": "yesterday"},
        {**whole, "orphans": [["a", "b"]]},
        {**whole, "orphans": 7},
        [],
    )
    lists: list[Any] = [[each] for each in strange]
    for given in [*lists, {"a": 1}]:
        record_earlier(quick, timedelta(days=1), 1, suspects=dg.MetadataValue.json(given))
        assert read_reports(quick, datetime.now(UTC)).suspects == {}
    record_earlier(quick, timedelta(days=1), 1, suspects=5)
    assert read_reports(quick, datetime.now(UTC)).suspects == {}


def test_it_is_made_each_night(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFICATION_SCHEDULE", "30 6 * * *")
    repository = build_definitions(load_settings()).get_repository_def()
    schedule = repository.get_schedule_def("storage_report_schedule")
    assert (schedule.cron_schedule, schedule.job_name) == ("30 6 * * *", STORAGE_REPORT_JOB)
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


def test_status_of_a_library_alone(shelf: Shelf, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    shelf.file("2026-01/song.mp3", 10)
    report(instance)
    ended = audio_compressor("status", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert "Library: 2 recordings, 0.002 GB as recorded, 0.001 GB now, 0.001 GB saved" in ended.out
    assert "Due in the library: 1 recordings, which would save 0.001 GB" in ended.out
    assert f"Disk of {tmp_path}/library (library): " in ended.out
    assert "too little history for a forecast" in ended.out
    # The last one was found only a moment ago.
    assert not any(text in ended.out for text in ("Recordings:", "Tracks:", "LOW", "other half"))


def test_status_for_programs_and_of_tracks(
    shelf: Shelf,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DISK_WARNING_MB", "1e12")
    monkeypatch.setenv("TRACKS_BUCKET", "tracks")
    instance.add_dynamic_partitions("tracks", ["a", "b"])
    instance.report_runless_asset_event(dg.AssetMaterialization(HLS_RENDITIONS, partition="a"))
    shelf.file("2026-01/song.mp3", 10)
    orphan = ["library", "file without a record", "2026-01/song.mp3"]
    since = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    suspects = dg.MetadataValue.json([{"since": since, "orphans": [orphan]}])
    record_earlier(instance, timedelta(hours=2), 100, suspects=suspects)
    ended = audio_compressor("status", "--json", cwd=tmp_path)
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    keys = ("at", "recordings", "tracks", "library", "storage", "orphans", "last_report", "problems")
    assert tuple(told) == keys
    assert (told["recordings"], told["tracks"]) == (None, {"known": 2, "done": 1})
    assert told["library"]["recordings"] == 2
    assert {name: told["storage"][name] for name in ("total_size", "savings", "file_count", "complete")} == {
        "total_size": 1_300_010,
        "savings": 700_000,
        "file_count": 3,
        "complete": True,
    }
    assert told["orphans"]["count"] == 1
    assert told["orphans"]["first"] == [dict(zip(("collection", "kind", "name"), orphan, strict=True))]
    assert told["storage"]["disk_usage"][0]["low"]
    assert told["problems"] == []

    monkeypatch.delenv("LIBRARY_DIR")
    ended = audio_compressor("status", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert "Tracks: 2 known, 1 done" in ended.out
    assert "LOW: " in ended.out
    assert "Library" not in ended.out


def test_recordings_are_in_it(studio: Studio, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """With what the history knows of results, also while the server is away."""
    studio.output.mkdir()
    (studio.output / "10-17-25_compressed.wav").write_bytes(bytes(200_000))
    metadata: dict[str, Any] = {
        "original_size_mb": 1.0,
        "compressed_size_mb": 0.2,
        "storage_location": "local",
        "uri": (studio.output / "10-17-25_compressed.wav").as_uri(),
    }
    instance.add_dynamic_partitions("recordings", ["10-17-25"])
    instance.report_runless_asset_event(
        dg.AssetMaterialization(COMPRESSED_AUDIO, partition="10-17-25", metadata=metadata)
    )
    found, _ = report(instance)
    assert (found["total_mb"], found["original_mb"], found["saved_mb"]) == (0.2, 1.0, 0.8)
    studio.server.stop()
    ended = audio_compressor("status", "--json", cwd=tmp_path)
    assert ended.code == 2, ended.err
    told = json.loads(ended.out)
    assert (told["recordings"]["done"], told["recordings"]["outstanding"]) == (1, None)
    assert told["storage"]["by_collection"]["results"]["savings"] == 800_000
    assert len(told["problems"]) == 1
