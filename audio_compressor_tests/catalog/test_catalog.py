"""What one worker does with the catalogue, on each database."""

import pytest

from audio_compressor.catalog.catalog import Catalog, open_catalog
from audio_compressor.catalog.rows import Upload, cut
from audio_compressor.tracks.track import Track
from audio_compressor_tests.catalog.taking import ids, take
from audio_compressor_tests.fixtures.databases import SqlDatabase

RUN, OTHER_RUN = "run-1", "run-2"


def let_silence_pass(database: SqlDatabase, seconds: int) -> None:
    """As if every holder had been silent for so much longer."""
    database.sql("UPDATE audio_compressor_claims SET heartbeat_at_seconds = heartbeat_at_seconds - :s", s=seconds)


def claimed(catalog: Catalog, database: SqlDatabase, upload_id: str = "u1", claimed_by: str = RUN) -> Upload:
    database.add(upload_id, f"{upload_id}.mp3")
    upload = Upload(upload_id, f"{upload_id}.mp3")
    assert catalog.claim(upload, upload_id, claimed_by)
    return upload


# -- what waits


def test_what_waits_comes_oldest_first(catalog: Catalog, database: SqlDatabase) -> None:
    for upload_id, day in [("b", 2), ("a", 2), ("d", 1), ("c", 3)]:
        database.add(upload_id, f"{upload_id}.mp3", uploaded_at=f"2025-11-0{day} 10:00:00")
    database.sql("INSERT INTO Uploads (upload_id, file_name, uploaded_at) VALUES ('0-undated', 'e.mp3', NULL)")
    assert [upload.upload_id for upload in catalog.pending(10)] == ["d", "a", "b", "c", "0-undated"]
    assert catalog.pending(2) == (Upload("d", "d.mp3"), Upload("a", "a.mp3"))
    assert catalog.pending(0) == ()


def test_only_tracks_that_nobody_has_begun_wait(catalog: Catalog, database: SqlDatabase) -> None:
    database.add("waits", "a.mp3")
    for status in ("processing", "completed", "failed", "paused"):
        database.add(status, "b.mp3", processing_status=status)
    database.add("picture", "cover.png", upload_type="artwork")
    database.add("unknown", "c.mp3", upload_type=None)
    assert [upload.upload_id for upload in catalog.pending(10)] == ["waits"]


# -- the life of an upload


def test_the_uploads_of_one_file_come_newest_first(catalog: Catalog, database: SqlDatabase) -> None:
    for upload_id, file_name, day, status in [
        ("old", "song.mp3", 1, "failed"),
        ("new", "song.mp3", 3, "0"),
        ("mid", "song.mp3", 2, "completed"),
        ("other case", "Song.mp3", 4, "0"),
        ("other", "other.mp3", 4, "0"),
    ]:
        database.add(upload_id, file_name, uploaded_at=f"2025-11-0{day} 10:00:00", processing_status=status)
    found = [(upload.upload_id, status) for upload, status in catalog.of_file("song.mp3")]
    assert found == [("new", "0"), ("mid", "completed"), ("old", "failed")]
    assert [upload.upload_id for upload in catalog.failed(10)] == ["old"]
    assert catalog.failed(0) == ()


def test_done(catalog: Catalog, database: SqlDatabase) -> None:
    database.add("u1", "song.mp3", error_message="of an earlier time")
    [upload] = catalog.pending(1)
    assert catalog.claim(upload, "song", RUN)
    assert database.status("u1") == "processing"
    assert catalog.pending(1) == ()
    [claim] = catalog.claims()
    assert (claim.upload_id, claim.file_name, claim.track_key, claim.claimed_by) == ("u1", "song.mp3", "song", RUN)
    assert catalog.complete("u1", RUN)
    assert (database.status("u1"), database.row("u1").error_message) == ("completed", None)
    assert catalog.claims() == ()


def test_failed_and_tried_again_because_a_person_says_so(catalog: Catalog, database: SqlDatabase) -> None:
    upload = claimed(catalog, database)
    assert catalog.fail("u1", RUN, 'song.mp3 is no audio; it\'s "100%" text: %s {} \\ ; DROP TABLE Uploads')
    assert database.status("u1") == "failed"
    assert database.row("u1").error_message == 'song.mp3 is no audio; it\'s "100%" text: %s {} \\ ; DROP TABLE Uploads'
    assert catalog.pending(1) == ()
    assert catalog.retry("u1")
    assert (database.status("u1"), database.row("u1").error_message) == ("0", None)
    assert catalog.pending(1) == (upload,)


@pytest.mark.parametrize("status", ["0", "processing", "completed", "paused"])
def test_only_what_has_failed_is_tried_again(catalog: Catalog, database: SqlDatabase, status: str) -> None:
    database.add("u1", "song.mp3", processing_status=status)
    assert not catalog.retry("u1")
    assert not catalog.retry("nobody")
    assert database.status("u1") == status


