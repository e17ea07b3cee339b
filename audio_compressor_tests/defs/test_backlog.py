"""More than fits into one look, a long history, and what operators may delete of it."""

import os
import time
from collections import Counter
from pathlib import Path

import dagster as dg

from audio_compressor.batch.model import Outcome
from audio_compressor.defs.bulk_events import report_events
from audio_compressor.defs.events import directory_observed, outcome_events, skip_observed
from audio_compressor.defs.history import claimed_before, known_keys, read_history
from audio_compressor.defs.intake import Surveyor
from audio_compressor.defs.looking import MOST_PER_TICK
from audio_compressor.defs.names import COMPRESSED_AUDIO, COMPRESSION_JOB, RECORDING_DIRECTORY, RECORDING_PRODUCTS
from audio_compressor.intake.plan import Skip
from audio_compressor.intake.ranges import KeyOrder
from audio_compressor.recording import Fingerprint, Recording
from audio_compressor.retries import Retry
from audio_compressor_tests.defs.test_night import Sensor, execute, keys, nightly
from audio_compressor_tests.defs.test_report import report
from audio_compressor_tests.fixtures.studio import Studio

ONCE = Retry(attempts=1, delay_seconds=0)


def add_many(studio: Studio, count: int, year: int, *, audio: bool = True) -> list[str]:
    """Settled directories; what is in their audio files is never read."""
    then = time.time() - 3600
    names = [f"{1 + number // 28:02}-{1 + number % 28:02}-{year}" for number in range(count)]
    for name in names:
        directory = studio.recordings / name
        directory.mkdir()
        if audio:
            (directory / "StereoMix.wav").write_bytes(b"RIFF")
            os.utime(directory / "StereoMix.wav", (then, then))
        os.utime(directory, (then, then))
    return names


def untouched_for_a_week(directory: Path) -> None:
    a_week_ago = time.time() - 7 * 24 * 3600
    os.utime(directory, (a_week_ago, a_week_ago))


def test_a_backlog_is_taken_tick_by_tick_none_lost_and_none_twice(studio: Studio, instance: dg.DagsterInstance) -> None:
    half = MOST_PER_TICK // 2 + 5
    new = [*add_many(studio, half, 24), *add_many(studio, half, 25)]
    sensor = Sensor(studio, instance)
    ticks = [sensor.tick() for _ in range(3)]
    order = KeyOrder(known_keys(instance))
    requested = [[key for request in tick for key in order.between(*keys(request))] for tick in ticks]
    assert [len(found) for found in requested] == [MOST_PER_TICK, 10, 0]
    assert Counter(key for found in requested for key in found) == Counter(new)
    assert list(known_keys(instance)) == new


def test_what_there_is_to_say_of_skipped_ones_is_bounded_too(studio: Studio, instance: dg.DagsterInstance) -> None:
    new, empty = add_many(studio, 5, 24), add_many(studio, 8, 25, audio=False)
    surveyor, recorded = Surveyor(instance, studio.resources), []
    for _ in range(4):
        survey = surveyor.fresh(ONCE, most=6)
        survey.record(instance)
        recorded.append(len(survey.events))
    assert recorded == [6, 6, 1, 0]
    assert sorted(known_keys(instance)) == sorted([*new, *empty])
    assert set(read_history(instance).skips) == set(empty)


def test_a_night_takes_all_that_failed_before_and_leaves_the_rest_of_the_new_ones_to_the_sensor(
    studio: Studio, instance: dg.DagsterInstance
) -> None:
    failed = add_many(studio, 3, 24)
    assert not any(execute(studio, instance, nightly(studio, instance)))
    new = add_many(studio, 3, 25)
    surveyor = Surveyor(instance, studio.resources)
    night = surveyor.everything_outstanding(ONCE, most_fresh=2)
    night.record(instance)
    assert [item.directory for item in night.to_process] == [*failed, *new[:2]]
    assert [item.directory for item in surveyor.fresh(ONCE, most=10).to_process] == new[2:]


