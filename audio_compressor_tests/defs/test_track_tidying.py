"""The nights in which what tracks have left behind is removed from the bucket; every one of it, in the end."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from audio_compressor.defs.names import PARTITION_TAG
from audio_compressor.defs.resources import build_track_resources
from audio_compressor_tests.fixtures.music import PUBLISHED, Music
from audio_compressor_tests.fixtures.s3_server import BUCKET, Answer, Call, refusal


def tidy(music: Music, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = music.definitions.resolve_job_def("track_tidying_job")
    return job.execute_in_process(instance=instance, raise_on_error=False)


def let_pass(music: Music, instance: dg.DagsterInstance, days: int) -> None:
    """As if everything had happened so much earlier, in the bucket and in the history."""
    music.server.age(timedelta(days=days))
    history = Path(instance.root_directory) / "history"
    for database, statement in (
        ("runs.db", "UPDATE runs SET start_time = start_time - :days * 86400"),
        ("runs/index.db", "UPDATE event_logs SET timestamp = datetime(timestamp, '-' || :days || ' days')"),
    ):
        with closing(sqlite3.connect(history / database)) as connection, connection:
            connection.execute(statement, {"days": days})


def made_twice(music: Music, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, *names: str) -> set[str]:
    """Publish tracks, and replace them; the files that are of their first versions alone."""
    for name in names:
        music.add(f"{name}.wav")
    music.tick_and_work(instance)
    before = set(music.server.keys(PUBLISHED))
    with monkeypatch.context() as patch:
        patch.setenv("TARGET_LUFS", "-20")
        for name in names:
            assert music.work(instance, {PARTITION_TAG: name}).success
    assert set(music.server.keys(PUBLISHED)) > before
    return {key for key in before if "segment_" in key or "playlist_" in key}


def test_a_replaced_version_is_removed_when_nobody_plays_it_any_more(
    music: Music, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = made_twice(music, instance, monkeypatch, "song")
    both = set(music.server.keys(PUBLISHED))
    assert tidy(music, instance).success
    assert set(music.server.keys(PUBLISHED)) == both  # somebody may have begun to listen a minute ago
    music.server.age(timedelta(days=2))
    assert tidy(music, instance).success
    assert set(music.server.keys(PUBLISHED)) == both - old


def test_what_was_too_young_before_two_weeks_without_a_night_is_removed_after_them(
    music: Music, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = made_twice(music, instance, monkeypatch, "song")
    assert tidy(music, instance).success
    assert old <= set(music.server.keys(PUBLISHED))
    let_pass(music, instance, days=14)
    assert tidy(music, instance).success
    assert old.isdisjoint(music.server.keys(PUBLISHED))


def test_a_track_that_could_not_be_looked_at_is_looked_at_by_a_later_night(
    music: Music, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = made_twice(music, instance, monkeypatch, "a", "b")
    let_pass(music, instance, days=3)

    def deny_a(call: Call) -> Answer | None:
        is_a = call.method == "GET" and call.key.startswith(f"{PUBLISHED}a/")
        return refusal(403, "AccessDenied") if is_a else None

    with music.server.hooked(before=deny_a):
        night = tidy(music, instance)
    assert not night.success
    [failure] = [event for event in night.all_events if event.is_step_failure]
    assert "1 tracks could not be looked at" in str(failure.step_failure_data.error)
    assert {key.split("/")[1] for key in old.intersection(music.server.keys(PUBLISHED))} == {"a"}
    assert tidy(music, instance).success
    assert old.isdisjoint(music.server.keys(PUBLISHED))


def test_what_a_track_that_failed_had_written_is_removed(music: Music, instance: dg.DagsterInstance) -> None:
    music.add("song.wav")

    def refuse_playlists(call: Call) -> Answer | None:
        return refusal(400, "InvalidRequest") if call.method == "PUT" and "/playlist_" in call.key else None

    with music.server.hooked(before=refuse_playlists):
        [result] = music.tick_and_work(instance)
    assert not result.success
    assert [key for key in music.server.keys(PUBLISHED) if "segment_" in key]
    let_pass(music, instance, days=2)
    assert tidy(music, instance).success
    assert not [key for key in music.server.keys(PUBLISHED) if "segment_" in key]


def test_uploads_in_parts_that_were_never_finished_are_given_up(music: Music, instance: dg.DagsterInstance) -> None:
    key = f"{PUBLISHED}song/song.m4a"
    with build_track_resources(music.settings).open_bucket() as bucket, bucket.client.calls(key) as client:
        client.create_multipart_upload(Bucket=BUCKET, Key=key)
    assert tidy(music, instance).success
    assert music.server.unfinished() == [key]  # it may be on its way
    music.server.uploads_begun_at -= timedelta(days=1)
    assert tidy(music, instance).success
    assert music.server.unfinished() == []
