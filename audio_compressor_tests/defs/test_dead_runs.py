"""Runs whose process is gone, with real processes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from audio_compressor.defs.dead_runs import end_dead_runs, mark_process, process_tag
from audio_compressor.defs.names import COMPRESSION_JOB, PROCESS_TAG
from audio_compressor_tests.defs.test_night import nightly
from audio_compressor_tests.fixtures.studio import Studio
from audio_compressor_tests.test_processes import wait_for


@dg.job
def some_job() -> None:
    pass


@dg.job(name=COMPRESSION_JOB)
def our_job() -> None:
    pass


@pytest.fixture
def run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    return instance.create_run_for_job(some_job, status=dg.DagsterRunStatus.STARTED)


_NOTE = """
import sys
from audio_compressor.defs.dead_runs import process_tag
print(*process_tag(sys.argv[1]).values(), flush=True)
input()
"""


def note_of_another_process(run_id: str, *, reap: bool = True) -> str:
    """What a process would have noted that has been killed since."""
    process = subprocess.Popen(
        [sys.executable, "-c", _NOTE, run_id], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    note = process.stdout.readline().strip()
    process.kill()
    if reap:
        process.communicate()
    else:
        stat = Path(f"/proc/{process.pid}/stat")
        wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z")
        _ZOMBIES.append(process)
    return note


_ZOMBIES: list["subprocess.Popen[str]"] = []


def mark_as_of_a_dead_process(instance: dg.DagsterInstance, run_id: str) -> None:
    instance.add_run_tags(run_id, {PROCESS_TAG: note_of_another_process(run_id)})


def test_one_that_lives_is_left_alone(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    mark_process(instance, run)
    assert end_dead_runs(instance) == []


def say_something(instance: dg.DagsterInstance, run_id: str, *, ago_seconds: float) -> None:
    event = dg.DagsterEvent("ENGINE_EVENT", "some_job", message="here", event_specific_data=EngineEventData())
    instance.report_dagster_event(event, run_id, timestamp=time.time() - ago_seconds)


def test_one_that_was_killed_before_it_could_note_anything(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(our_job, status=dg.DagsterRunStatus.STARTED)
    say_something(instance, run.run_id, ago_seconds=660)
    say_something(instance, run.run_id, ago_seconds=540)
    assert end_dead_runs(instance) == []
    instance.event_log_storage.delete_events(run.run_id)
    say_something(instance, run.run_id, ago_seconds=660)
    assert end_dead_runs(instance) == [run.run_id]


def test_somebody_elses_without_a_note_is_left_alone(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(some_job, status=dg.DagsterRunStatus.STARTED)
    say_something(instance, run.run_id, ago_seconds=9000)
    assert end_dead_runs(instance) == []


@pytest.mark.parametrize("pools", [{}, {"granularity": "op"}])
def test_one_that_may_wait_for_its_pool_is_left_alone(tmp_path: Path, pools: dict[str, str]) -> None:
    overrides = {"concurrency": {"pools": pools}}
    with dg.instance_for_test(temp_dir=str(tmp_path), overrides=overrides) as instance:
        run = instance.create_run_for_job(our_job, status=dg.DagsterRunStatus.STARTED)
        say_something(instance, run.run_id, ago_seconds=9000)
        assert end_dead_runs(instance) == []


def test_a_killed_one_is_ended_with_a_reason(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    mark_as_of_a_dead_process(instance, run.run_id)
    assert end_dead_runs(instance) == [run.run_id]
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.FAILURE
    assert any("is gone" in entry.message for entry in instance.all_logs(run.run_id))
    assert end_dead_runs(instance) == []


def test_one_that_was_killed_before_it_began(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(some_job)
    mark_as_of_a_dead_process(instance, run.run_id)
    assert run.status is dg.DagsterRunStatus.NOT_STARTED
    assert end_dead_runs(instance) == [run.run_id]


def test_what_it_was_making_anew_is_outstanding_again(studio: Studio, instance: dg.DagsterInstance) -> None:
    """With ON_EXISTING=replace, another file than the recorded one may lie in storage by now."""
    for key in ("10-17-25", "10-18-25"):
        studio.add(key)
    job = studio.definitions.resolve_job_def(COMPRESSION_JOB)
    for request in nightly(studio, instance):
        assert job.execute_in_process(instance=instance, tags=request.tags).success
    assert nightly(studio, instance) == []
    again = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "10-18-25"})
    mark_as_of_a_dead_process(instance, again.run_id)
    [request] = nightly(studio, instance)
    assert request.tags["dagster/partition"] == "10-18-25"
    assert job.execute_in_process(instance=instance, tags=request.tags).success
    assert nightly(studio, instance) == []


def test_nobody_has_asked_for_its_exit_code_yet(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """A code server that is busy leaves its workers behind as zombies."""
    instance.add_run_tags(run.run_id, {PROCESS_TAG: note_of_another_process(run.run_id, reap=False)})
    try:
        assert end_dead_runs(instance) == [run.run_id]
    finally:
        _ZOMBIES.pop().communicate()


def test_another_process_has_its_number_now(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """As after a restart of the machine or of a container, where numbers begin anew."""
    ours, theirs = process_tag(run.run_id)[PROCESS_TAG].split(), note_of_another_process(run.run_id).split()
    assert ours[3] == str(os.getpid())
    instance.add_run_tags(run.run_id, {PROCESS_TAG: " ".join([*theirs[:3], ours[3], theirs[4]])})
    assert end_dead_runs(instance) == [run.run_id]


def test_the_note_of_the_run_that_is_repeated_says_nothing(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    note = note_of_another_process(run.run_id)
    again = instance.create_run_for_job(
        some_job, status=dg.DagsterRunStatus.STARTED, parent_run_id=run.run_id, root_run_id=run.run_id
    )
    instance.add_run_tags(again.run_id, {PROCESS_TAG: note})
    assert end_dead_runs(instance) == []


@pytest.mark.parametrize(("host", "space", "hours"), [("elsewhere", "", 24), ("", "another-boot", 1)])
def test_one_that_cannot_be_looked_at_is_ended_when_it_has_been_silent_for_long(
    instance: dg.DagsterInstance, run: dg.DagsterRun, host: str, space: str, hours: int
) -> None:
    """On another machine; or on one of our name that was started anew, or in a container beside us."""
    words = process_tag(run.run_id)[PROCESS_TAG].split()
    note = [words[0], host or words[1], space or words[2], *words[3:]]
    instance.add_run_tags(run.run_id, {PROCESS_TAG: " ".join(note)})
    say_something(instance, run.run_id, ago_seconds=hours * 3600 + 60)
    say_something(instance, run.run_id, ago_seconds=hours * 3600 - 60)
    assert end_dead_runs(instance) == []
    instance.event_log_storage.delete_events(run.run_id)
    say_something(instance, run.run_id, ago_seconds=hours * 3600 + 60)
    assert end_dead_runs(instance) == [run.run_id]


def test_one_that_a_person_ended_is_not_tried_again(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    mark_as_of_a_dead_process(instance, run.run_id)
    instance.report_run_canceling(run)
    assert end_dead_runs(instance) == [run.run_id]
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.CANCELED


@pytest.mark.parametrize("note", ["", "host:123", "a b c d e", "a b c"])
def test_a_note_of_somebody_else(instance: dg.DagsterInstance, run: dg.DagsterRun, note: str) -> None:
    instance.add_run_tags(run.run_id, {PROCESS_TAG: note})
    assert end_dead_runs(instance) == []
