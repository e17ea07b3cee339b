"""`audio-compressor run` in a process of its own: what it does, prints, and ends with."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from audio_compressor_tests.cli.commands import audio_compressor
from audio_compressor_tests.fixtures.sftp_servers import PASSWORD
from audio_compressor_tests.fixtures.stored import everything_below
from audio_compressor_tests.fixtures.studio import Studio, partition_states
from audio_compressor_tests.wav_files import speech


def test_all_good_then_nothing_to_do(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio.add("10-17-25")
    studio.add("10-17-25-01")
    (studio.recordings / "notes").mkdir()
    first = audio_compressor("run", cwd=tmp_path)
    assert first.code == 0, first.err
    assert "10-17-25-01" in first.out
    assert "2 of 2 " in first.out
    assert "10-17-25: 0.176 MB to" in first.err  # a log line, where there is no terminal
    assert "does not match DIR_PATTERN" in first.err
    assert {"manifest.json", "processing_report.csv"} <= set(studio.results())

    second = audio_compressor("run", cwd=tmp_path)
    assert second.code == 0, second.err
    assert "Nothing to do: 2 recordings were done before and are skipped." in second.out
    assert studio.leftovers() == []

    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "another"))
    with_another_history = audio_compressor("run", cwd=tmp_path)
    assert with_another_history.code == 0, with_another_history.err
    assert "10-17-25: adopted, 10-17-25_compressed.wav was in storage already." in with_another_history.out
    assert "Nothing to do: 2 were adopted." in with_another_history.out


def test_some_failed_is_1_and_all_failed_is_2(studio: Studio, tmp_path: Path) -> None:
    studio.add_file("10-17-25", b"not audio " * 100)
    all_failed = audio_compressor("run", cwd=tmp_path)
    assert all_failed.code == 2
    assert "no sound that FFmpeg can read" in all_failed.out
    studio.add("10-18-25")
    some_failed = audio_compressor("run", cwd=tmp_path)
    assert some_failed.code == 1
    assert "1 of 2 " in some_failed.out
    only_the_bad_one = audio_compressor("run", cwd=tmp_path)
    assert only_the_bad_one.code == 1  # what is done counts: one bad file among many is no outage


def test_a_configuration_error_is_2_and_names_everything(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHANNELS", "5")
    monkeypatch.setenv("SFTP_HOST", "")
    monkeypatch.delenv("DAGSTER_HOME")
    ended = audio_compressor("run", cwd=tmp_path)
    assert ended.code == 2
    assert "The configuration has 3 problems" in ended.err
    for variable in ("CHANNELS is '5'", "SFTP_HOST is not set", "DAGSTER_HOME is not set"):
        assert variable in ended.err
    assert "Traceback" not in ended.err


def test_no_connection_is_2(studio: Studio, tmp_path: Path) -> None:
    studio.server.stop()
    ended = audio_compressor("run", cwd=tmp_path)
    assert ended.code == 2
    assert "refuses connections" in ended.err
    assert "Traceback" not in ended.err


def test_a_wrong_password_is_2_and_never_shown(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the listing, before there is a run; ``defs/test_refusals.py`` has those that are refused later."""
    monkeypatch.setenv("SFTP_PASSWORD", f"not-{PASSWORD}")
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    studio.add("10-17-25")
    ended = audio_compressor("run", cwd=tmp_path)
    assert ended.code == 2
    assert studio.server.connections == 1
    assert PASSWORD not in ended.out + ended.err
    assert PASSWORD.encode() not in everything_below(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_130_and_nothing_left(studio: Studio, tmp_path: Path, number: signal.Signals) -> None:
    studio.add("10-17-25", speech(20.0))
    studio.server.faults.stall_reads.set()
    process = subprocess.Popen(
        [sys.executable, "-m", "audio_compressor", "run"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert studio.server.faults.reading.wait(30)
    process.send_signal(number)
    sent_at = time.monotonic()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err.decode()
    assert time.monotonic() - sent_at < 5
    assert b"interrupted" in err
    assert studio.leftovers() == []
    assert studio.results() == []

    studio.server.faults.stall_reads.clear()
    again = audio_compressor("run", cwd=tmp_path)
    assert again.code == 0, again.err
    with dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"]) as instance:
        assert partition_states(instance) == {"10-17-25": "MATERIALIZED"}


def test_a_killed_run_does_not_keep_its_recordings(studio: Studio, tmp_path: Path) -> None:
    studio.add("10-17-25", speech(20.0))
    studio.server.faults.stall_reads.set()
    process = subprocess.Popen(
        [sys.executable, "-m", "audio_compressor", "run"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert studio.server.faults.reading.wait(30)
    process.kill()
    process.communicate()
    assert studio.leftovers() != []
    studio.server.faults.stall_reads.clear()

    again = audio_compressor("run", cwd=tmp_path)
    assert again.code == 0, again.err
    assert studio.leftovers() == []
    with dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"]) as instance:
        assert [
            run.status.value
            for run in instance.get_runs(limit=1, filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
        ] == ["FAILURE"]


def test_a_terminal_gets_a_progress_bar(studio: Studio, tmp_path: Path) -> None:
    import pty

    studio.add("10-17-25")
    reader, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "audio_compressor", "run"], cwd=tmp_path, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            piece = os.read(reader, 65536)
        except OSError:  # Linux: the other side is closed
            break
        shown += piece
    os.close(reader)
    assert process.wait() == 0
    assert b"Compressing 10-17-25" in shown
    assert b"1/1" in shown
    assert b" INFO " not in shown
