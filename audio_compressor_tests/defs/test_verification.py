"""The asset check on stored files, run as its schedule runs it, and the command."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from audio_compressor.defs.names import COMPRESSED_AUDIO, RECORDING_DIRECTORY, VERIFICATION_JOB
from audio_compressor.defs.receipts import read_receipts
from audio_compressor.defs.verification import STORED_FILES_CHECK
from audio_compressor.local_files import sha256_of
from audio_compressor_tests.cli.commands import audio_compressor
from audio_compressor_tests.defs.test_night import nightly
from audio_compressor_tests.fixtures.studio import Studio

KEYS = ("10-17-25", "10-18-25", "10-19-25", "10-20-25")


@pytest.fixture
def published(studio: Studio, instance: dg.DagsterInstance) -> Studio:
    for key in KEYS:
        studio.add(key)
    job = studio.definitions.resolve_job_def("compression_job")
    for request in nightly(studio, instance):
        assert job.execute_in_process(instance=instance, tags=request.tags).success
    return studio


def evaluate(studio: Studio, instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation:
    result = studio.definitions.resolve_job_def(VERIFICATION_JOB).execute_in_process(instance=instance)
    assert result.success
    [evaluation] = result.get_asset_check_evaluations()
    assert evaluation.asset_check_key == STORED_FILES_CHECK
    return evaluation


def figures(evaluation: dg.AssetCheckEvaluation) -> dict[str, object]:
    return {key: value.value for key, value in evaluation.metadata.items()}


def test_all_are_looked_at_in_rotation(
    published: Studio, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFICATION_DAYS", "2")
    positions = []
    for _ in range(3):
        evaluation = evaluate(published, instance)
        assert evaluation.passed
        found = figures(evaluation)
        assert (found["looked_at"], found["intact"]) == (4, 4)  # the audio and the metadata of two recordings
        positions.append(found["looked_at_up_to"])
    assert positions == ["10-18-25", "10-20-25", "10-18-25"]


def test_decay_is_noticed_in_its_turn_and_told_until_it_is_mended(
    published: Studio, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFICATION_DAYS", "4")
    damaged = published.output / "10-18-25_compressed.wav"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1000] + bytes(1000))
    assert evaluate(published, instance).passed  # 10-17-25 alone
    for looked_at in (2, 4, 4):
        evaluation = evaluate(published, instance)
        assert not evaluation.passed
        assert evaluation.severity is dg.AssetCheckSeverity.ERROR
        found = figures(evaluation)
        assert found["looked_at"] == looked_at
        assert found["not_intact"] == ["10-18-25"]
        assert "changed" in json.dumps(found["findings"])
    damaged.write_bytes(whole)
    assert evaluate(published, instance).passed


def test_a_compression_run_does_not_hide_what_was_found(
    published: Studio, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFICATION_DAYS", "1")
    (published.output / "10-18-25_compressed.wav").unlink()
    assert not evaluate(published, instance).passed
    published.add("10-21-25")
    by_hand = published.definitions.resolve_implicit_global_asset_job_def()  # Materialize, in the UI
    for request in nightly(published, instance):
        instance.create_run_for_job(published.definitions.resolve_job_def("compression_job"), tags=request.tags)
        selection = by_hand.get_subset(asset_selection={COMPRESSED_AUDIO})
        instance.create_run_for_job(selection, asset_selection=frozenset({COMPRESSED_AUDIO}), tags=request.tags)
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([STORED_FILES_CHECK])
    assert latest[STORED_FILES_CHECK].status is AssetCheckExecutionRecordStatus.FAILED


def test_what_could_not_be_looked_at_is_looked_at_the_next_time(
    published: Studio, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFICATION_DAYS", "4")
    away = published.output.rename(published.output.with_name("not mounted"))
    evaluation = evaluate(published, instance)
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "could not be looked at" in str(evaluation.description)
    away.rename(published.output)
    for looked_at in (4, 2):  # two files of each recording: that of last time, and the next one
        evaluation = evaluate(published, instance)
        assert evaluation.passed
        assert figures(evaluation)["looked_at"] == looked_at


def test_a_recording_that_was_given_up_is_not_asked_for_again(
    published: Studio, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFICATION_DAYS", "1")
    (published.output / "10-18-25_compressed.wav").unlink()
    assert not evaluate(published, instance).passed
    instance.delete_dynamic_partition("recordings", "10-18-25")
    assert evaluate(published, instance).passed


def test_a_recording_that_a_run_works_on_is_not_judged(
    published: Studio, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have replaced the file, and not yet recorded that."""
    monkeypatch.setenv("VERIFICATION_DAYS", "1")
    replaced = published.output / "10-18-25_compressed.wav"
    replaced.write_bytes(replaced.read_bytes()[:-1000])
    job = published.definitions.resolve_job_def("compression_job")
    tags = {"dagster/partition": "10-18-25"}
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
    evaluation = evaluate(published, instance)
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "a run works on this recording" in json.dumps(figures(evaluation)["findings"])
    instance.report_run_failed(run)
    assert evaluate(published, instance).severity is dg.AssetCheckSeverity.ERROR


