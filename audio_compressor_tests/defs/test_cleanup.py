"""`retained_audio`: cleaned up by runs that a sensor asks for, recorded, and missed when they stay out."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState, TimeWindowFreshnessPolicy
from dagster._core.definitions.freshness_evaluator import FRESHNESS_EVALUATORS_BY_POLICY_TYPE
from dagster._core.loader import LoadingContextForTest

from audio_compressor.defs.names import CLEANUP_JOB, RETAINED_AUDIO
from audio_compressor.defs.resources import build_retention_resource
from audio_compressor.retention.store import AudioStore
from audio_compressor_tests.cli.commands import audio_compressor
from audio_compressor_tests.fixtures.directories import names_in
from audio_compressor_tests.fixtures.studio import Studio

JOB = "0d3e7b1c-6f0a-4b52-9c3a-1f2e3d4c5b6a"


@pytest.fixture
def store(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AudioStore:
    monkeypatch.setenv("AUDIO_STORAGE_PATH", str(tmp_path / "store"))
    return AudioStore(tmp_path / "store")


@pytest.fixture
def done(store: AudioStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Audio that may go."""
    monkeypatch.setenv("AUDIO_RETENTION_HOURS", "0")
    (tmp_path / "talk").write_bytes(bytes(2_000_000))
    path = store.save(tmp_path / "talk", "talk.wav", JOB).path
    store.finish(JOB, "completed")
    return path


def tick(studio: Studio, instance: dg.DagsterInstance) -> tuple[int, str | None]:
    """How many runs the sensor asks for, or why for none."""
    repository = studio.definitions.get_repository_def()
    resources = {"retention": build_retention_resource(studio.settings)}
    with dg.build_sensor_context(instance=instance, repository_def=repository, resources=resources) as context:
        result = repository.get_sensor_def("cleanup_sensor").evaluate_tick(context)
    return len(result.run_requests or []), result.skip_message


