"""The restore drill in Dagster, run as its schedule runs it, and as a command."""

import json
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRun

from audio_compressor.archive.restore_drill import Memory, Report, draw
from audio_compressor.audio.ffmpeg import find_ffmpeg
from audio_compressor.cli.drill import exit_code
from audio_compressor.defs.evaluations import last_figures
from audio_compressor.defs.names import ARCHIVED_COPIES, DRILL_JOB, PROCESS_TAG
from audio_compressor.defs.restore_drill import DRILL_CHECK, dice_of
from audio_compressor.texts import escape_cell
from audio_compressor_tests.cli.commands import audio_compressor
from audio_compressor_tests.fixtures.library import Shelf
from audio_compressor_tests.fixtures.s3_server import BUCKET, Answer, Call, Drop, S3Server

NAMES = ("a.webm", "b.webm", "c.webm", "d|e.webm")


@pytest.fixture
def cellar(shelf: Shelf, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A library of which everything lies in cold storage."""
    monkeypatch.setenv("COLD_BUCKET", BUCKET)
    monkeypatch.setenv("S3_ENDPOINT_URL", s3_server.url)
    monkeypatch.setenv("MAX_RETRIES", "1")
    monkeypatch.setenv("DRILL_SIZE", "2")
    for name in NAMES:
        shelf.add(name, days=100)
    with shelf.open() as library:
        library.begin()
        due = library.look().plan.due
        outcomes = list(library.archive(due, find_ffmpeg(), 2))
    assert [outcome.status for outcome in outcomes] == ["success"] * len(NAMES)
    assert shelf.files() == []
    return shelf


def evaluate(shelf: Shelf, instance: dg.DagsterInstance) -> tuple[dg.ExecuteInProcessResult, dg.AssetCheckEvaluation]:
    result = shelf.definitions.resolve_job_def(DRILL_JOB).execute_in_process(instance=instance)
    [evaluation] = result.get_asset_check_evaluations()
    assert evaluation.asset_check_key == DRILL_CHECK
    assert [path for path in Path(shelf.settings.temp_dir).iterdir() if path.is_dir()] == []
    return result, evaluation


def judged(evaluation: dg.AssetCheckEvaluation) -> tuple[bool, str]:
    return evaluation.passed, evaluation.severity.value


def latest(instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation:
    """As the UI shows it."""
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key([DRILL_CHECK])
    evaluation = records[DRILL_CHECK].evaluation
    assert evaluation
    return evaluation


def object_of(server: S3Server, name: str) -> str:
    [key] = [key for key in server.keys("archive/") if key.startswith(f"archive/{name}-")]
    return key


def drop(_: Call) -> Answer | None:
    raise Drop


def test_what_comes_back_makes_the_check_green(cellar: Shelf, instance: dg.DagsterInstance) -> None:
    result, evaluation = evaluate(cellar, instance)
    assert evaluation.passed
    found = last_figures(instance, DRILL_CHECK)
    assert (found["looked_at"], found["intact"], found["copies"]) == (2, 2, 4)
    assert found["copies_bytes"] == 4 * len(cellar.clip)
    with cellar.open() as library:
        records = library.records.read_all()[0].values()
    run = instance.get_run_by_id(result.run_id)
    assert run
    expected = draw(records, Memory(), 2, dice_of(run))
    _, _, *rows = found["drilled"].splitlines()
    assert [row.split(" | ")[0] for row in rows] == [f"| {escape_cell(record.key)}" for record in expected]
    assert all("its SHA-256 is that of what was archived, and it plays 2.5" in row for row in rows)
    assert PROCESS_TAG in run.tags


def test_a_run_that_is_tried_again_looks_at_the_same() -> None:
    first, other = DagsterRun(DRILL_JOB, "1"), DagsterRun(DRILL_JOB, "2")
    again = DagsterRun(DRILL_JOB, "3", root_run_id="1", parent_run_id="1")
    drawn = [dice_of(run).random() for run in (first, again, other)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_is_lost_is_an_error_until_it_is_mended(
    cellar: Shelf, instance: dg.DagsterInstance, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = object_of(s3_server, "d|e")
    s3_server.put(damaged, cellar.clip[:-1] + bytes([cellar.clip[-1] ^ 1]))
    monkeypatch.setenv("DRILL_SIZE", "4")
    _, evaluation = evaluate(cellar, instance)
    assert judged(evaluation) == (False, "ERROR")
    assert str(evaluation.description).startswith("1 of 4 copies would not bring their recordings back")
    found = last_figures(instance, DRILL_CHECK)
    assert found["lost"] == ["d|e.webm"]
    assert found["drilled"].splitlines()[2].startswith(r"| d\|e.webm | 0.044 | damaged | s3:")
    monkeypatch.setenv("DRILL_SIZE", "1")
    assert judged(evaluate(cellar, instance)[1]) == (False, "ERROR")
    s3_server.put(damaged, cellar.clip)
    assert evaluate(cellar, instance)[1].passed
    assert last_figures(instance, DRILL_CHECK)["looked_at"] == 2


def test_what_cannot_be_looked_at_is_a_warning(
    cellar: Shelf, instance: dg.DagsterInstance, s3_server: S3Server
) -> None:
    with s3_server.hooked(drop):
        _, evaluation = evaluate(cellar, instance)
    assert judged(evaluation) == (False, "WARN")
    assert str(evaluation.description).startswith("2 of 2 copies could not be looked at")
    unseen = last_figures(instance, DRILL_CHECK)["not_looked_at"]
    _, evaluation = evaluate(cellar, instance)
    assert evaluation.passed
    rows = last_figures(instance, DRILL_CHECK)["drilled"]
    assert all(name.partition("|")[0] in rows for name in unseen)


def test_the_command_does_the_same_and_counts_as_one(
    cellar: Shelf, instance: dg.DagsterInstance, s3_server: S3Server, tmp_path: Path
) -> None:
    well = audio_compressor("archive", "drill", "--size", "1", "--json", cwd=tmp_path)
    assert well.code == 0, well.err
    told = json.loads(well.out)
    assert (told["verdict"], told["copies"], [each["finding"] for each in told["findings"]]) == (
        "intact",
        4,
        ["intact"],
    )
    assert latest(instance).passed

    s3_server.delete(object_of(s3_server, "c"))
    lost = audio_compressor("archive", "drill", "--size", "4", cwd=tmp_path)
    assert lost.code == 1, lost.err
    assert "c.webm (0.044 MB): missing: s3://bucket/archive/c-" in lost.out
    assert ".webm (0.044 MB): intact: its SHA-256 is that of what was archived" in lost.out
    assert (
        "1 of 4 copies would not bring their recordings back; 4 copies (0.178 MB) lie in cold storage in all. "
        "MB is 1,000,000 bytes." in lost.out
    )
    assert judged(latest(instance)) == (False, "ERROR")
    assert judged(evaluate(cellar, instance)[1]) == (False, "ERROR")  # the job looks at it again


def test_the_exit_code_of_the_command() -> None:
    intact = Report((), copies=0, size_bytes=0, lost_before=(), unreadable={}, vanished=0)
    lost = replace(intact, lost_before=("a",))
    unknown = replace(intact, unreadable={"b": "no record"})
    assert [exit_code(report) for report in (intact, lost, unknown)] == [0, 1, 2]
    assert exit_code(replace(lost, unreadable=unknown.unreadable)) == 1


def test_it_is_there_where_there_is_cold_storage_and_not_green_when_it_is_off(
    shelf: Shelf, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = shelf.definitions.get_repository_def()
    assert ARCHIVED_COPIES not in repository.asset_graph.get_all_asset_keys()
    assert not repository.has_schedule_def("restore_drill_schedule")
    monkeypatch.setenv("COLD_BUCKET", BUCKET)
    repository = shelf.definitions.get_repository_def()
    node = repository.asset_graph.get(ARCHIVED_COPIES)
    assert all((node.description, node.owners, node.kinds))
    assert (node.group_name, node.is_executable) == ("library", False)
    schedule = repository.get_schedule_def("restore_drill_schedule")
    assert (schedule.cron_schedule, schedule.job_name) == ("0 6 * * 0", DRILL_JOB)
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    monkeypatch.setenv("DRILL_SIZE", "0")
    definitions = shelf.definitions
    schedule = definitions.get_repository_def().get_schedule_def("restore_drill_schedule")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    result = definitions.resolve_job_def(DRILL_JOB).execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    assert result.get_asset_check_evaluations() == []
