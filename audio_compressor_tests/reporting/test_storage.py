"""The storage table of a real directory: every file once, and figures that hold together."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audio_compressor.archive.orphans import Orphan
from audio_compressor.reporting.results import Result
from audio_compressor.reporting.storage import Figures, Piece, figures, figures_by, table
from audio_compressor.reporting.storage_growth import forecast
from audio_compressor.reporting.storage_json import storage_json
from audio_compressor.reporting.storage_look import StorageLook, look_at_storage
from audio_compressor.reporting.storage_markdown import (
    disks_markdown,
    figures_markdown,
    months_markdown,
    orphans_markdown,
)
from audio_compressor.reporting.storage_results import Listed, result_orphans, result_pieces
from audio_compressor.retention.store import AudioStore
from audio_compressor.settings import GROUPS, Settings, load_settings
from audio_compressor.storage.base import StoredFile
from audio_compressor.storage.local import LocalStorage
from audio_compressor_tests.fixtures.shelf import Shelf, months
from audio_compressor_tests.hostile_names import WORST

NOW = datetime(2026, 3, 1, 5, 0, tzinfo=UTC)
JOB = "0d3e7b1c-6f0a-4b52-9c3a-1f2e3d4c5b6a"
NEW, OLD, COLD, KEPT, GONE = (f"2026-01/2026-01-0{day}.webm" for day in range(1, 6))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf.at(tmp_path / "library")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Nothing but a place for staged audio; what else is set up, tests add."""
    for name in (name.upper() for group in GROUPS for name in group.model_fields):
        monkeypatch.delenv(name, raising=False)
    paths = {name: str(tmp_path / name) for name in ("audio_storage_path", "output_dir", "temp_dir")}
    return load_settings(**paths, library_dir=str(tmp_path / "library"), disk_warning_mb=0)


def look(settings: Settings, results: list[Result] | None = None) -> StorageLook:
    return look_at_storage(settings, results or [], NOW)


def result(directory: str, uri: str | None, original_size_mb: float | None = 1.0) -> Result:
    location = "local" if uri and uri.startswith("file:") else "sftp"
    return Result(directory, "success", NOW, None, original_size_mb, 0.2, uri=uri, storage_location=location)


def test_a_library_in_every_state(shelf: Shelf, settings: Settings) -> None:
    shelf.file(NEW, 1000)
    record = shelf.archived(OLD, 1000, 300, "Opus 64k")
    shelf.trashed(record, 1000)
    shelf.archived(COLD, 1000, 250, "cold", "cold")
    shelf.archived(KEPT, 1000, 400, "Opus 96k", kept=1000)
    shelf.deleted("2025-12/2025-12-24.webm", 5000)
    found = look(settings)
    rows = [tuple(row) for row in found.table.drop(columns=["collection", "month"]).to_numpy().tolist()]
    assert sorted(rows) == sorted(
        [
            (NEW, "as recorded", "library", 1000, 1000, False),
            (OLD, "Opus 64k", "library", 1000, 300, True),
            (OLD, "in the trash", "trash", 0, 1000, False),
            (COLD, "cold", "cold", 1000, 250, True),
            (KEPT, "as recorded", "library", 1000, 1000, False),
            (KEPT, "Opus 96k", "library", 0, 400, True),
        ]
    )
    # Four recordings of 1000 bytes each take 3950 now: saved 50, and 1050 once the trash is empty.
    assert figures(found.table) == Figures(6, 3950, 4000, 950, 50, 4000 / 3950)
    assert figures_by(found.table, "location")["cold"] == Figures(1, 250, 1000, 250, 750, 4.0)
    assert list(figures_by(found.table, "month")) == ["2026-01"]
    assert found.library is not None
    assert (found.library.recordings, found.library.deleted, found.library.deleted_bytes) == (4, 1, 5000)
    assert (found.orphans, found.problems, found.unseen) == ((), (), frozenset())


def test_what_is_due_and_what_it_saves(shelf: Shelf, settings: Settings) -> None:
    shelf.file("2026-02-28.webm", 1_000_000, NOW - timedelta(days=1))
    shelf.file("2026-01-01.webm", 1_000_000, NOW - timedelta(days=59))
    found = look(settings).library
    assert found is not None
    assert found.due == 1
    assert found.due_saves_bytes is not None
    assert 0 < found.due_saves_bytes < 1_000_000


def test_a_policy_that_cannot_be_read_hides_only_what_is_due(shelf: Shelf, settings: Settings, tmp_path: Path) -> None:
    shelf.file(NEW, 1000)
    (tmp_path / "policy.json").write_text("{")
    found = look(settings.model_copy(update={"archive_policy": str(tmp_path / "policy.json")}))
    assert found.library is not None
    assert (found.library.recordings, found.library.due) == (1, None)
    assert "what is due is not known" in found.problems[0]
    assert found.unseen == frozenset()