def test_an_old_recording_that_is_replaced_is_noticed_at_once_and_one_rewritten_in_place_at_night(
    studio: Studio, instance: dg.DagsterInstance
) -> None:
    for name in ("10-17-25", "10-18-25"):
        studio.add(name)
    execute(studio, instance, nightly(studio, instance))
    sensor = Sensor(studio, instance)
    for name in ("10-17-25", "10-18-25"):
        untouched_for_a_week(studio.recordings / name)
    assert sensor.tick() == []

    replaced, rewritten = (studio.recordings / name / "StereoMix.wav" for name in ("10-17-25", "10-18-25"))
    long_enough_ago = time.time() - 600
    for audio in (replaced, rewritten):
        audio.write_bytes(audio.read_bytes()[:100_000])
        os.utime(audio, (long_enough_ago, long_enough_ago))
    untouched_for_a_week(rewritten.parent)
    upload = replaced.with_name("upload")
    upload.write_bytes(replaced.read_bytes())
    os.utime(upload, (long_enough_ago, long_enough_ago))
    upload.replace(replaced)  # its directory changes now

    assert [keys(request) for request in sensor.tick()] == [("10-17-25", "10-17-25")]
    assert [keys(request) for request in nightly(studio, instance)] == [("10-17-25", "10-18-25")]


def test_what_another_run_finishes_between_the_look_and_the_run_is_not_done_twice(
    studio: Studio, instance: dg.DagsterInstance
) -> None:
    studio.add("10-17-25")
    late = Sensor(studio, instance).tick()
    assert execute(studio, instance, nightly(studio, instance)) == [True]
    published = studio.output / "10-17-25_compressed.wav"
    published.unlink()
    assert execute(studio, instance, late) == [True]
    assert not published.exists()


def test_a_run_asks_only_those_that_want_the_same(studio: Studio, instance: dg.DagsterInstance) -> None:
    for name in ("10-17-25", "10-18-25"):
        studio.add(name)
    job = studio.definitions.resolve_job_def(COMPRESSION_JOB)
    instance.add_dynamic_partitions("recordings", ["10-17-25", "10-18-25"])
    runs = [
        instance.create_run_for_job(job, tags={"dagster/partition": name}, status=dg.DagsterRunStatus.STARTED).run_id
        for name in ("10-17-25", "10-18-25", "10-17-25")
    ]
    order = known_keys(instance)
    claims = [claimed_before(instance, run, RECORDING_PRODUCTS, order) for run in runs]
    assert claims == [{}, {}, {"10-17-25": runs[0]}]


def test_without_the_logs_of_old_runs_everything_is_still_known(studio: Studio, instance: dg.DagsterInstance) -> None:
    """What docs/operations.md tells operators to delete."""
    for name in ("10-17-25", "10-18-25"):
        studio.add(name)
    execute(studio, instance, nightly(studio, instance))
    logs = [path for path in (Path(instance.root_directory) / "history/runs").glob("?*.db*") if path.stem != "index"]
    assert logs
    for path in logs:
        path.unlink()
    with dg.DagsterInstance.from_config(instance.root_directory) as another:
        assert nightly(studio, another) == []
        assert report(studio, another)["total_processed"] == 2


def test_events_reported_together_are_as_if_each_were_reported_alone(instance: dg.DagsterInstance) -> None:
    events: list[dg.AssetObservation | dg.AssetMaterialization] = [
        directory_observed(Recording("10-17-25", Fingerprint(1000, 1_760_659_200))),
        dg.AssetMaterialization(COMPRESSED_AUDIO, partition="10-17-25", tags={"dagster/data_version": "x"}),
        skip_observed(Skip("10-18-25", "no_audio", "there is none", None, is_news=True)),
    ]
    report_events(instance, events)
    for event in events:
        instance.report_runless_asset_event(event)
    for fetch, asset in (
        (instance.fetch_observations, RECORDING_DIRECTORY),
        (instance.fetch_materializations, COMPRESSED_AUDIO),
        (instance.fetch_observations, COMPRESSED_AUDIO),
    ):
        alone, together = (record.event_log_entry for record in fetch(asset, limit=5).records)
        assert together._replace(timestamp=0) == alone._replace(timestamp=0)
    assert set(read_history(instance).observed) == {"10-17-25"}


def test_a_long_reason_does_not_fill_the_event_log() -> None:
    outcome = Outcome("10-17-25", "failed", "x" * 1_000_000)
    [event] = outcome_events(outcome, [COMPRESSED_AUDIO], 0, lambda: 0, lambda _key: None)
    assert isinstance(event, dg.AssetObservation)
    assert len(str(event.metadata["reason"].value)) == 2000
    assert len(event.description or "") < 2100