def test_refused(catalog: Catalog, database: SqlDatabase) -> None:
    database.add("u1", "../x")
    assert catalog.refuse("u1", "no")
    assert (database.status("u1"), database.row("u1").error_message) == ("failed", "no")
    assert not catalog.refuse("u1", "no")


# -- whose it is


def test_a_claim_is_given_once(catalog: Catalog, database: SqlDatabase) -> None:
    upload = claimed(catalog, database)
    assert not catalog.claim(upload, "u1", OTHER_RUN)
    assert not catalog.claim(upload, "u1", RUN)
    assert not catalog.claim(Upload("nobody", "x.mp3"), "x", RUN)
    assert not catalog.refuse("u1", "no")
    assert [claim.claimed_by for claim in catalog.claims()] == [RUN]


def test_only_its_holder_ends_it(catalog: Catalog, database: SqlDatabase) -> None:
    claimed(catalog, database)
    assert not catalog.complete("u1", OTHER_RUN)
    assert not catalog.fail("u1", OTHER_RUN, "no")
    assert catalog.release(OTHER_RUN) == ()
    assert (database.status("u1"), len(catalog.claims())) == ("processing", 1)
    assert catalog.complete("u1", RUN)
    assert not catalog.complete("u1", RUN)
    assert not catalog.fail("u1", RUN, "no")
    assert database.status("u1") == "completed"


def test_what_another_program_works_on_is_never_touched(catalog: Catalog, database: SqlDatabase) -> None:
    database.add("theirs", "song.mp3", processing_status="processing")
    claimed(catalog, database)
    assert not catalog.complete("theirs", RUN)
    assert not catalog.fail("theirs", RUN, "no")
    assert catalog.release(RUN) == ("u1",)
    assert catalog.beat(RUN) == 0
    assert database.statuses() == {"theirs": "processing", "u1": "0"}


def test_released_by_a_dead_run_and_done_by_another(catalog: Catalog, database: SqlDatabase) -> None:
    upload, held = claimed(catalog, database), claimed(catalog, database, "u2", OTHER_RUN)
    assert catalog.release(RUN) == ("u1",)
    assert database.statuses() == {"u1": "0", "u2": "processing"}
    assert catalog.pending(10) == (upload,)
    assert catalog.claim(upload, "u1", OTHER_RUN)
    assert not catalog.complete("u1", RUN), "it is not dead after all, but too late"
    assert database.status("u1") == "processing"
    assert catalog.complete("u1", OTHER_RUN)
    assert catalog.complete(held.upload_id, OTHER_RUN)


def test_silence_is_what_makes_a_run_dead(catalog: Catalog, database: SqlDatabase) -> None:
    claimed(catalog, database)
    claimed(catalog, database, "u2", OTHER_RUN)
    let_silence_pass(database, 600)
    assert all(600 <= claim.silent_seconds < 660 for claim in catalog.claims())
    assert catalog.beat(OTHER_RUN) == 1
    assert catalog.release(RUN, silent_seconds=700) == ()
    assert catalog.release(OTHER_RUN, silent_seconds=500) == ()
    assert catalog.release(RUN, silent_seconds=500) == ("u1",)
    assert [(claim.upload_id, claim.silent_seconds < 60) for claim in catalog.claims()] == [("u2", True)]


def test_many_runs_are_told_of_at_once(catalog: Catalog, database: SqlDatabase) -> None:
    for number in range(6):
        claimed(catalog, database, f"u{number}", f"run-{number // 2}")
    let_silence_pass(database, 600)
    assert catalog.beat("run-0", "run-1", "nobody") == 4
    assert [claim.silent_seconds < 60 for claim in catalog.claims()] == [True] * 4 + [False] * 2
    assert catalog.release("run-0", "run-2", silent_seconds=500) == ("u4", "u5")
    assert catalog.release("run-1", "nobody") == ("u2", "u3")
    assert {claim.claimed_by for claim in catalog.claims()} == {"run-0"}


def test_a_status_that_somebody_set_by_hand_stays(catalog: Catalog, database: SqlDatabase) -> None:
    for upload_id in ("u1", "u2", "u3"):
        claimed(catalog, database, upload_id)
    database.sql("UPDATE Uploads SET processing_status = 'paused'")
    assert not catalog.complete("u1", RUN)
    assert not catalog.fail("u2", RUN, "no")
    assert catalog.release(RUN) == ()
    assert set(database.statuses().values()) == {"paused"}
    assert catalog.claims() == ()


def test_a_row_that_was_deleted(catalog: Catalog, database: SqlDatabase) -> None:
    claimed(catalog, database)
    database.sql("DELETE FROM Uploads")
    assert not catalog.complete("u1", RUN)
    assert catalog.claims() == ()