def test_a_missing_file_saves_nothing_and_is_an_orphan(shelf: Shelf, settings: Settings) -> None:
    shelf.archived(OLD, 1000, 300, "Opus 64k")
    (shelf.layout.root / "2026-01/2026-01-02.opus").unlink()
    shelf.file("2026-01/song.mp3", 70)
    found = look(settings)
    assert figures(found.table) == Figures(1, 70, 0, 0, 0, None)
    assert found.orphans == (
        Orphan("library", "file without a record", "2026-01/song.mp3"),
        Orphan("library", "record without a file", OLD),
    )
    assert found.library is not None
    assert (found.library.recordings, found.library.missing) == (0, 1)


def test_a_library_that_is_not_mounted_is_not_an_empty_one(settings: Settings) -> None:
    found = look(settings)
    assert (found.seen, found.unseen) == (frozenset({"staged"}), frozenset({"library"}))
    assert found.library is None
    assert "is its disk mounted?" in found.problems[0]
    assert storage_json(found, [])["complete"] is False


def test_results_with_what_the_history_knows(settings: Settings, tmp_path: Path) -> None:
    output = LocalStorage(tmp_path / "output_dir")
    output.directory.mkdir()
    sizes = {
        "10-17-25_compressed.wav": 200_000,
        "10-17-25_compressed_20251104_214530.wav": 300_000,
        "10-17-25_meta.xml": 500,
        "10-18-25_compressed.opus": 100_000,
        "10-19-25_compressed.wav": 7,
        "manifest.json": 90,
        "song, with % and ü.mp3": 80,
    }
    for name, size_bytes in sizes.items():
        output.path(name).write_bytes(bytes(size_bytes))
    results = [
        result("10-17-25", output.uri("10-17-25_compressed.wav")),
        result("10-18-25", None),  # of an imported manifest
        result("10-20-25", output.uri("10-20-25_compressed.wav")),
        result("10-21-25", "file:///elsewhere/10-21-25_compressed.wav"),
        Result("10-19-25", "failed", NOW, "not audio"),
    ]
    found = look(settings.model_copy(update={"library_dir": "", "sftp_host": "x"}), results)
    rows = found.table.set_index("key")
    assert {key: rows.loc[key, "tier"] for key in rows.index} == {
        "10-17-25_compressed.wav": "compressed",
        "10-17-25_compressed_20251104_214530.wav": "earlier version",
        "10-17-25_meta.xml": "metadata",
        "10-18-25_compressed.opus": "compressed",
        "10-19-25_compressed.wav": "without a record",
        "manifest.json": "report",
        "song, with % and ü.mp3": "without a record",
    }
    assert set(rows["location"]) == {"local"}
    assert rows.loc["10-18-25_compressed.opus", "month"] == "2025-10"
    assert figures(found.table) == Figures(7, sum(sizes.values()), 2_000_000, 600_000, 1_700_000, 2_000_000 / 300_000)
    assert set(found.orphans) == {
        Orphan("results", "file without a record", "10-19-25_compressed.wav"),
        Orphan("results", "file without a record", "song, with % and ü.mp3"),
        Orphan("results", "record without a file", "10-20-25_compressed.wav"),
    }


def test_an_empty_directory_of_results_has_lost_them_all(tmp_path: Path) -> None:
    output = LocalStorage(tmp_path / "ö")
    listed = Listed("local", output.uri("x").removesuffix("x"), output.entries())
    lost = [result("10-17-25", output.uri("10-17-25_compressed.wav"))]
    assert list(result_orphans(listed, lost)) == [Orphan("results", "record without a file", "10-17-25_compressed.wav")]


def test_a_bucket_holds_other_peoples_files_too() -> None:
    listed = Listed(
        "s3", "s3://bucket/a%20b/", {"theirs.wav": StoredFile(5, 0), "10-17-25_compressed.wav": StoredFile(9, 0)}
    )
    results = [result("10-17-25", "s3://bucket/a%20b/10-17-25_compressed.wav", 0.00009)]
    assert list(result_orphans(listed, results)) == []
    pieces = {piece.key: piece for piece in result_pieces(listed, results)}
    assert pieces["10-17-25_compressed.wav"].original_bytes == 90
    assert pieces["theirs.wav"].original_bytes is None


def test_a_server_that_was_not_to_be_asked(settings: Settings) -> None:
    """The port is closed: to connect would be noticed."""
    update = {"library_dir": "", "sftp_host": "127.0.0.1", "sftp_port": 1, "storage_backend": "sftp"}
    found = look_at_storage(settings.model_copy(update=update), [], NOW, "the login was refused")
    assert found.unseen == {"results"}
    assert found.problems == ("results: the login was refused",)


def test_staged_audio(settings: Settings, tmp_path: Path) -> None:
    store = AudioStore(tmp_path / "audio_storage_path")
    (tmp_path / "talk").write_bytes(bytes(2000))
    store.save(tmp_path / "talk", "talk.wav", JOB)
    (store.directory / "stranger").write_bytes(bytes(10))
    found = look(settings.model_copy(update={"library_dir": ""}))
    assert sorted(found.table["tier"]) == ["pending", "without a record"]
    assert figures(found.table).total_bytes > 2010
    assert (figures(found.table).original_bytes, figures(found.table).ratio) == (0, None)
    assert [disk.holds for disk in found.disks] == [("staged",)]


