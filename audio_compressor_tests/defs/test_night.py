"""The night from end to end, through the schedule's and the sensor's own evaluation and real runs."""

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster import DagsterEventType
from dagster._core.events import StepMaterializationData
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from audio_compressor.batch.model import Progress
from audio_compressor.definitions import build_definitions
from audio_compressor.defs.history import claimed_before, in_flight, known_keys, requested_tag
from audio_compressor.defs.names import (
    COMPRESSED_AUDIO,
    COMPRESSION_JOB,
    RAW_AUDIO,
    RECORDING_DIRECTORY,
    RECORDING_METADATA,
)
from audio_compressor.defs.partitions import RECORDINGS
from audio_compressor.errors import ConnectionLostError
from audio_compressor_tests.fixtures.studio import Studio, metadata_of, partition_states, staleness
from audio_compressor_tests.wav_files import tone, write_wav

NIGHT = datetime(2026, 11, 21, 2, tzinfo=UTC)


def nightly(studio: Studio, instance: dg.DagsterInstance) -> Sequence[dg.RunRequest]:
    """What the schedule requests now."""
    repository = studio.definitions.get_repository_def()
    schedule = repository.get_schedule_def("nightly_compression_schedule")
    with dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=NIGHT,
        repository_def=repository,
        resources=studio.resources.by_name(),
    ) as context:
        return schedule.evaluate_tick(context).run_requests or []


class Sensor:
    """Evaluates the sensor tick by tick and does with its results what the daemon does."""

    def __init__(self, studio: Studio, instance: dg.DagsterInstance) -> None:
        self._studio, self._instance, self._cursor = studio, instance, ""
        self.skip_message: str | None = None

    def tick(self) -> Sequence[dg.RunRequest]:
        repository = self._studio.definitions.get_repository_def()
        sensor = repository.get_sensor_def("new_recordings_sensor")
        with dg.build_sensor_context(
            instance=self._instance,
            cursor=self._cursor,
            repository_def=repository,
            resources=self._studio.resources.by_name(),
        ) as context:
            result = sensor.evaluate_tick(context)
        for request in result.dynamic_partitions_requests or []:
            self._instance.add_dynamic_partitions(str(RECORDINGS.name), list(request.partition_keys))
        for event in result.asset_events:
            self._instance.report_runless_asset_event(event)
        self._cursor = result.cursor or ""
        self.skip_message = result.skip_message
        return result.run_requests or []


def execute(studio: Studio, instance: dg.DagsterInstance, requests: Sequence[dg.RunRequest]) -> list[bool]:
    """Run what was requested; gives which runs succeeded."""
    job = studio.definitions.resolve_job_def(COMPRESSION_JOB)
    return [
        job.execute_in_process(instance=instance, tags=dict(request.tags), raise_on_error=False).success
        for request in requests
    ]