def test_set_back_by_hand_while_it_was_claimed(catalog: Catalog, database: SqlDatabase) -> None:
    """The new claim holds, the old one does not."""
    upload = claimed(catalog, database)
    database.sql("UPDATE Uploads SET processing_status = '0'")
    assert catalog.claim(upload, "u1", OTHER_RUN)
    assert [claim.claimed_by for claim in catalog.claims()] == [OTHER_RUN]
    assert not catalog.complete("u1", RUN)
    assert catalog.release(RUN) == ()
    assert database.status("u1") == "processing"
    assert catalog.complete("u1", OTHER_RUN)


def test_two_uploads_of_one_track_wait_for_each_other(catalog: Catalog, database: SqlDatabase) -> None:
    database.add("u1", "song.mp3")
    database.add("u2", "song.wav")
    first, second = catalog.pending(2)
    assert catalog.claim(first, "song", RUN)
    assert not catalog.claim(second, "song", OTHER_RUN)
    assert database.statuses() == {"u1": "processing", "u2": "0"}
    assert catalog.complete("u1", RUN)
    assert catalog.claim(second, "song", OTHER_RUN)


def test_keys_are_compared_letter_by_letter(catalog: Catalog, database: SqlDatabase) -> None:
    for number, name in enumerate(["song.mp3", "Song.mp3", "söng.mp3"]):
        database.add(f"u{number}", name)
    taken, _ = take(catalog, 10, RUN)
    assert [item.track.key for item in taken] == ["song", "Song", "söng"]


# -- messages


@pytest.mark.parametrize("message", ["\0\udc80\x1b[2J", "ä€日本語😀", "x" * 200_000, "😀" * 30_000, ""])
def test_any_message_is_kept(catalog: Catalog, database: SqlDatabase, message: str) -> None:
    claimed(catalog, database)
    assert catalog.fail("u1", RUN, message)
    kept = database.row("u1").error_message
    assert len(kept) == min(len(message), 10_000)
    assert kept[:5] == message[:5].replace("\0", "\ufffd").replace("\udc80", "\ufffd").replace("\x1b", "\ufffd")
    assert kept.endswith(" [...]") == (len(message) > 10_000)


@pytest.mark.parametrize(
    ("text", "characters", "expected"),
    [("abc", 3, "abc"), ("abcd", 3, "abc"), ("a" * 20, 20, "a" * 20), ("a" * 21, 20, "a" * 14 + " [...]")],
)
def test_cutting(text: str, characters: int, expected: str) -> None:
    assert cut(text, characters) == expected


# -- taking


def test_taking_the_oldest(catalog: Catalog, database: SqlDatabase) -> None:
    for number in range(5):
        database.add(f"u{number}", f"{number}.mp3", uploaded_at=f"2025-11-0{number + 1} 10:00:00")
    taken, refused = take(catalog, 3, RUN)
    assert [(item.upload.upload_id, item.track) for item in taken] == [
        (f"u{number}", Track(f"{number}.mp3")) for number in range(3)
    ]
    assert refused == ()
    assert {claim.upload_id for claim in catalog.claims()} == {"u0", "u1", "u2"}
    assert len(take(catalog, 3, RUN)[0]) == 2
    assert take(catalog, 3, RUN) == ((), ())


def test_hostile_names_stop_nobody_else(catalog: Catalog, database: SqlDatabase) -> None:
    names = ["../../etc/passwd", "a\nb.mp3", "\x1b]0;x\x07.mp3", "good.mp3", "", "'; DROP TABLE Uploads; --", "x" * 255]
    for number, name in enumerate(names):
        database.add(f"u{number}", name, uploaded_at=f"2025-11-0{number + 1} 10:00:00")
    taken, refused = take(catalog, 10, RUN)
    assert [item.track.key for item in taken] == ["good", "'; DROP TABLE Uploads; --"]
    refused_ids = ["u0", "u1", "u2", "u4", "u6"]
    for upload_id, item in zip(refused_ids, refused, strict=True):
        row = database.row(upload_id)
        assert (row.processing_status, row.error_message) == ("failed", item.reason)
        assert item.reason.startswith("the file name '")
        assert item.reason.isprintable()


def test_uploads_of_a_track_in_work_hold_up_nobody(catalog: Catalog, database: SqlDatabase) -> None:
    for number in range(30):
        database.add(f"u{number:02}", "song.mp3", uploaded_at="2025-11-01 10:00:00")
    database.add("u99", "other.mp3", uploaded_at="2025-11-02 10:00:00")
    taken, refused = take(catalog, 2, RUN)
    assert ids(taken) == ["u00", "u99"]
    assert (refused, take(catalog, 2, OTHER_RUN)) == ((), ((), ()))
    assert catalog.complete("u00", RUN)
    assert ids(take(catalog, 2, OTHER_RUN)[0]) == ["u01"]


def test_it_is_all_there_after_a_restart(catalog: Catalog, database: SqlDatabase) -> None:
    claimed(catalog, database)
    with open_catalog(database.url) as again:
        assert [claim.upload_id for claim in again.claims()] == ["u1"]
        assert again.complete("u1", RUN)
    assert catalog.claims() == ()