def test_disks_are_told_once_with_what_lies_on_them(shelf: Shelf, settings: Settings, tmp_path: Path) -> None:
    update = {"audio_storage_path": "/dev/shm", "tracks_bucket": "tracks", "disk_warning_mb": 1e12}
    found = look(settings.model_copy(update=update))
    held = {disk.path: disk for disk in found.disks}
    assert held[tmp_path / "library"].holds == ("library", "temporary")
    assert held[Path("/dev/shm")].holds == ("staged",)
    for disk in found.disks:
        assert disk.space.is_low
        assert "DISK_WARNING_MB" in disk.space.sentence
        assert disk.capacity_bytes is not None
        assert disk.used_bytes is not None
        assert disk.space.free_bytes is not None
        assert disk.used_bytes + disk.space.free_bytes <= disk.capacity_bytes


def test_ten_thousand_recordings_take_a_few_seconds_and_none_is_read(shelf: Shelf, settings: Settings) -> None:
    """They have no bytes on the disk, and would take hours to read."""
    of_months = months(74)[:73]
    for month in of_months:
        (shelf.layout.root / month).mkdir()
    for number in range(10_000):
        month = of_months[number % 73]
        if number % 20:
            with (shelf.layout.root / month / f"{month}-11 {number}.webm").open("wb") as file:
                file.truncate(10**9)
        else:
            shelf.archived(f"{month}/{month}-11 {number}.webm", 10**9, 10, "Opus 64k")
    started = time.monotonic()
    found = look(settings)
    total, by_month = figures(found.table), figures_by(found.table, "month")
    assert time.monotonic() - started < 10
    assert (total.files, total.total_bytes) == (10_000, 9500 * 10**9 + 500 * 10)
    assert len(by_month) == 73


def test_the_order_is_always_the_same() -> None:
    pieces = [Piece("results", key, "2026-01", key, "local", 10, 5) for key in ("c", "a", "b")]
    forwards, backwards = table(pieces), table(reversed(pieces))
    assert forwards.equals(backwards)
    assert list(figures_by(forwards, "tier")) == ["a", "b", "c"]
    bigger = table([*pieces, Piece("results", "z", "2025-01", "z", "local", 10, 50)])
    assert list(figures_by(bigger, "tier")) == ["z", "a", "b", "c"]
    assert list(figures_by(bigger, "month")) == ["2025-01", "2026-01"]


def test_nothing_has_figures_too() -> None:
    nothing = table([])
    assert figures(nothing) == Figures(0, 0, 0, 0, 0, None)
    assert dict(figures_by(nothing, "tier")) == {}
    assert len(figures_markdown("Tier", {}, figures(nothing)).splitlines()) == 2


def test_sums_are_exact() -> None:
    pieces = [Piece("library", str(number), "2026-01", "t", "library", 10**15 + 1, 10**15) for number in range(100)]
    assert figures(table(pieces)).original_bytes == 10**17 + 100


def test_the_documents_names_and_what_they_mean(shelf: Shelf, settings: Settings) -> None:
    shelf.file(NEW, 600)
    shelf.archived(OLD, 1000, 300, "Opus 64k")
    shelf.file("2026-01/song.mp3", 70)
    found = look(settings)
    [disk] = found.disks
    told = storage_json(found, [(disk, forecast(NOW, []))])
    assert json.loads(json.dumps(told)) == told
    assert {
        name: told[name] for name in ("total_size", "original_size", "compressed_size", "savings", "file_count")
    } == {
        "total_size": 970,
        "original_size": 1600,
        "compressed_size": 300,
        "savings": 700,
        "file_count": 3,
    }
    assert told["compression_ratio"] == pytest.approx(1600 / 900)
    assert told["by_tier"]["Opus 64k"]["savings"] == 700
    assert told["disk_usage"][0]["forecast"]["verdict"] == "too little history"
    assert told["disk_usage"][0]["free"] > 0


def test_tables_hold_no_markup_of_names() -> None:
    for text in WORST:
        told = figures_markdown("Tier", {text: figures(table([]))}, figures(table([])))
        told += orphans_markdown([Orphan("library", "file without a record", text)])
        assert len(told.splitlines()) == 6
        assert "<" not in told
        assert "](" not in told.replace("\\](", "")


def test_long_tables_are_cut_and_say_so() -> None:
    pieces = [Piece("library", month, month, "t", "library", 2, 1) for month in months(50)]
    frame = table(pieces)
    told = months_markdown(figures_by(frame, "month"), figures(frame))
    assert told.splitlines()[2].startswith("| 2024-02 |")
    assert told.splitlines()[-1] == "The latest 36 of 50 months."
    assert "| all | 50 |" in told
    orphans = [Orphan("library", "record without a file", str(number)) for number in range(60)]
    assert orphans_markdown(orphans).splitlines()[-1] == "The first 50 of 60."
    assert len(orphans_markdown(orphans).splitlines()) == 54


def test_disks_in_a_table(shelf: Shelf, settings: Settings) -> None:
    [disk] = look(settings).disks
    told = disks_markdown([(disk, forecast(NOW, []))])
    assert "too little history for a forecast: 0 of 7 days" in told
    assert "| library |" in told
