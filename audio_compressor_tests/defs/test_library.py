"""The library in Dagster: from a look at it to archived recordings, and every way in which that ends."""

import json
import os
from pathlib import Path

import dagster as dg
import pytest

from audio_compressor.archive.protocol import Step
from audio_compressor.archive.records import Records
from audio_compressor.audio.ffmpeg import find_ffmpeg
from audio_compressor.defs.names import (
    ARCHIVE_JOB,
    ARCHIVE_PLAN,
    ARCHIVED_AUDIO,
    DATA_VERSION_TAG,
    PARENT_RUN_TAG,
    PARTITION_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    REQUESTED_TAG,
)
from audio_compressor_tests.fixtures.library import CLIP_SECONDS, NO_SOUND, Shelf, library_states, observed
from audio_compressor_tests.fixtures.s3_server import BUCKET, S3Server
from audio_compressor_tests.fixtures.studio import metadata_of

A_REQUEST = {REQUESTED_TAG: "2026-01-01T00:00:00+00:00"}


def version_of(instance: dg.DagsterInstance, key: str) -> str:
    wanted = dg.AssetRecordsFilter(ARCHIVED_AUDIO, asset_partitions=[key])
    [record] = instance.fetch_materializations(wanted, limit=1).records
    assert record.asset_materialization
    assert record.asset_materialization.tags
    return record.asset_materialization.tags[DATA_VERSION_TAG]


def test_what_is_due_is_requested_and_done_and_nothing_else(shelf: Shelf, instance: dg.DagsterInstance) -> None:
    shelf.add("z/oldest.webm", days=60)
    shelf.add("b.webm", days=10)
    shelf.add("a/c.webm", days=9)
    shelf.add("young.webm", days=2)
    os.utime(shelf.add("still written.webm", days=20))
    [request], _ = shelf.tick(instance)
    assert (request.tags[RANGE_START_TAG], request.tags[RANGE_END_TAG]) == ("z/oldest.webm", "a/c.webm")
    # By age, and none for what may yet get another name.
    assert list(library_states(instance)) == ["z/oldest.webm", "b.webm", "a/c.webm", "young.webm"]
    result = shelf.work(instance, dict(request.tags))
    assert result.success
    assert shelf.files() == ["a/c.opus", "b.opus", "still written.webm", "young.webm", "z/oldest.opus"]
    assert set(library_states(instance).items()) == {
        ("z/oldest.webm", "MATERIALIZED"),
        ("b.webm", "MATERIALIZED"),
        ("a/c.webm", "MATERIALIZED"),
        ("young.webm", "MISSING"),
    }
    requests, why_none = shelf.tick(instance)
    assert requests == []
    assert str(why_none).startswith("0 of 5 recordings are due.")
    assert "Waiting for: still written.webm: changed" in str(why_none)
    assert shelf.leftovers() == []


def test_the_metadata_tells_what_was_done(shelf: Shelf, instance: dg.DagsterInstance) -> None:
    shelf.add("talk.webm", days=10)
    shelf.tick_and_work(instance)
    with shelf.open() as library:
        record = Records(library.layout).read("talk.webm")
    assert record
    assert record.copy
    assert record.original
    found = metadata_of(instance, ARCHIVED_AUDIO, "talk.webm")
    size_bytes = (shelf.root / "talk.opus").stat().st_size
    assert found["original_size_mb"] == pytest.approx(len(shelf.clip) / 1e6, abs=0.001)
    assert found["compressed_size_mb"] == pytest.approx(size_bytes / 1e6, abs=0.001)
    assert found["saved_mb"] == pytest.approx((len(shelf.clip) - size_bytes) / 1e6, abs=0.001)
    assert found["compression_ratio"] == pytest.approx(len(shelf.clip) / size_bytes, abs=0.01)
    assert found["duration_seconds"] == pytest.approx(CLIP_SECONDS, abs=0.1)
    assert found["proof_duration_seconds"] == pytest.approx(CLIP_SECONDS, abs=0.1)
    assert found["proof_share_within_tolerance"] == 1.0
    assert found["sha256"] == record.copy.sha256
    assert found["source_sha256"] == found["made_from"] == record.original.sha256
    assert version_of(instance, "talk.webm") == f"{record.original.sha256};{record.copy.sha256}"
    assert {name: found[name] for name in ("codec", "bitrate_kbps", "tier", "location", "uri")} == {
        "codec": "opus",
        "bitrate_kbps": 96,
        "tier": "Opus 96k from 7 days",
        "location": "local",
        "uri": (shelf.root / "talk.opus").as_uri(),
    }
    assert found["reason"] == "Opus 96k from 7 days: 10 days old, by recorded_at in its document"
    assert found["age_days"] == pytest.approx(10, abs=0.01)


