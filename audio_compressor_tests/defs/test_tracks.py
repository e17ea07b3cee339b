"""Tracks in Dagster: from an upload that waits to renditions, and every way in which that ends."""

import json
import pickle
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Engine, event

from audio_compressor.catalog.catalog import open_catalog
from audio_compressor.catalog.rows import Upload
from audio_compressor.definitions import build_definitions
from audio_compressor.defs.names import (
    AAC_AUDIO,
    CLAIM_TAG,
    DATA_VERSION_TAG,
    HLS_RENDITIONS,
    PARENT_RUN_TAG,
    PARTITION_TAG,
    RETRY_NUMBER_TAG,
    ROOT_RUN_TAG,
    STREAMING_JOB,
    TRACK,
    TRACK_PRODUCTS,
)
from audio_compressor.defs.partitions import TRACKS
from audio_compressor.defs.track_night import TrackWatcher, run_tracks
from audio_compressor.defs.track_sensor import MOST_RUNS_PER_TICK
from audio_compressor.errors import ConfigurationError
from audio_compressor.settings import load_settings
from audio_compressor.streaming.model import TrackOutcome, TrackProgress
from audio_compressor_tests.audio.measuring import answering_script
from audio_compressor_tests.cli.commands import audio_compressor
from audio_compressor_tests.fixtures.music import FAILED, PUBLISHED, RAW, Music
from audio_compressor_tests.fixtures.s3_server import Answer, Call, Drop, refusal
from audio_compressor_tests.fixtures.studio import Studio, metadata_of, staleness


def states(instance: dg.DagsterInstance, asset: dg.AssetKey = HLS_RENDITIONS) -> dict[str, str]:
    keys = instance.get_dynamic_partitions("tracks")
    found = instance.get_status_by_partition(asset, list(keys), TRACKS) or {}
    return {key: state.value if (state := found.get(key)) else "MISSING" for key in keys}


@pytest.fixture
def bare(music: Music, monkeypatch: pytest.MonkeyPatch) -> Music:
    monkeypatch.delenv("CATALOG_URL")
    return music


def test_from_an_upload_to_renditions(music: Music, instance: dg.DagsterInstance) -> None:
    music.add("song.wav")
    [result] = music.tick_and_work(instance)
    assert result.success
    assert music.status("song.wav") == "completed"
    assert music.claims() == []
    assert states(instance) == states(instance, AAC_AUDIO) == states(instance, TRACK) == {"song": "MATERIALIZED"}
    names = {key.removeprefix(f"{PUBLISHED}song/") for key in music.server.keys(PUBLISHED)}
    fixed = {name for name in names if "segment_" not in name and "playlist_" not in name}
    assert fixed == {
        "song.m4a",
        "playlist.m3u8",
        "metadata.json",
        *(f"{rendition}/playlist.m3u8" for rendition in ("low", "med", "high")),
    }
    assert {check.check_name: check.passed for check in result.get_asset_check_evaluations()} == {
        "loudness_on_target": True,
        "hls_conforms": True,
    }
    [conforms] = [each for each in result.get_asset_check_evaluations() if each.check_name == "hls_conforms"]
    notes = str(conforms.metadata["notes"].value).split("; ")
    assert len(notes) == len(set(notes))  # each rendition has the same to say
    assert not (music.directory / "staging").exists() or not any((music.directory / "staging").glob("[!.]*"))


def test_the_metadata_takes_the_place_of_a_manifest(music: Music, instance: dg.DagsterInstance) -> None:
    music.add("song.wav", seconds=4)
    music.tick_and_work(instance)
    track, audio, renditions = (metadata_of(instance, asset, "song") for asset in (TRACK, AAC_AUDIO, HLS_RENDITIONS))
    assert track["uri"] == "s3://bucket/tracks/song.wav"
    assert track["size_mb"] == pytest.approx(0.706, abs=0.001)
    assert audio["uri"] == "s3://bucket/mwonya_audio_tracks/song/song.m4a"
    assert audio["loudness_mode"] == "gain"
    assert audio["output_lufs"] == pytest.approx(-14.0, abs=0.1)
    assert audio["input_lufs"] + audio["gain_db"] == pytest.approx(-14.0, abs=0.1)  # type: ignore[operator]
    assert audio["bitrate_kbps"] == 128
    assert renditions["uri"] == "s3://bucket/mwonya_audio_tracks/song/playlist.m3u8"
    assert renditions["segment_type"] == "mpegts"
    assert [line.split(" | ")[0] for line in str(renditions["renditions"]).splitlines()[2:]] == [
        "| low",
        "| med",
        "| high",
    ]
    published = json.loads(music.server.get(f"{PUBLISHED}song/metadata.json"))
    assert published["source"]["sha256"] == track["sha256"]