def clean(studio: Studio, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return studio.definitions.resolve_job_def(CLEANUP_JOB).execute_in_process(instance=instance)


def last_metadata(instance: dg.DagsterInstance) -> dict[str, object]:
    [record] = instance.fetch_materializations(RETAINED_AUDIO, limit=1).records
    assert record.asset_materialization
    return {key: value.value for key, value in record.asset_materialization.metadata.items()}


def freshness(studio: Studio, instance: dg.DagsterInstance) -> FreshnessState:
    """As the daemon finds it."""
    node = studio.definitions.resolve_asset_graph().get(RETAINED_AUDIO)
    evaluator = FRESHNESS_EVALUATORS_BY_POLICY_TYPE[TimeWindowFreshnessPolicy]()
    return asyncio.run(evaluator.evaluate_freshness(LoadingContextForTest(instance), node))


def let_pass(instance: dg.DagsterInstance, minutes: int) -> None:
    """As if the last clean-up had been so much earlier."""
    [record] = instance.fetch_materializations(RETAINED_AUDIO, limit=1).records
    entry = record.event_log_entry
    instance.event_log_storage.store_event(entry._replace(timestamp=entry.timestamp - minutes * 60))


def test_a_run_cleans_up_and_records_what_it_did(
    studio: Studio, instance: dg.DagsterInstance, store: AudioStore, done: Path
) -> None:
    (store.directory / "stranger.wav").touch()
    assert tick(studio, instance) == (1, None)
    assert clean(studio, instance).success
    assert names_in(store.directory) == ["stranger.wav"]
    found = last_metadata(instance)
    assert {name: found[name] for name in ("scanned", "deleted", "failed", "kept", "errors")} == {
        "scanned": 2,
        "deleted": 1,
        "failed": 0,
        "kept": 1,
        "errors": [],
    }
    assert found["freed_mb"] == pytest.approx(2.0, abs=0.01)
    assert found["reported"] == ["stranger.wav: it is not one of ours"]
    assert " free" in str(found["space"])


def test_what_could_not_be_deleted_is_shown_and_the_run_goes_well(
    studio: Studio, instance: dg.DagsterInstance, done: Path
) -> None:
    done.unlink()
    done.symlink_to("/nowhere")
    result = clean(studio, instance)
    assert result.success
    [check] = result.get_asset_check_evaluations()
    assert not check.passed
    assert check.description == "1 of 1 could not be judged or deleted"
    assert "is no plain file" in str(last_metadata(instance)["errors"])


def test_where_no_audio_is_kept_there_are_no_runs(studio: Studio, instance: dg.DagsterInstance) -> None:
    runs, reason = tick(studio, instance)
    assert runs == 0
    assert "/app/audio_storage (AUDIO_STORAGE_PATH) is not there" in str(reason)
    assert clean(studio, instance).success  # by hand
    assert last_metadata(instance)["scanned"] == 0


def test_one_cleans_up_at_a_time(studio: Studio, instance: dg.DagsterInstance, done: Path) -> None:
    instance.create_run_for_job(studio.definitions.resolve_job_def(CLEANUP_JOB), status=dg.DagsterRunStatus.STARTED)
    assert tick(studio, instance) == (0, "A run is cleaning up already.")


def test_every_interval_can_be_had(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    for minutes in (1, 7, 60, 90, 10_080):
        monkeypatch.setenv("CLEANUP_INTERVAL_MINUTES", str(minutes))
        sensor = studio.definitions.get_repository_def().get_sensor_def("cleanup_sensor")
        assert sensor.minimum_interval_seconds == minutes * 60
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING


def test_a_clean_up_that_stays_out_is_noticed(
    studio: Studio, instance: dg.DagsterInstance, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEANUP_INTERVAL_MINUTES", "30")
    assert freshness(studio, instance) is FreshnessState.UNKNOWN
    assert clean(studio, instance).success
    assert freshness(studio, instance) is FreshnessState.PASS
    let_pass(instance, minutes=60)
    assert freshness(studio, instance) is FreshnessState.PASS
    let_pass(instance, minutes=20)
    assert freshness(studio, instance) is FreshnessState.WARN
    let_pass(instance, minutes=80)
    assert freshness(studio, instance) is FreshnessState.FAIL
    assert clean(studio, instance).success
    assert freshness(studio, instance) is FreshnessState.PASS


def test_dagster_looks_at_freshness(instance: dg.DagsterInstance) -> None:
    """With the dagster.yaml that is shipped."""
    assert "FRESHNESS_DAEMON" in instance.get_required_daemon_types()


def test_the_command_cleans_up_and_counts_as_a_run(
    studio: Studio, instance: dg.DagsterInstance, store: AudioStore, done: Path, tmp_path: Path
) -> None:
    ended = audio_compressor("cleanup", "--json", cwd=tmp_path)
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert (told["scanned"], told["deleted"], told["failed"], told["errors"]) == (1, 1, 0, [])
    assert told["space"]["free_bytes"] > 0
    assert names_in(store.directory) == []
    assert last_metadata(instance)["deleted"] == 1
    assert freshness(studio, instance) is FreshnessState.PASS
    with_table = audio_compressor("cleanup", cwd=tmp_path)
    assert with_table.code == 0, with_table.err
    assert "scanned" in with_table.out
    assert f"{store.directory}: " in with_table.out


def test_the_command_says_what_it_could_not_delete(studio: Studio, done: Path, tmp_path: Path) -> None:
    done.unlink()
    done.symlink_to("/nowhere")
    ended = audio_compressor("cleanup", cwd=tmp_path)
    assert ended.code == 1
    assert f"{done} is no plain file" in ended.err
    assert "Traceback" not in ended.err


def test_the_command_cleans_up_also_where_the_history_cannot_be_written(
    studio: Studio, store: AudioStore, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "file"))
    ended = audio_compressor("cleanup", cwd=tmp_path)
    assert ended.code == 2
    assert "cannot be opened or written" in ended.err
    assert names_in(store.directory) == []


def test_the_windows_of_the_longest_interval(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEANUP_INTERVAL_MINUTES", "10080")
    policy = studio.definitions.resolve_asset_graph().get(RETAINED_AUDIO).freshness_policy
    assert isinstance(policy, TimeWindowFreshnessPolicy)
    assert policy.fail_window.to_timedelta() == timedelta(weeks=3, hours=1)