def test_the_plan_is_shown_before_anything_is_done(shelf: Shelf, instance: dg.DagsterInstance) -> None:
    shelf.add("a|b.webm", days=10)
    shelf.add("young.webm", days=1)
    shelf.tick_and_work(instance)
    [plan] = instance.fetch_observations(ARCHIVE_PLAN, limit=5).records
    [done] = instance.fetch_materializations(ARCHIVED_AUDIO, limit=5).records
    assert plan.storage_id < done.storage_id
    assert plan.asset_observation
    found = {name: value.value for name, value in plan.asset_observation.metadata.items()}
    assert (found["recordings"], found["due"], found["library_recordings"], found["library_due"]) == (1, 1, 2, 1)
    [row] = str(found["plan"]).splitlines()[2:]
    assert row.startswith(r"| a\|b.webm | Opus 96k | Opus 96k from 7 days | 10.0 |")
    assert [line.split(" | ")[0] for line in str(found["library_tiers"]).splitlines()[2:]] == [
        "| keep from 0 days",
        "| Opus 96k from 7 days",
    ]


def test_a_backfill_tells_again_what_is_done_and_says_why_of_the_others(
    shelf: Shelf, instance: dg.DagsterInstance
) -> None:
    shelf.add("done.webm", days=10)
    shelf.add("gone.webm", days=9)
    shelf.add("young.webm", days=1)
    shelf.tick_and_work(instance)
    version = version_of(instance, "done.webm")
    (shelf.root / "gone.opus").unlink()
    assert shelf.backfill(instance).success
    assert metadata_of(instance, ARCHIVED_AUDIO, "done.webm")["was_archived_before"] is True
    assert version_of(instance, "done.webm") == version
    verdict, reason = observed(instance, "young.webm")
    assert (verdict, reason) == ("kept", "keep from 0 days: 1.0 days old, by recorded_at in its document")
    verdict, reason = observed(instance, "gone.webm")
    assert verdict == "doubt"
    assert "gone.opus is missing" in reason
    instance.add_dynamic_partitions("library_files", ["never.webm"])
    assert shelf.work(instance, {PARTITION_TAG: "never.webm"}).success
    assert observed(instance, "never.webm")[0] == "gone"


def test_a_bad_one_fails_alone_and_is_tried_again_only_by_a_person(shelf: Shelf, instance: dg.DagsterInstance) -> None:
    bad = shelf.add("bad.webm", days=20, content=NO_SOUND)
    shelf.add("good.webm", days=10)
    [result] = shelf.tick_and_work(instance)
    assert not result.success
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert "1 of 2 recordings failed, and are as they were.\nbad.webm: bad.webm cannot be opened" in str(
        failure.step_failure_data.error
    )
    assert library_states(instance) == {"bad.webm": "FAILED", "good.webm": "MATERIALIZED"}
    assert bad.read_bytes() == NO_SOUND
    assert shelf.tick(instance)[0] == []

    only_bad = {PARTITION_TAG: "bad.webm"}
    assert shelf.work(instance, {**only_bad, **A_REQUEST}).success  # asked for by nobody
    assert observed(instance, "bad.webm")[0] == "refused"
    by_hand = shelf.work(instance, only_bad)
    assert not by_hand.success
    assert observed(instance, "bad.webm")[0] == "failed"
    once_more = shelf.work(instance, {**only_bad, **A_REQUEST, PARENT_RUN_TAG: by_hand.run_id})  # "Re-execute"
    assert not once_more.success