def test_a_bad_one_fails_alone_and_says_why(music: Music, instance: dg.DagsterInstance) -> None:
    music.add("a-good.wav")
    music.add("b-bad.mp3", b"no sound in here" * 100)
    music.add("c-missing.wav")
    music.server.delete(f"{RAW}c-missing.wav")
    [result] = music.tick_and_work(instance)
    assert not result.success
    assert states(instance) == {"a-good": "MATERIALIZED", "b-bad": "FAILED", "c-missing": "FAILED"}
    assert [music.status(name) for name in ("a-good.wav", "b-bad.mp3", "c-missing.wav")] == [
        "completed",
        "failed",
        "failed",
    ]
    assert "b-bad.mp3 (1600 bytes) holds no sound" in music.error_message("b-bad.mp3")
    assert "s3://bucket/tracks/c-missing.wav does not exist" in music.error_message("c-missing.wav")
    assert music.server.keys(FAILED) == [f"{FAILED}b-bad.mp3", f"{FAILED}b-bad.mp3.error.json"]
    assert "holds no sound" in json.loads(music.server.get(f"{FAILED}b-bad.mp3.error.json"))["reason"]


def test_what_failed_is_left_alone_until_a_person_asks(music: Music, instance: dg.DagsterInstance) -> None:
    music.add("song.wav", b"no sound")
    music.tick_and_work(instance)
    assert music.tick(instance).keys == []
    music.put("song.wav")
    result = music.work(instance, {PARTITION_TAG: "song"})  # as "Materialize" in the UI
    assert result.success
    assert music.status("song.wav") == "completed"
    assert music.server.keys(FAILED) == []


def test_uploads_of_hostile_names_are_refused_alone(music: Music, instance: dg.DagsterInstance) -> None:
    for name in ("../../etc/passwd", "a\x1bb.mp3", "", ".hidden"):
        music.catalog.add(f"upload of {name}", name)
    music.add("song.wav")
    assert music.tick(instance).keys == ["song"]
    assert music.status("../../etc/passwd") == "failed"
    assert "path separator" in music.error_message("../../etc/passwd")


@pytest.mark.parametrize("name", ["high.m4a", "ladder", "raw", "playlist.m3u8"])
def test_names_of_our_own_files(music: Music, instance: dg.DagsterInstance, name: str) -> None:
    music.add(name)
    [result] = music.tick_and_work(instance)
    assert result.success
    assert music.status(name) == "completed"


def test_the_same_again_is_recognised(music: Music, instance: dg.DagsterInstance) -> None:
    music.add("song.wav")
    music.tick_and_work(instance)
    music.catalog.sql("UPDATE Uploads SET processing_status = '0'")
    before = music.server.content(PUBLISHED)
    [result] = music.tick_and_work(instance)
    assert result.success
    assert music.status("song.wav") == "completed"
    assert metadata_of(instance, HLS_RENDITIONS, "song")["was_published_before"] is True
    assert music.server.content(PUBLISHED) == before
    assert {check.check_name for check in result.get_asset_check_evaluations()} == {
        "loudness_on_target",
        "hls_conforms",
    }


