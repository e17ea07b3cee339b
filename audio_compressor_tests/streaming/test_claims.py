"""A run's claims: alive while it works, given back in every outcome, and released by others only when it is dead."""

import logging
import threading
from datetime import UTC, datetime

import pytest

from audio_compressor.catalog.catalog import Catalog, open_catalog
from audio_compressor.catalog.rows import Claim, Upload
from audio_compressor.streaming.claims import MOST_SILENT_SECONDS, Holder, dead_holders, holding
from audio_compressor.streaming.model import TrackOutcome
from audio_compressor_tests.fixtures.music import Music

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UPLOAD = Upload("id-1", "song.mp3")


def claimed(music: Music, catalog: Catalog) -> None:
    music.catalog.add(UPLOAD.upload_id, UPLOAD.file_name)
    assert catalog.claim(UPLOAD, "song", "us")


@pytest.mark.parametrize(
    ("silent_seconds", "living", "ended", "dead"),
    [
        (0, [], [], []),
        (MOST_SILENT_SECONDS - 1, [], [], []),
        (MOST_SILENT_SECONDS, [], [], ["us"]),
        (MOST_SILENT_SECONDS, ["us"], [], []),
        (0, [], ["us"], ["us"]),
        (0, ["others"], ["others"], []),
    ],
)
def test_who_is_dead(silent_seconds: int, living: list[str], ended: list[str], dead: list[str]) -> None:
    claim = Claim("id-1", "song.mp3", "song", "us", NOW, silent_seconds)
    assert dead_holders([claim, claim], living, ended) == dead


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_what_is_still_held_in_the_end_waits_again(music: Music, error: type[BaseException] | None) -> None:
    with open_catalog(music.catalog.url) as catalog:
        claimed(music, catalog)
        try:
            with holding(catalog, "us"):
                assert music.catalog.status("id-1") == "processing"
                if error:
                    raise error
        except (ValueError, KeyboardInterrupt):
            pass
    assert music.catalog.status("id-1") == "0"
    assert music.claims() == []


def test_it_tells_that_it_lives(music: Music) -> None:
    with open_catalog(music.catalog.url) as catalog:
        claimed(music, catalog)
        music.catalog.sql("UPDATE audio_compressor_claims SET heartbeat_at_seconds = 1000")
        with holding(catalog, "us", beat_seconds=0.01):
            looked = threading.Event()
            for _ in range(1000):
                [claim] = catalog.claims()
                if claim.silent_seconds < 60:
                    break
                looked.wait(0.01)
            assert claim.silent_seconds < 60


def test_each_ending_is_told(music: Music) -> None:
    with open_catalog(music.catalog.url) as catalog:
        for number, status in enumerate(("success", "failed")):
            upload = Upload(f"id-{number}", f"{status}.mp3")
            music.catalog.add(upload.upload_id, upload.file_name)
            catalog.claim(upload, status, "us")
        holder = Holder(catalog, "us")
        holder.tell("id-0", TrackOutcome("success", "success"))
        holder.tell("id-1", TrackOutcome("failed", "failed", "its reason"))
        holder.tell(None, TrackOutcome("without", "success"))
    assert music.catalog.statuses() == {"id-0": "completed", "id-1": "failed"}
    assert music.catalog.row("id-1").error_message == "its reason"


def test_a_catalogue_that_is_away_ends_no_run(music: Music, caplog: pytest.LogCaptureFixture) -> None:
    with open_catalog(music.catalog.url) as catalog:
        claimed(music, catalog)
        music.catalog.sql("ALTER TABLE Uploads RENAME TO Elsewhere")
        with caplog.at_level(logging.WARNING), holding(catalog, "us") as holder:
            holder.tell("id-1", TrackOutcome("song", "success"))
    assert "song: the database" in caplog.text
    assert "could not be told that this run ends" in caplog.text


def test_somebody_elses_change_is_left(music: Music, caplog: pytest.LogCaptureFixture) -> None:
    with open_catalog(music.catalog.url) as catalog:
        claimed(music, catalog)
        music.catalog.sql("UPDATE Uploads SET processing_status = 'cancelled'")
        with caplog.at_level(logging.WARNING), holding(catalog, "us") as holder:
            holder.tell("id-1", TrackOutcome("song", "success"))
    assert "somebody else has changed its upload id-1 meanwhile" in caplog.text
    assert music.catalog.status("id-1") == "cancelled"