def test_where_the_policy_says_dry_run_nothing_is_done(
    shelf: Shelf, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.add("before.webm", days=10)
    shelf.tick_and_work(instance)
    (tmp_path / "policy.json").write_text(json.dumps({"age_threshold_days": 7, "dry_run": True}))
    monkeypatch.setenv("ARCHIVE_POLICY", str(tmp_path / "policy.json"))
    monkeypatch.setenv("TRASH_DAYS", "0.000001")
    shelf.add("talk.webm", days=10)
    requests, why_none = shelf.tick(instance)
    assert requests == []
    assert "1 of 2 recordings are due" in str(why_none)
    assert "'dry_run' is true: nothing is done until it is false" in str(why_none)
    assert shelf.backfill(instance).success
    assert observed(instance, "talk.webm") == ("due", "the policy says dry_run")
    assert shelf.tidy(instance).success
    assert shelf.files() == ["before.opus", "talk.webm"]
    assert shelf.trash() == ["before.webm"]


def test_a_deletion_is_told_and_told_again(
    shelf: Shelf, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "policy.json").write_text(json.dumps({"tiers": [{"after_days": 5, "action": "delete"}]}))
    monkeypatch.setenv("ARCHIVE_POLICY", str(tmp_path / "policy.json"))
    shelf.add("talk.webm", days=10)
    for tell in (shelf.tick_and_work, shelf.backfill):
        tell(instance)
        assert metadata_of(instance, ARCHIVED_AUDIO, "talk.webm")["location"] == "deleted"
    assert shelf.files() == []
    assert shelf.trash() == ["talk.webm"]
    assert library_states(instance) == {"talk.webm": "MATERIALIZED"}


def test_what_goes_to_cold_storage(
    shelf: Shelf, instance: dg.DagsterInstance, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the default policy, where there is a bucket for it."""
    monkeypatch.setenv("COLD_BUCKET", BUCKET)
    monkeypatch.setenv("S3_ENDPOINT_URL", s3_server.url)
    shelf.add("2026/talk.webm", days=40)
    shelf.tick_and_work(instance)
    found = metadata_of(instance, ARCHIVED_AUDIO, "2026/talk.webm")
    [key] = s3_server.keys("archive/2026/")
    assert s3_server.get(key) == shelf.clip
    assert (found["location"], found["uri"], found["storage_class"]) == ("s3", f"s3://{BUCKET}/{key}", "STANDARD_IA")
    assert found["saved_mb"] == found["original_size_mb"] == found["compressed_size_mb"]
    assert shelf.files() == []
    assert shelf.tick(instance)[0] == []
    shelf.backfill(instance)
    assert metadata_of(instance, ARCHIVED_AUDIO, "2026/talk.webm")["reason"] == "lies in cold storage"


def test_what_an_earlier_run_works_on_is_left_to_it(shelf: Shelf, instance: dg.DagsterInstance) -> None:
    shelf.add("a.webm", days=20)
    shelf.add("b.webm", days=10)
    [request], _ = shelf.tick(instance)
    job = shelf.definitions.resolve_job_def(ARCHIVE_JOB)
    other = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={PARTITION_TAG: "a.webm"})
    assert [each.tags[PARTITION_TAG] for each in shelf.tick(instance)[0]] == ["b.webm"]
    assert shelf.work(instance, dict(request.tags)).success
    assert observed(instance, "a.webm") == ("waiting", f"the run {other.run_id} works on it")
    assert shelf.files() == ["a.webm", "b.opus"]


class Killed(BaseException):
    """Nothing catches it, as nothing catches a SIGKILL."""


def interrupt(shelf: Shelf, at: Step) -> None:
    """Archive what is due, and stop dead at this step."""

    def stop(step: Step) -> None:
        if step is at:
            raise Killed

    with shelf.open() as library:
        library.begin()
        library.changing.on_step = stop
        due = library.look().plan.due
        with pytest.raises(Killed):
            list(library.archive(due, find_ffmpeg(shelf.settings.ffmpeg_binary), 1))


def test_upkeep_finishes_what_was_interrupted_and_tells_dagster(shelf: Shelf, instance: dg.DagsterInstance) -> None:
    shelf.add("talk.webm", days=10)
    shelf.tick(instance)
    interrupt(shelf, Step.RECORD_WRITTEN)
    assert shelf.files() == ["talk.opus", "talk.webm"]
    assert shelf.tidy(instance).success
    assert shelf.files() == ["talk.opus"]
    assert shelf.leftovers() == []
    assert library_states(instance) == {"talk.webm": "MATERIALIZED"}
    assert metadata_of(instance, ARCHIVED_AUDIO, "talk.webm")["reason"] == "was archived without Dagster"
    told = len(instance.fetch_materializations(ARCHIVED_AUDIO, limit=5).records)
    assert shelf.tidy(instance).success
    assert len(instance.fetch_materializations(ARCHIVED_AUDIO, limit=5).records) == told


def test_upkeep_empties_the_trash_but_for_what_nothing_stands_for(
    shelf: Shelf, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.add("a.webm", days=20)
    shelf.add("b.webm", days=10)
    shelf.tick_and_work(instance)
    assert shelf.tidy(instance).success
    assert shelf.trash() == ["a.webm", "b.webm"]
    monkeypatch.setenv("TRASH_DAYS", "0.000001")
    copy = shelf.root / "b.opus"
    copy.write_bytes(bytes(copy.stat().st_size))
    night = shelf.tidy(instance)
    assert not night.success
    [failure] = [event for event in night.all_events if event.is_step_failure]
    assert "b.opus is not what was archived any more" in str(failure.step_failure_data.error)
    assert shelf.trash() == ["b.webm"]
    messages = [entry.user_message for entry in instance.all_logs(night.run_id)]
    freed = f"{len(shelf.clip) / 1e6:.3f}"
    assert f"1 files removed from the trash, {freed} MB are free again" in messages


def test_what_the_ui_shows(shelf: Shelf) -> None:
    repository = shelf.definitions.get_repository_def()
    assets = {key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()}
    assert {"archived_audio", "archive_plan"} <= assets
    for key in (ARCHIVED_AUDIO, ARCHIVE_PLAN):
        node = repository.asset_graph.get(key)
        assert node.description
        assert node.owners
        assert node.kinds
        assert node.group_name == "library"
    for name in ("archive_schedule", "archive_upkeep_schedule"):
        assert repository.get_schedule_def(name).cron_schedule == "0 3 * * *"
        assert repository.get_schedule_def(name).description