def test_other_settings_make_it_anew(
    music: Music, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    music.add("song.wav")
    music.tick_and_work(instance)
    monkeypatch.setenv("TARGET_LUFS", "-20")
    assert music.work(instance, {PARTITION_TAG: "song"}).success
    assert metadata_of(instance, AAC_AUDIO, "song")["output_lufs"] == pytest.approx(-20.0, abs=0.1)
    assert metadata_of(instance, HLS_RENDITIONS, "song")["was_published_before"] is False


def test_a_track_that_was_uploaded_again_is_shown_as_out_of_date(music: Music, instance: dg.DagsterInstance) -> None:
    music.add("song.wav")
    music.tick_and_work(instance)

    def shown() -> list[str]:
        return [staleness(music.definitions, instance, asset, "song") for asset in (AAC_AUDIO, HLS_RENDITIONS)]

    def upload(version: str) -> None:
        event = dg.AssetMaterialization(TRACK, partition="song", tags={DATA_VERSION_TAG: version})
        instance.report_runless_asset_event(event)

    assert shown() == ["FRESH", "FRESH"]
    [record] = instance.fetch_materializations(dg.AssetRecordsFilter(TRACK), limit=1).records
    assert record.asset_materialization
    upload((record.asset_materialization.tags or {})[DATA_VERSION_TAG])
    assert shown() == ["FRESH", "FRESH"]  # it is the same
    upload("7-etag;song.wav")
    assert shown() == ["STALE", "STALE"]


def test_a_track_is_finished_when_all_of_it_is_recorded_the_renditions_last(
    music: Music, instance: dg.DagsterInstance
) -> None:
    recorded: list[list[dg.AssetKey | None]] = []

    class Looking(TrackProgress):
        def finished(self, outcome: TrackOutcome) -> None:
            made = (
                instance.fetch_materializations(dg.AssetRecordsFilter(asset, asset_partitions=[outcome.key]), limit=1)
                for asset in TRACK_PRODUCTS
            )
            found = sorted((found for each in made for found in each.records), key=lambda found: found.storage_id)
            recorded.append([record.asset_key for record in found])

    music.add("song.wav")
    [request] = music.tick(instance).requests
    job = build_definitions(music.settings, track_progress=Looking()).resolve_job_def(STREAMING_JOB)
    assert job.execute_in_process(instance=instance, tags=dict(request.tags)).success
    assert recorded == [[TRACK, AAC_AUDIO, HLS_RENDITIONS]]


@pytest.mark.parametrize("kind", ["mpegts", "fmp4"])
def test_both_kinds_of_segments(
    music: Music, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("HLS_SEGMENT_TYPE", kind)
    monkeypatch.setenv("SEGMENT_DURATION", "2")
    music.add("song.wav", seconds=5)
    [result] = music.tick_and_work(instance)
    assert result.success
    extension = {"mpegts": "ts", "fmp4": "m4s"}[kind]
    segments = [key for key in music.server.keys(f"{PUBLISHED}song/low/") if key.endswith(extension)]
    assert len(segments) == 3


# -- claims


def test_what_a_dead_worker_had_claimed_is_done_by_the_next(
    music: Music, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    for number in range(3):
        music.add(f"song-{number}.wav", seconds=20)
    process = subprocess.Popen(
        [sys.executable, "-m", "audio_compressor", "tracks", "--all"], cwd=tmp_path, stderr=subprocess.PIPE
    )
    while "completed" not in music.catalog.statuses().values():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert "processing" in music.catalog.statuses().values()
    assert len(music.claims()) == 2
    results = music.tick_and_work(instance)
    assert all(result.success for result in results)
    assert set(music.catalog.statuses().values()) == {"completed"}
    assert set(states(instance).values()) == {"MATERIALIZED"}
    assert music.claims() == []


def test_a_claim_whose_run_was_never_created_is_released_after_a_silence(
    music: Music, instance: dg.DagsterInstance
) -> None:
    music.add("song.wav")
    [request] = music.tick(instance).requests
    assert music.tick(instance).keys == []  # the daemon may be about to create it
    music.catalog.sql("UPDATE audio_compressor_claims SET heartbeat_at_seconds = heartbeat_at_seconds - 1000")
    [again] = music.tick(instance).requests
    assert again.tags[CLAIM_TAG] != request.tags[CLAIM_TAG]


def test_a_run_that_has_not_ended_keeps_its_claim(music: Music, instance: dg.DagsterInstance) -> None:
    music.add("song.wav")
    [request] = music.tick(instance).requests
    job = music.definitions.resolve_job_def("streaming_job")
    run = instance.create_run_for_job(job, tags=dict(request.tags), status=dg.DagsterRunStatus.STARTED)
    music.catalog.sql("UPDATE audio_compressor_claims SET heartbeat_at_seconds = heartbeat_at_seconds - 1000")
    assert music.tick(instance).keys == []
    instance.report_run_canceled(run)
    assert music.tick(instance).keys == ["song"]


def test_a_run_that_waits_in_the_queue_keeps_its_claim_from_other_deployments_too(
    music: Music, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    music.add("song.wav")
    [request] = music.tick(instance).requests
    job = music.definitions.resolve_job_def("streaming_job")
    instance.create_run_for_job(job, tags=dict(request.tags), status=dg.DagsterRunStatus.STARTING)
    with dg.DagsterInstance.ephemeral(str(tmp_path)) as other:
        for _ in range(2):  # 20 minutes, in which it does not work yet
            music.catalog.sql("UPDATE audio_compressor_claims SET heartbeat_at_seconds = heartbeat_at_seconds - 600")
            assert music.tick(instance).keys == music.tick(other).keys == []
    assert music.claims() == [request.tags[CLAIM_TAG]]


def test_scattered_uploads_are_taken_a_bounded_number_of_runs_at_a_time(
    music: Music, instance: dg.DagsterInstance
) -> None:
    names = [f"song-{number:03}" for number in range(2 * MOST_RUNS_PER_TICK + 6)]
    instance.add_dynamic_partitions("tracks", names)
    for name in names[::2]:  # those between them are made already
        music.catalog.add(name, f"{name}.wav")
    ticks = [music.tick(instance).keys for _ in range(3)]
    assert [len(keys) for keys in ticks] == [MOST_RUNS_PER_TICK, 3, 0]
    assert [*ticks[0], *ticks[1]] == names[::2]


def test_a_look_asks_as_many_questions_for_many_runs_as_for_a_few(music: Music, instance: dg.DagsterInstance) -> None:
    job = music.definitions.resolve_job_def("streaming_job")

    def questions(runs: int) -> int:
        """To catalogue and history, with so many more claims of runs that wait, and as many of runs nobody knows."""
        for _ in range(runs):
            for known in (True, False):
                name = str(uuid.uuid4())
                upload = Upload(name, f"{name}.wav")
                music.catalog.add(name, upload.file_name)
                with open_catalog(music.catalog.url) as catalog:
                    assert catalog.claim(upload, name, name)
                if known:
                    tags = {CLAIM_TAG: name, PARTITION_TAG: name}
                    instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTING)
        music.catalog.sql("UPDATE audio_compressor_claims SET heartbeat_at_seconds = heartbeat_at_seconds - 100")
        asked: list[str] = []

        def ask(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            asked.append(statement)

        event.listen(Engine, "before_cursor_execute", ask)
        try:
            assert music.tick(instance).requests == []
        finally:
            event.remove(Engine, "before_cursor_execute", ask)
        return len(asked)

    few = questions(1)
    assert questions(5) <= few


def test_two_deployments_on_one_table_make_every_track_once(
    music: Music, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    for number in range(6):
        music.add(f"song-{number}.wav")
    with dg.DagsterInstance.ephemeral(str(tmp_path)) as other:
        ours, theirs = music.tick(instance), music.tick(other)
        keys = {request.tags.get("dagster/asset_partition_range_start") for request in ours.requests}
        assert keys == {"song-0"}
        assert theirs.requests == []
        assert other.get_dynamic_partitions("tracks") == []


def test_another_programs_work_is_left_alone(music: Music, instance: dg.DagsterInstance) -> None:
    music.add("song.wav")
    music.catalog.sql("UPDATE Uploads SET processing_status = 'processing'")
    add = {PARTITION_TAG: "song"}
    instance.add_dynamic_partitions("tracks", ["song"])
    result = music.work(instance, add)
    assert result.success
    assert music.server.keys(PUBLISHED) == []
    assert music.status("song.wav") == "processing"


def test_an_automatic_retry_goes_on_with_what_its_first_attempt_had_claimed(
    music: Music, instance: dg.DagsterInstance
) -> None:
    music.add("song.wav")
    instance.add_dynamic_partitions("tracks", ["song"])
    job = music.definitions.resolve_job_def("streaming_job")
    first = instance.create_run_for_job(job, tags={PARTITION_TAG: "song"}, status=dg.DagsterRunStatus.STARTED)
    with open_catalog(music.catalog.url) as catalog:
        catalog.claim(Upload("upload of song.wav", "song.wav"), "song", first.run_id)
    assert music.tick(instance).keys == []  # the first attempt lives
    assert music.claims() == [first.run_id]
    instance.report_run_failed(first)
    retry = {PARENT_RUN_TAG: first.run_id, ROOT_RUN_TAG: first.run_id, RETRY_NUMBER_TAG: "1", PARTITION_TAG: "song"}
    assert music.work(instance, retry).success
    assert music.status("song.wav") == "completed"


def test_what_a_dead_run_of_the_ui_had_claimed_waits_again_at_once(music: Music, instance: dg.DagsterInstance) -> None:
    music.add("song.wav")
    job = music.definitions.resolve_job_def("streaming_job")
    run = instance.create_run_for_job(job, tags={PARTITION_TAG: "song"}, status=dg.DagsterRunStatus.STARTED)
    with open_catalog(music.catalog.url) as catalog:
        catalog.claim(Upload("upload of song.wav", "song.wav"), "song", run.run_id)
    instance.report_run_failed(run)
    assert music.tick(instance).keys == ["song"]


def test_a_persons_second_run_leaves_the_first_ones_claim_alone(music: Music, instance: dg.DagsterInstance) -> None:
    music.add("song.wav")
    [request] = music.tick(instance).requests
    job = music.definitions.resolve_job_def("streaming_job")
    first = instance.create_run_for_job(job, tags=dict(request.tags), status=dg.DagsterRunStatus.STARTED)
    again = {**request.tags, PARENT_RUN_TAG: first.run_id, ROOT_RUN_TAG: first.run_id}
    assert music.work(instance, again).success
    assert music.status("song.wav") == "processing"
    assert music.claims() == [request.tags[CLAIM_TAG]]
    assert music.server.keys(PUBLISHED) == []


def test_a_run_that_was_never_queued_is_dead_after_a_silence(music: Music, instance: dg.DagsterInstance) -> None:
    music.add("song.wav")
    [request] = music.tick(instance).requests
    job = music.definitions.resolve_job_def("streaming_job")
    instance.create_run_for_job(job, tags=dict(request.tags), status=dg.DagsterRunStatus.NOT_STARTED)
    assert music.tick(instance).keys == []
    music.catalog.sql("UPDATE audio_compressor_claims SET heartbeat_at_seconds = heartbeat_at_seconds - 1000")
    assert music.tick(instance).keys == ["song"]


def test_two_runs_on_one_track(bare: Music, instance: dg.DagsterInstance) -> None:
    bare.put("song.wav")
    instance.add_dynamic_partitions("tracks", ["song"])
    job = bare.definitions.resolve_job_def("streaming_job")
    instance.create_run_for_job(
        job, tags={PARTITION_TAG: "song"}, status=dg.DagsterRunStatus.STARTED, asset_selection={AAC_AUDIO}
    )
    assert bare.tick(instance).keys == []  # it makes all of them, whichever are selected
    assert bare.work(instance, {PARTITION_TAG: "song"}).success
    assert bare.server.keys(PUBLISHED) == []


def test_a_partition_that_looks_like_a_file_is_none_of_another_track(
    music: Music, instance: dg.DagsterInstance
) -> None:
    music.add("song.wav")
    instance.add_dynamic_partitions("tracks", ["song.mp3", "song"])
    tags = {"dagster/asset_partition_range_start": "song.mp3", "dagster/asset_partition_range_end": "song"}
    assert not music.work(instance, tags).success
    assert music.status("song.wav") == "completed"
    assert states(instance) == {"song.mp3": "FAILED", "song": "MATERIALIZED"}


def test_a_second_file_for_a_track_is_refused_as_long_as_the_first_is_there(
    music: Music, instance: dg.DagsterInstance
) -> None:
    music.add("song.wav")
    music.tick_and_work(instance)
    published = music.server.content(PUBLISHED)
    music.add("song.w64", music.wav(2))
    [result] = music.tick_and_work(instance)
    assert not result.success
    assert "the track song is made from song.wav" in music.error_message("song.w64")
    assert music.server.content(PUBLISHED) == published
    music.server.delete(f"{RAW}song.wav")
    assert music.work(instance, {PARTITION_TAG: "song"}).success
    assert music.status("song.w64") == "completed"


# -- faults


def test_renditions_that_do_not_conform_are_not_published(
    music: Music, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_player = 'case "$*" in *http://127.0.0.1*) echo "cannot play it" >&2; exit 1;; esac; exec "$REAL" "$@"'
    monkeypatch.setenv("FFMPEG_BINARY", str(answering_script(tmp_path / "ffmpeg", no_player)))
    music.add("song.wav")
    [result] = music.tick_and_work(instance)
    assert music.server.keys(PUBLISHED) == []
    [logged] = instance.all_logs(result.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    evaluation = logged.get_dagster_event().asset_check_evaluation_data
    assert (evaluation.check_name, evaluation.passed) == ("hls_conforms", False)
    assert "do not conform and are not published" in music.error_message("song.wav")
    assert "cannot play it" in music.error_message("song.wav")


def test_rights_that_go_missing_after_the_look_fail_no_track(music: Music, instance: dg.DagsterInstance) -> None:
    music.add("song.wav")
    [request] = music.tick(instance).requests

    def deny(call: Call) -> Answer | None:
        return refusal(403, "AccessDenied") if call.is_write else None

    with music.server.hooked(before=deny):
        assert not music.work(instance, dict(request.tags)).success
    assert music.status("song.wav") == "0"


def test_an_object_that_may_not_be_read_fails_alone(music: Music, instance: dg.DagsterInstance) -> None:
    for name in ("a.wav", "b.wav"):
        music.add(name)

    def deny_a(call: Call) -> Answer | None:
        return refusal(403, "AccessDenied") if (call.method, call.key) == ("GET", f"{RAW}a.wav") else None

    with music.server.hooked(before=deny_a):
        music.tick_and_work(instance)
    assert [music.status(name) for name in ("a.wav", "b.wav")] == ["failed", "completed"]
    assert "AccessDenied" in music.error_message("a.wav")


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_rights_that_are_missing_fail_no_track(music: Music, instance: dg.DagsterInstance, method: str) -> None:
    for name in ("a.wav", "b.wav"):
        music.add(name)

    def deny(call: Call) -> Answer | None:
        return refusal(403, "AccessDenied") if call.method == method and call.key else None

    with music.server.hooked(before=deny):
        tick = music.tick(instance)
        for request in tick.requests:
            assert not music.work(instance, dict(request.tags)).success
    if method == "PUT":  # which is found out before anything is claimed
        assert "Bucket or catalogue cannot be used since" in str(tick.skip_message)
    assert set(music.catalog.statuses().values()) == {"0"}


def test_an_object_that_is_replaced_during_the_download_is_taken_as_it_is_then(
    music: Music, instance: dg.DagsterInstance
) -> None:
    music.add("song.wav")
    replaced: list[str] = []

    def replace_it(call: Call) -> Answer | None:
        if (call.method, call.key) == ("GET", f"{RAW}song.wav") and not replaced:
            replaced.append(call.key)
            music.put("song.wav", seconds=2)
        return None

    with music.server.hooked(before=replace_it):
        [result] = music.tick_and_work(instance)
    assert result.success
    assert metadata_of(instance, TRACK, "song")["duration_seconds"] == pytest.approx(2.0, abs=0.1)
    assert music.server.keys(FAILED) == []


def test_a_file_that_was_lost_is_made_again(music: Music, instance: dg.DagsterInstance) -> None:
    music.add("song.wav")
    music.tick_and_work(instance)
    [segment, *_] = [key for key in music.server.keys(f"{PUBLISHED}song/low/") if "segment_" in key]
    music.server.delete(segment)
    assert music.work(instance, {PARTITION_TAG: "song"}).success
    assert segment in music.server.keys(PUBLISHED)


def test_the_checks_are_about_the_newest_materialization(music: Music, instance: dg.DagsterInstance) -> None:
    music.add("song.wav")
    [result] = music.tick_and_work(instance)
    for evaluation in result.get_asset_check_evaluations():
        records = instance.fetch_materializations(
            dg.AssetRecordsFilter(evaluation.asset_key, asset_partitions=["song"]), limit=1
        ).records
        assert evaluation.target_materialization_data is not None
        assert evaluation.target_materialization_data.storage_id == records[0].storage_id


def test_a_bucket_that_is_away_fails_no_track(music: Music, instance: dg.DagsterInstance) -> None:
    music.add("song-1.wav")
    music.add("song-2.wav")
    [request] = music.tick(instance).requests

    def away(_: Call) -> Answer | None:
        raise Drop

    with music.server.hooked(before=away):
        result = music.work(instance, dict(request.tags))
        assert not result.success
        assert set(music.catalog.statuses().values()) == {"0"}
        paused = music.tick(instance)
        assert "Bucket or catalogue cannot be used since" in str(paused.skip_message)
        assert music.claims() == []
    assert all(each.success for each in music.tick_and_work(instance))
    assert set(music.catalog.statuses().values()) == {"completed"}


def test_errors_in_mid_upload_are_retried(music: Music, instance: dg.DagsterInstance) -> None:
    music.add("song.wav")
    refused: list[str] = []

    def refuse_each_once(call: Call) -> Answer | None:
        if call.is_write and call.key not in refused:
            refused.append(call.key)
            return refusal(503, "SlowDown")
        return None

    with music.server.hooked(before=refuse_each_once):
        [result] = music.tick_and_work(instance)
    assert result.success
    assert len(refused) > 8
    assert music.status("song.wav") == "completed"


def test_a_full_disk_fails_that_track_with_a_clear_message(
    music: Music, instance: dg.DagsterInstance, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    music.add("song.wav")
    monkeypatch.setenv("TEMP_DIR", str(small_disk))
    [result] = music.tick_and_work(instance)
    assert not result.success
    assert "Free some space or point TEMP_DIR to a larger disk" in music.error_message("song.wav")


# -- without a catalogue


def test_the_listing_alone_drives_it(bare: Music, instance: dg.DagsterInstance) -> None:
    bare.put("song.wav")
    assert [result.success for result in bare.tick_and_work(instance)] == [True]
    assert bare.tick(instance).keys == []
    bare.put("song.wav", seconds=2)
    assert [result.success for result in bare.tick_and_work(instance)] == [True]
    assert bare.tick(instance).keys == []
    assert bare.catalog.statuses() == {}


def test_without_a_table_what_failed_waits_for_another_content(bare: Music, instance: dg.DagsterInstance) -> None:
    bare.put("song.wav", b"no sound")
    bare.tick_and_work(instance)
    left_alone = bare.tick(instance)
    assert left_alone.keys == []
    assert "it failed before, and has not changed since" in str(left_alone.skip_message)
    bare.put("song.wav")
    assert [result.success for result in bare.tick_and_work(instance)] == [True]
    assert states(instance) == {"song": "MATERIALIZED"}
    assert bare.tick(instance).keys == []


def test_of_two_files_with_one_key_the_first_is_the_track(bare: Music, instance: dg.DagsterInstance) -> None:
    bare.put("song.wav")
    bare.tick_and_work(instance)
    bare.put("song.mp3", b"another")
    refused = bare.tick(instance)
    assert refused.keys == []
    assert "the track song is made from song.wav" in str(refused.skip_message)
    bare.put("song.wav", seconds=2)  # now it is the younger one
    assert bare.tick(instance).keys == ["song"]


def test_a_history_that_was_lost_makes_nothing_again(bare: Music, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    bare.put("song.wav")
    bare.tick_and_work(instance)
    before = bare.server.content(PUBLISHED)
    with dg.DagsterInstance.ephemeral(str(tmp_path)) as new:
        assert [result.success for result in bare.tick_and_work(new)] == [True]
        assert states(new) == {"song": "MATERIALIZED"}
    assert bare.server.content(PUBLISHED) == before


# -- which line there is


def test_tracks_alone_need_no_sftp_server(music: Music) -> None:
    definitions = music.definitions
    names = {job.name for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")}
    assert names == {"streaming_job", "track_tidying_job", "cleanup_job", "storage_report_job"}
    dg.Definitions.validate_loadable(definitions)


def test_recordings_alone_need_no_bucket(studio: Studio) -> None:
    names = {job.name for job in studio.definitions.resolve_all_job_defs()}
    assert "compression_job" in names
    assert "streaming_job" not in names


def test_both_lines_beside_each_other(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKS_BUCKET", "music")
    definitions = build_definitions(load_settings())
    assert {"compression_job", "streaming_job"} <= {job.name for job in definitions.resolve_all_job_defs()}
    dg.Definitions.validate_loadable(definitions)


def test_neither_is_a_mistake(music: Music, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRACKS_BUCKET")
    with pytest.raises(ConfigurationError, match="SFTP_HOST is not set"):
        load_settings()


# -- the command


def test_the_command_makes_what_waits(music: Music, tmp_path: Path) -> None:
    music.add("song.wav")
    ended = audio_compressor("tracks", "--all", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert "song" in ended.out
    assert music.status("song.wav") == "completed"
    again = audio_compressor("tracks", "--all", cwd=tmp_path)
    assert again.code == 0
    assert "Nothing to do: no track waits." in again.out


def test_little_is_kept_of_each_track(
    music: Music, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGMENT_DURATION", "1")
    music.add("song.wav", seconds=5)
    night = run_tracks(music.settings, instance, TrackWatcher(), None)
    [track] = night.tracks
    assert (track.key, track.status, track.mode) == ("song", "success", "gain")
    assert track.published_bytes == sum(map(len, music.server.content(PUBLISHED).values())) - len(
        music.server.get(f"{PUBLISHED}song/metadata.json")
    )
    assert track.output_lufs == pytest.approx(-14.0, abs=0.1)
    assert len(pickle.dumps(track)) < 1000  # what is published of it takes ten times that


def test_the_command_makes_what_it_is_told(music: Music, tmp_path: Path) -> None:
    music.add("song-1.wav")
    music.add("song-2.wav")
    music.add("bad.wav", b"no sound")
    ended = audio_compressor("tracks", "song-1", "bad.wav", "nothing", cwd=tmp_path)
    assert ended.code == 1
    assert [music.status(name) for name in ("song-1.wav", "song-2.wav", "bad.wav")] == ["completed", "0", "failed"]
    assert "nothing: refused: there is no such track below tracks/" in ended.out
    assert audio_compressor("tracks", "bad", cwd=tmp_path).code == 2
    assert audio_compressor("tracks", cwd=tmp_path).code == 2


def test_the_command_retries_what_failed(music: Music, tmp_path: Path) -> None:
    music.add("song.wav", b"no sound")
    assert audio_compressor("tracks", "--all", cwd=tmp_path).code == 2
    music.put("song.wav")
    assert audio_compressor("tracks", "--all", cwd=tmp_path).code == 0
    assert music.status("song.wav") == "completed"


def test_an_interrupted_command_gives_its_claims_back(music: Music, tmp_path: Path) -> None:
    for number in range(3):
        music.add(f"song-{number}.wav", seconds=30)
    process = subprocess.Popen(
        [sys.executable, "-m", "audio_compressor", "tracks", "--all"], cwd=tmp_path, stderr=subprocess.PIPE
    )
    while "processing" not in music.catalog.statuses().values() or not (tmp_path / "staging").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err.decode()
    assert "Traceback" not in err.decode()
    assert "processing" not in music.catalog.statuses().values()
    assert music.claims() == []
    assert [path.name for path in (tmp_path / "staging").iterdir() if not path.name.startswith(".")] == []


def test_a_password_of_the_catalogue_is_never_shown(
    music: Music, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CATALOG_URL", "postgresql://app:hunter2@127.0.0.1:1/uploads")
    music.put("song.wav")
    ended = audio_compressor("tracks", "--all", cwd=tmp_path)
    assert ended.code == 2
    assert "hunter2" not in ended.out + ended.err
    assert "127.0.0.1" in ended.err


def test_the_doctor_of_tracks_alone_says_what_is_wrong_at_once(
    music: Music, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    music.add("song.wav")
    well = audio_compressor("doctor", cwd=tmp_path)
    assert well.code == 0, well.err
    assert "1 tracks below tracks/" in well.out
    assert "1 uploads wait in the database" in well.out
    assert "can write AAC for tracks\n" in well.out
    monkeypatch.setenv("TRACKS_BUCKET", "nowhere")
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:9")
    ill = audio_compressor("doctor", cwd=tmp_path)
    assert ill.code == 2
    assert "cannot connect to 127.0.0.1:9; check S3_ENDPOINT_URL" in ill.out
    assert ill.err == ""  # no second and third attempt, and no word of them
