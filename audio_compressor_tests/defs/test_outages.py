"""Nights in which a server goes away or Dagster's memory is lost: what was done stays, the rest is outstanding."""

import shutil
from pathlib import Path

import dagster as dg
import pytest

from audio_compressor.batch.model import Progress
from audio_compressor.definitions import build_definitions
from audio_compressor.defs.names import COMPRESSION_JOB, RANGE_END_TAG, RANGE_START_TAG
from audio_compressor_tests.cli.commands import audio_compressor
from audio_compressor_tests.defs.test_night import nightly
from audio_compressor_tests.fixtures.sftp_servers import PASSWORD
from audio_compressor_tests.fixtures.studio import Studio, partition_states
from audio_compressor_tests.wav_files import speech

KEYS = tuple(f"10-{day}-25" for day in range(10, 22))


class StopsTheServer(Progress):
    """When a download is about to begin."""

    def __init__(self, studio: Studio, at: str) -> None:
        self._studio, self._at = studio, at

    def downloading(self, directory: str) -> None:
        if directory == self._at:
            self._studio.server.stop()


def run(studio: Studio, instance: dg.DagsterInstance, progress: Progress | None = None) -> list[bool]:
    job = build_definitions(studio.settings, progress).resolve_job_def(COMPRESSION_JOB)
    return [
        job.execute_in_process(instance=instance, tags=request.tags, raise_on_error=False).success
        for request in nightly(studio, instance)
    ]


def test_a_server_that_goes_away_in_the_middle_of_the_night(studio: Studio, instance: dg.DagsterInstance) -> None:
    for key in KEYS:
        studio.add(key)
    done, rest = KEYS[:4], KEYS[4:]
    assert run(studio, instance, StopsTheServer(studio, at=rest[0])) == [False]
    assert partition_states(instance) == dict.fromkeys(done, "MATERIALIZED") | dict.fromkeys(rest, "FAILED")
    reasons = [
        str(record.event_log_entry.asset_observation.metadata["reason"].value)
        for record in instance.fetch_observations(dg.AssetKey("compressed_audio"), limit=100).records
        if record.event_log_entry.asset_observation
    ]
    assert len(reasons) == len(rest)
    assert all("127.0.0.1" in reason for reason in reasons)
    written = {path: path.stat().st_mtime_ns for path in studio.output.glob("*_compressed.wav")}
    assert {path.name.removesuffix("_compressed.wav") for path in written} == set(done)
    assert studio.leftovers() == []

    studio.server.start()
    [request] = nightly(studio, instance)
    assert (request.tags[RANGE_START_TAG], request.tags[RANGE_END_TAG]) == (rest[0], rest[-1])
    assert run(studio, instance) == [True]
    assert partition_states(instance) == dict.fromkeys(KEYS, "MATERIALIZED")
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_the_history_is_lost(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results are adopted from storage and not made again."""
    for key in KEYS[:3]:
        studio.add(key)
    assert audio_compressor("run", cwd=tmp_path).code == 0
    written = {path: path.stat().st_mtime_ns for path in studio.output.glob("*_compressed.wav")}
    shutil.rmtree(tmp_path / "dagster")
    studio.add(KEYS[3], speech(0.5))
    again = audio_compressor("run", cwd=tmp_path)
    assert again.code == 0, again.err
    assert again.out.count("adopted") == 3
    assert "1 of 1" in again.out or KEYS[3] in again.out
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert len(list(studio.output.glob("*_compressed*.wav"))) == 4
    assert audio_compressor("verify", "--all", cwd=tmp_path).code == 0


@pytest.mark.filterwarnings("ignore:Property `ScheduleDefinition.environment_vars`:DeprecationWarning")  # Dagster's own
def test_no_secret_is_in_what_the_ui_knows(studio: Studio, instance: dg.DagsterInstance) -> None:
    """Of the code location: jobs, resources with their configuration, schedules, metadata."""
    from dagster._core.remote_representation.external_data import RepositorySnap
    from dagster_shared.serdes import serialize_value

    shown = serialize_value(RepositorySnap.from_def(studio.definitions.get_repository_def()))
    assert "sftp_host" in shown
    assert PASSWORD not in shown