def keys(request: dg.RunRequest) -> tuple[str, str]:
    """The first and the last key of a run; a single one is both."""
    tags, both = request.tags, request.tags.get("dagster/partition")
    return (
        (both, both)
        if both
        else (tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"])
    )


def test_two_bad_recordings_among_ten(studio: Studio, instance: dg.DagsterInstance) -> None:
    good = [f"10-{day}-25" for day in range(10, 18)]
    for directory in good:
        studio.add(directory)
    studio.add_file("10-18-25", b"not audio " * 100)
    studio.add_file("10-19-25", b"")
    requests = nightly(studio, instance)
    assert [keys(request) for request in requests] == [("10-10-25", "10-19-25")]
    assert execute(studio, instance, requests) == [False]

    states = partition_states(instance)
    assert states == {**dict.fromkeys(good, "MATERIALIZED"), "10-18-25": "FAILED", "10-19-25": "FAILED"}
    assert partition_states(instance, RAW_AUDIO)["10-18-25"] == "MATERIALIZED"
    assert partition_states(instance, RECORDING_METADATA)["10-10-25"] == "MATERIALIZED"
    assert studio.leftovers() == []

    # The next night takes the bad ones again, and never a finished one.
    assert [keys(request) for request in nightly(studio, instance)] == [("10-18-25", "10-19-25")]
    write_wav(studio.recordings / "10-18-25" / "StereoMix.wav", tone(1.0))
    write_wav(studio.recordings / "10-19-25" / "StereoMix.wav", tone(1.0))
    for directory in ("10-18-25", "10-19-25"):
        studio.settle(studio.recordings / directory / "StereoMix.wav")
    assert execute(studio, instance, nightly(studio, instance)) == [True]
    assert set(partition_states(instance).values()) == {"MATERIALIZED"}
    assert nightly(studio, instance) == []


def test_the_metadata_is_complete(studio: Studio, instance: dg.DagsterInstance) -> None:
    studio.add("10-17-25", tone(2.0))
    execute(studio, instance, nightly(studio, instance))
    metadata = metadata_of(instance, COMPRESSED_AUDIO, "10-17-25")
    public = {
        "original_size_mb", "compressed_size_mb", "compression_ratio", "duration_seconds", "bitrate_kbps",
        "sample_rate_hz", "channels", "codec", "storage_location", "uri", "sha256", "source_sha256",
        "source_fingerprint", "processed_at", "processing_seconds", "realtime_factor", "ffmpeg_version",
        "ffmpeg_command", "waveform",
    }  # fmt: skip
    assert public <= metadata.keys()
    assert metadata["duration_seconds"] == pytest.approx(2.0, abs=0.05)
    assert (metadata["sample_rate_hz"], metadata["channels"], metadata["storage_location"]) == (16000, 1, "local")
    assert metadata_of(instance, RAW_AUDIO, "10-17-25")["sha256"] == metadata["source_sha256"]
    assert metadata_of(instance, RECORDING_METADATA, "10-17-25")["content"] == {"Recording/Title": "Morning & evening"}


def test_every_recording_has_its_checks(studio: Studio, instance: dg.DagsterInstance) -> None:
    studio.add("10-17-25")
    execute(studio, instance, nightly(studio, instance))
    for name, succeeds in {
        "decodes_to_end": True,
        "duration_matches": True,
        "smaller_than_original": True,
        "bitrate_honoured": False,
        "audible": True,
    }.items():
        records = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(COMPRESSED_AUDIO, name), limit=5
        )
        evaluation = records[0].event.asset_check_evaluation if records[0].event else None
        assert evaluation is not None
        assert (evaluation.passed, evaluation.partition) == (succeeds, "10-17-25"), name


def test_a_recording_that_fails_leaves_the_checks_of_others_as_they_are(
    studio: Studio, instance: dg.DagsterInstance
) -> None:
    """As the UI shows them: none is planned and never evaluated, and each is about the latest materialization."""
    studio.add("10-17-25")
    studio.add_file("10-18-25", b"no sound at all")
    studio.add("10-19-25")
    assert False in execute(studio, instance, nightly(studio, instance))
    check = dg.AssetCheckKey(COMPRESSED_AUDIO, "audible")
    records = instance.event_log_storage.get_asset_check_execution_history(check, limit=10)
    assert {record.status for record in records} == {AssetCheckExecutionRecordStatus.SUCCEEDED}
    infos = instance.event_log_storage.get_asset_check_partition_info([check])
    assert sorted(str(info.partition_key) for info in infos if info.is_current) == ["10-17-25", "10-19-25"]
    assert all(info.latest_target_materialization_storage_id for info in infos if info.partition_key != "10-18-25")