@pytest.fixture
def half_away(studio: Studio, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """Results on a server that cannot be reached; but for one file, which is gone from the local disk."""
    monkeypatch.setenv("VERIFICATION_DAYS", "1")
    monkeypatch.setenv("STORAGE_BACKEND", "sftp")
    (studio.server.root / "compressed").mkdir()
    instance.add_dynamic_partitions("recordings", KEYS)
    for key in KEYS:
        gone, remote = (studio.recordings / "gone.wav").as_uri(), f"sftp://127.0.0.1:{studio.server.port}/compressed/"
        is_local = key == KEYS[0]
        metadata = {
            "storage_location": "local" if is_local else "sftp",
            "uri": gone if is_local else f"{remote}{key}_compressed.wav",
        }
        instance.report_runless_asset_event(dg.AssetMaterialization(COMPRESSED_AUDIO, partition=key, metadata=metadata))
    studio.server.stop()
    return studio


def test_what_was_found_is_kept_when_the_rest_is_given_up(half_away: Studio, instance: dg.DagsterInstance) -> None:
    evaluation = evaluate(half_away, instance)
    assert evaluation.severity is dg.AssetCheckSeverity.ERROR
    assert "then it was given up: " in str(evaluation.description)
    assert KEYS[0] in figures(evaluation)["not_intact"]  # type: ignore[operator]
    assert "looked_at_up_to" not in figures(evaluation)


def test_the_command_tells_what_it_found_before_it_gave_up(half_away: Studio, tmp_path: Path) -> None:
    ended = audio_compressor("verify", "--all", cwd=tmp_path)
    assert ended.code == 1
    assert f"{KEYS[0]}: missing: " in ended.out
    assert "the rest was given up: " in ended.err


def test_nothing_is_published_yet(studio: Studio, instance: dg.DagsterInstance) -> None:
    assert evaluate(studio, instance).passed


def test_a_schedule_asks_for_it(published: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = published.definitions.resolve_schedule_def("verification_schedule")
    assert (schedule.cron_schedule, schedule.job_name) == ("0 5 * * *", VERIFICATION_JOB)
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    monkeypatch.setenv("VERIFICATION_DAYS", "0")
    schedule = published.definitions.resolve_schedule_def("verification_schedule")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED


@pytest.mark.parametrize(("backend", "pools"), [("local", set()), ("sftp", {"sftp"})])
def test_it_waits_for_a_connection_only_where_it_makes_one(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, backend: str, pools: set[str]
) -> None:
    monkeypatch.setenv("STORAGE_BACKEND", backend)
    [node] = studio.definitions.resolve_job_def(VERIFICATION_JOB).all_node_defs
    assert node.pools == pools


def test_a_receipt_has_what_was_published(published: Studio, instance: dg.DagsterInstance) -> None:
    every = read_receipts(instance)
    assert [(receipt.directory, receipt.is_audio) for receipt in every] == [
        (key, is_audio) for key in KEYS for is_audio in (True, False)
    ]
    assert read_receipts(instance, ["10-18-25", "never"]) == every[2:4]
    audio, metadata = every[2:4]
    assert audio.name == "10-18-25_compressed.wav"
    assert audio.duration_seconds == 1.0
    assert audio.sha256 is not None
    assert metadata.name == "10-18-25_meta.xml"
    assert metadata.sha256 is not None


def test_what_was_adopted_gets_its_receipt_when_it_is_first_looked_at(
    published: Studio, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """After the history was lost, too, decay is noticed."""
    for key in KEYS:
        instance.delete_dynamic_partition("recordings", key)
    instance.wipe_assets([COMPRESSED_AUDIO, RECORDING_DIRECTORY])
    assert nightly(published, instance) == []
    before = read_receipts(instance, ["10-18-25"])[0]
    assert (before.sha256, before.duration_seconds) == (None, None)
    assert audio_compressor("verify", "10-18-25", cwd=tmp_path).code == 0
    after = read_receipts(instance, ["10-18-25"])[0]
    stored = published.output / "10-18-25_compressed.wav"
    assert after == replace(before, sha256=sha256_of(stored), duration_seconds=1.0)
    assert nightly(published, instance) == []
    stored.write_bytes(stored.read_bytes()[:-1000] + bytes(1000))
    assert audio_compressor("verify", "10-18-25", cwd=tmp_path).code == 1


def test_the_newest_receipt_counts(published: Studio, instance: dg.DagsterInstance) -> None:
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            COMPRESSED_AUDIO, partition="10-18-25", metadata={"storage_location": "local", "uri": "file:///elsewhere"}
        )
    )
    assert read_receipts(instance, ["10-18-25"])[0].uri == "file:///elsewhere"
    instance.report_runless_asset_event(dg.AssetMaterialization(COMPRESSED_AUDIO, partition="10-18-25"))
    for receipt in (read_receipts(instance)[2], read_receipts(instance, ["10-18-25"])[0]):
        assert receipt.uri == "file:///elsewhere"  # imported: nothing is told of a file
    by_hand: list[dict[str, str | int]] = [
        {"uri": "file:///by-hand"},
        {"uri": 7, "storage_location": "local"},
        {"uri": "file:///by-hand", "storage_location": "tape"},
    ]
    for metadata in by_hand:
        instance.report_runless_asset_event(
            dg.AssetMaterialization(COMPRESSED_AUDIO, partition="10-18-25", metadata=metadata)
        )
    assert read_receipts(instance, ["10-18-25"])[0].uri == "file:///elsewhere"  # somebody else's


def test_the_command_tells_what_is_not_intact(published: Studio, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    all_good = audio_compressor("verify", "--all", cwd=tmp_path)
    assert all_good.code == 0, all_good.err
    assert "intact" in all_good.out
    assert "8" in all_good.out
    assert "on record" not in all_good.out
    instance.add_dynamic_partitions("recordings", ["10-21-25"])
    assert "1 more recordings have no published file on record" in audio_compressor("verify", "--all", cwd=tmp_path).out
    (published.output / "10-18-25_compressed.wav").unlink()
    (published.output / "10-19-25_meta.xml").write_text("<other/>")
    one_gone = audio_compressor("verify", "--all", cwd=tmp_path)
    assert one_gone.code == 1
    assert "10-18-25: missing: there is no file:///" in one_gone.out
    assert "10-19-25: changed: file:///" in one_gone.out
    another = audio_compressor("verify", "10-17-25", "10-20-25", cwd=tmp_path)
    assert another.code == 0
    assert published.leftovers() == []


def test_the_command_wants_to_know_which(published: Studio, tmp_path: Path) -> None:
    for arguments in ([], ["--all", "10-17-25"]):
        ended = audio_compressor("verify", *arguments, cwd=tmp_path)
        assert ended.code == 2
        assert "--all, or the names" in ended.err
    stranger = audio_compressor("verify", "10-17-25", "99-99-99", cwd=tmp_path)
    assert stranger.code == 2
    assert "nothing is recorded of 99-99-99" in stranger.err
    assert "intact" in stranger.out  # the other one
    published.output.rename(published.output.with_name("not mounted"))
    away = audio_compressor("verify", "--all", cwd=tmp_path)
    assert away.code == 2
    [line] = [line for line in away.out.splitlines() if "is a disk not mounted?" in line]
    assert line.startswith("10-17-25 and 7 more files: unknown: ")


def test_what_was_never_published_has_no_receipt(studio: Studio, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    instance.add_dynamic_partitions("recordings", ["10-17-25"])
    ended = audio_compressor("verify", "10-17-25", cwd=tmp_path)
    assert ended.code == 2
    assert "10-17-25: never published" in ended.out
    nothing = audio_compressor("verify", "--all", cwd=tmp_path)
    assert nothing.code == 0
    assert "nothing has been published yet" in nothing.out


def test_an_interrupted_command_ends_with_130(
    published: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audio_compressor_tests.audio.measuring import answering_script
    from audio_compressor_tests.test_processes import processes_with, wait_for

    hanging = answering_script(tmp_path / "hanging", f'touch "{tmp_path}/hangs"; sleep 1000 {tmp_path}/unique')
    monkeypatch.setenv("FFMPEG_BINARY", str(hanging))
    process = subprocess.Popen(
        [sys.executable, "-m", "audio_compressor", "verify", "--all"],
        cwd=tmp_path,
        env=os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_for((tmp_path / "hangs").exists, seconds=30)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err.decode()
    assert processes_with(f"{tmp_path}/unique") == []
    assert published.leftovers() == []
