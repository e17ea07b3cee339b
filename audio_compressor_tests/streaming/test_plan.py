"""What is to be made, and what is left alone with which reason."""

from datetime import UTC, datetime

import pytest

from audio_compressor.catalog.catalog import open_catalog
from audio_compressor.streaming.plan import Known, explain_plan, plan_listing, plan_uploads
from audio_compressor.tracks.raw import RawListing, RawObject
from audio_compressor.tracks.track import Refused, Track
from audio_compressor_tests.fixtures.music import Music

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def listing(**etags: str) -> RawListing:
    objects = tuple(RawObject(Track(f"{key}.mp3"), 5, etag, NOW) for key, etag in etags.items())
    return RawListing(objects, (Refused("a/b", "the name holds a path separator"),), NOW)


@pytest.mark.parametrize(
    ("known", "waiting", "done", "failed"),
    [
        (Known(), {"song": "new"}, 0, []),
        (Known(successes={"song": "5-b"}), {}, 1, []),
        (Known(successes={"song": "5-a"}), {"song": "changed"}, 0, []),
        (Known(failures={"song": "5-b"}), {}, 0, ["song.mp3"]),
        (Known(failures={"song": "5-a"}), {"song": "new"}, 0, []),
        (Known(successes={"song": "5-b"}, failures={"song": "5-b"}), {}, 0, ["song.mp3"]),
        (Known(successes={"song": "5-b"}, in_flight=["song"]), {}, 0, []),
    ],
)
def test_a_listing(known: Known, waiting: dict[str, str], done: int, failed: list[str]) -> None:
    plan = plan_listing(listing(song="b"), known)
    assert {item.track.key: item.reason for item in plan.waiting} == waiting
    assert plan.done == done
    assert [item.file_name for item in plan.failed] == failed
    assert plan.in_flight == tuple(known.in_flight)
    assert [item.file_name for item in plan.refused] == ["a/b"]


def test_what_failed_is_tried_again_when_somebody_asks() -> None:
    plan = plan_listing(listing(song="b"), Known(failures={"song": "5-b"}), again=True)
    assert [(item.track.key, item.reason) for item in plan.waiting] == [("song", "it failed before")]


def test_the_first_of_many() -> None:
    plan = plan_listing(listing(a="1", b="2", c="3"), Known())
    assert plan.keys == ("a", "b", "c")
    assert plan.first(2).keys == ("a", "b")


def test_in_words() -> None:
    plan = plan_listing(listing(**{f"song{number}": "b" for number in range(7)}), Known())
    assert explain_plan(plan) == (
        "7 tracks to make.\n"
        "To make (new): song0, song1, song2, song3, song4 and 2 more.\n"
        "Refused a/b: the name holds a path separator."
    )


def test_uploads(music: Music) -> None:
    for number in range(4):
        music.catalog.add(f"id-{number}", f"song-{number}.mp3", uploaded_at=f"2026-01-0{number + 1}")
    music.catalog.add("id-4", "song-1.wav", uploaded_at="2026-01-05")  # would be the track song-1, too
    music.catalog.sql("UPDATE Uploads SET processing_status = 'failed' WHERE upload_id = 'id-2'")
    with open_catalog(music.catalog.url) as catalog:
        plan = plan_uploads(catalog, 10, ["song-0"])
        assert plan.keys == ("song-1", "song-3")
        assert plan.in_flight == ("song-0",)
        assert plan_uploads(catalog, 1, []).keys == ("song-0",)
        assert plan_uploads(catalog, 1, ["song-0"]).keys == ("song-1",)  # what is in work holds up nobody
        assert plan_uploads(catalog, 10, [], again=True).keys == ("song-0", "song-1", "song-3", "song-2")
        claimed = plan.waiting[0].upload
        assert claimed is not None
        catalog.claim(claimed, "song-1", "somebody")
        assert plan_uploads(catalog, 10, []).in_flight == ("song-1",)  # its other upload waits for its turn