def test_a_night_is_grouped_by_batch_size_and_contiguity(
    studio: Studio, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH_SIZE", "2")
    for day in range(10, 15):
        studio.add(f"10-{day}-25")
    requests = nightly(studio, instance)
    assert [keys(request) for request in requests] == [
        ("10-10-25", "10-11-25"),
        ("10-12-25", "10-13-25"),
        ("10-14-25", "10-14-25"),
    ]
    assert len({request.run_key for request in requests}) == 3


def test_a_changed_source_is_outstanding_again(studio: Studio, instance: dg.DagsterInstance) -> None:
    audio = studio.add("10-17-25")
    execute(studio, instance, nightly(studio, instance))
    assert nightly(studio, instance) == []
    write_wav(audio, tone(1.0))
    studio.settle(audio, age_seconds=1800)
    assert execute(studio, instance, nightly(studio, instance)) == [True]
    assert len(studio.results()) == 3


def test_what_is_running_already_is_not_requested(studio: Studio, instance: dg.DagsterInstance) -> None:
    studio.add("10-17-25")
    [request] = nightly(studio, instance)
    job = studio.definitions.resolve_job_def(COMPRESSION_JOB)
    instance.create_run_for_job(job, tags=dict(request.tags), status=dg.DagsterRunStatus.STARTED)
    assert nightly(studio, instance) == []
    assert Sensor(studio, instance).tick() == []


def test_of_two_runs_for_one_recording_the_first_does_it(studio: Studio, instance: dg.DagsterInstance) -> None:
    studio.add("10-17-25")
    [request] = nightly(studio, instance)
    job = studio.definitions.resolve_job_def(COMPRESSION_JOB)
    instance.create_run_for_job(job, tags=dict(request.tags), status=dg.DagsterRunStatus.STARTED)
    assert execute(studio, instance, [request]) == [True]
    assert studio.results() == []
    assert partition_states(instance) == {"10-17-25": "MISSING"}


def test_a_run_of_the_command_line_is_seen_as_well(studio: Studio, instance: dg.DagsterInstance) -> None:
    """Such runs have an empty selection of assets, not none."""
    studio.add("10-17-25")
    [request] = nightly(studio, instance)
    seen = []

    class Look(Progress):
        def downloading(self, directory: str) -> None:  # noqa: ARG002 - there is only one
            seen.append(in_flight(instance, known_keys(instance)))

    job = build_definitions(studio.settings, Look()).resolve_job_def(COMPRESSION_JOB)
    assert job.execute_in_process(instance=instance, tags=dict(request.tags)).success
    assert [list(claims) for claims in seen] == [["10-17-25"]]


def test_a_recording_is_claimed_until_its_compressed_audio_is_recorded(
    studio: Studio, instance: dg.DagsterInstance
) -> None:
    """Two runs at one instant did a recording twice: the first had recorded its download, and not yet its result."""
    studio.add("10-17-25")
    [request] = nightly(studio, instance)
    job = studio.definitions.resolve_job_def(COMPRESSION_JOB)
    first = instance.create_run_for_job(job, tags=dict(request.tags), status=dg.DagsterRunStatus.STARTED)
    second = instance.create_run_for_job(job, tags=dict(request.tags), status=dg.DagsterRunStatus.STARTED)
    claims = []
    for asset in (RAW_AUDIO, COMPRESSED_AUDIO):
        materialization = dg.AssetMaterialization(asset, partition="10-17-25")
        event = dg.DagsterEvent(
            DagsterEventType.ASSET_MATERIALIZATION.value, COMPRESSION_JOB,
            event_specific_data=StepMaterializationData(materialization),
        )  # fmt: skip
        instance.report_dagster_event(event, first.run_id)
        claims.append(list(claimed_before(instance, second.run_id, [COMPRESSED_AUDIO], ["10-17-25"])))
    assert claims == [["10-17-25"], []]


def test_a_recording_that_another_run_has_finished_stays_green(studio: Studio, instance: dg.DagsterInstance) -> None:
    """The second run, asked for at the same time, fails because of the other recording in its range."""
    studio.add("10-17-25")
    studio.add_file("10-18-25", b"not audio " * 100)
    asked_for = requested_tag(time.time())
    [request] = nightly(studio, instance)
    tags = {**request.tags, **asked_for}
    job = studio.definitions.resolve_job_def(COMPRESSION_JOB)
    for _ in range(2):
        assert not job.execute_in_process(instance=instance, tags=tags, raise_on_error=False).success
    for asset in (RAW_AUDIO, COMPRESSED_AUDIO, RECORDING_METADATA):
        assert partition_states(instance, asset)["10-17-25"] == "MATERIALIZED", asset
    processed = [run for run in instance.get_runs() if run.tags.items() >= asked_for.items()]
    assert len(processed) == 2
    assert metadata_of(instance, COMPRESSED_AUDIO, "10-17-25").get("kept") is None  # published by the first, not again


def test_a_person_who_executes_a_run_again_gets_one_and_an_automatic_retry_does_only_the_rest(
    studio: Studio, instance: dg.DagsterInstance
) -> None:
    studio.add("10-17-25")
    [request] = nightly(studio, instance)
    job = studio.definitions.resolve_job_def(COMPRESSION_JOB)
    first = job.execute_in_process(instance=instance, tags=dict(request.tags))
    lineage = {"dagster/parent_run_id": first.run_id, "dagster/root_run_id": first.run_id}
    kept = []
    for more in ({}, {"dagster/retry_number": "1"}):
        (studio.output / "10-17-25_compressed.wav").unlink(missing_ok=True)
        assert job.execute_in_process(instance=instance, tags={**request.tags, **lineage, **more}).success
        kept.append((studio.output / "10-17-25_compressed.wav").exists())
    assert kept == [True, False]


def test_a_failure_after_a_success_is_outstanding_again(studio: Studio, instance: dg.DagsterInstance) -> None:
    metadata_file = studio.recordings / "10-17-25" / "Meta.xml"
    studio.add("10-17-25", metadata=None)
    metadata_file.mkdir()  # cannot be fetched
    assert execute(studio, instance, nightly(studio, instance)) == [False]
    assert partition_states(instance) == {"10-17-25": "MATERIALIZED"}
    assert partition_states(instance, RECORDING_METADATA) == {"10-17-25": "FAILED"}
    metadata_file.rmdir()
    metadata_file.write_text("<x/>")
    assert execute(studio, instance, nightly(studio, instance)) == [True]
    assert partition_states(instance, RECORDING_METADATA) == {"10-17-25": "MATERIALIZED"}
    assert studio.results() == ["10-17-25_compressed.wav", "10-17-25_meta.xml"]
    assert nightly(studio, instance) == []


def test_too_large_and_missing_audio_are_reported_once_and_requested_never(
    studio: Studio, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_FILE_SIZE_MB", "0.01")
    studio.add("10-17-25")
    studio.add("10-18-25").unlink()
    studio.settle(studio.recordings / "10-18-25" / "StereoMix.wav")
    for _ in range(2):
        assert nightly(studio, instance) == []
    observations = instance.fetch_observations(COMPRESSED_AUDIO, limit=10).records
    reasons = [record.event_log_entry.asset_observation for record in observations]
    assert sorted(str(observation.description) for observation in reasons if observation) == [
        "skipped: 176,444 bytes are more than MAX_FILE_SIZE_MB allows (0.01)",
        "skipped: there is no audio file in the directory",
    ]
    monkeypatch.setenv("MAX_FILE_SIZE_MB", "2000")
    assert [keys(request) for request in nightly(studio, instance)] == [("10-17-25", "10-17-25")]


def test_outputs_of_an_earlier_deployment_are_adopted(studio: Studio, instance: dg.DagsterInstance) -> None:
    studio.output.mkdir()
    for directory in ("10-17-25", "10-18-25"):
        audio = studio.add(directory)
        (studio.output / f"{directory}_compressed.wav").write_bytes(audio.read_bytes()[:1000])
    # The second one's source is younger than its output: it changed after it was compressed.
    long_ago = time.time() - 7200
    os.utime(studio.output / "10-18-25_compressed.wav", (long_ago, long_ago))

    assert [keys(request) for request in nightly(studio, instance)] == [("10-18-25", "10-18-25")]
    metadata = metadata_of(instance, COMPRESSED_AUDIO, "10-17-25")
    assert metadata["adopted"] is True
    assert metadata["uri"] == (studio.output / "10-17-25_compressed.wav").as_uri()


def test_an_output_of_a_recording_that_was_seen_before_is_not_adopted(
    studio: Studio, instance: dg.DagsterInstance
) -> None:
    """It may be of an earlier state of the source: a run was killed after publishing, and the source was replaced."""
    audio = studio.add("10-17-25")
    assert len(nightly(studio, instance)) == 1
    studio.output.mkdir()
    (studio.output / "10-17-25_compressed.wav").write_bytes(audio.read_bytes()[:1000])
    assert [keys(request) for request in nightly(studio, instance)] == [("10-17-25", "10-17-25")]
    assert partition_states(instance) == {"10-17-25": "MISSING"}


def test_the_sensor_waits_until_a_recording_has_settled(
    studio: Studio, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = studio.add("10-17-25")
    studio.settle(audio, age_seconds=-5)  # the server's clock is ahead
    sensor = Sensor(studio, instance)
    assert sensor.tick() == []
    assert "Waiting for 10-17-25" in (sensor.skip_message or "")
    assert instance.get_dynamic_partitions("recordings") == []

    monkeypatch.setenv("SETTLE_SECONDS", "0.001")
    requests = sensor.tick()
    assert [keys(request) for request in requests] == [("10-17-25", "10-17-25")]
    observation = instance.fetch_observations(RECORDING_DIRECTORY, limit=1).records[0].event_log_entry
    assert observation.asset_observation is not None
    assert (
        observation.asset_observation.tags["dagster/data_version"]
        == f"{audio.stat().st_size}-{int(audio.stat().st_mtime)}"
    )
    assert sensor.tick() == []


def test_the_sensor_leaves_what_failed_to_the_night(studio: Studio, instance: dg.DagsterInstance) -> None:
    studio.add_file("10-17-25", b"not audio " * 100)
    sensor = Sensor(studio, instance)
    assert execute(studio, instance, sensor.tick()) == [False]
    assert sensor.tick() == []
    assert "failed before" in (sensor.skip_message or "")
    assert len(nightly(studio, instance)) == 1


def test_an_outage_is_a_skip_with_a_reason_and_growing_pauses(studio: Studio, instance: dg.DagsterInstance) -> None:
    studio.add("10-17-25")
    sensor = Sensor(studio, instance)
    studio.server.stop()
    assert sensor.tick() == []
    first = sensor.skip_message or ""
    assert "cannot be listed" in first
    assert sensor.tick() == []
    assert "(1 attempt," in (sensor.skip_message or "")  # still the pause: the server was not asked again
    with pytest.raises(Exception, match="schedule") as failure:
        nightly(studio, instance)
    assert isinstance(failure.value.__cause__, ConnectionLostError)
    assert instance.get_dynamic_partitions("recordings") == []


def test_a_source_that_changed_is_shown_as_out_of_date(studio: Studio, instance: dg.DagsterInstance) -> None:
    audio = studio.add("10-17-25")
    execute(studio, instance, nightly(studio, instance))
    for asset in (RAW_AUDIO, COMPRESSED_AUDIO):
        assert staleness(studio.definitions, instance, asset, "10-17-25") == "FRESH"
    write_wav(audio, tone(1.0))
    studio.settle(audio, age_seconds=1800)
    nightly(studio, instance)
    assert staleness(studio.definitions, instance, RAW_AUDIO, "10-17-25") == "STALE"
