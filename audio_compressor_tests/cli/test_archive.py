"""`audio-compressor archive` and `hold` in processes of their own: what they do, print, and end with."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from audio_compressor.archive.layout import STATE_NAME
from audio_compressor.defs.names import ARCHIVE_JOB, PARTITION_TAG
from audio_compressor_tests.audio.measuring import answering_script
from audio_compressor_tests.cli.commands import audio_compressor
from audio_compressor_tests.fixtures.library import NO_SOUND, Shelf, library_states, observed


def test_a_dry_run_shows_everything_and_touches_nothing(shelf: Shelf, tmp_path: Path) -> None:
    """Without Dagster, and without a directory of our own."""
    long_name = f"2026/{'a very long name of a talk ' * 6}.webm"
    shelf.add(long_name, days=10)
    shelf.add("old.webm", days=100)
    shelf.add("young.webm", days=1)
    ended = audio_compressor("archive", "--dry-run", cwd=tmp_path)
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    [line] = [line for line in lines if long_name in line]  # however long, in a pipe
    assert [cell.strip() for cell in line.strip("│").split("│")][1:4] == ["Opus 96k", "Opus 96k from 7 days", "10.0"]
    assert "10 days old, by recorded_at in its document" in line
    assert not [line for line in lines if "young.webm" in line]
    [kept] = [line for line in lines if line.startswith("│ kept ")]
    assert [cell.strip() for cell in kept.strip("│").split("│")][:3] == ["kept", "keep from 0 days", "1"]
    [total] = [line for line in lines if line.startswith("│ total ")]
    assert [cell.strip() for cell in total.strip("│").split("│")][:3] == ["total", "3", "2"]
    assert "\x1b" not in ended.out
    assert not (shelf.root / STATE_NAME).exists()
    assert not (tmp_path / "dagster").exists()
    assert "│ young.webm " in audio_compressor("archive", "--dry-run", "--all", cwd=tmp_path).out
    told = json.loads(audio_compressor("archive", "--dry-run", "--json", "--only", "old*", cwd=tmp_path).out)
    [file] = told["files"]
    assert (file["key"], file["verdict"], file["action"]) == ("old.webm", "due", "Opus 64k")
    assert file["saved_bytes"] == file["size_bytes"] - file["expected_bytes"] > 0
    assert told["totals"] == {name: value for name, value in told["tiers"][0].items() if name != "tier"}


def test_what_is_due_is_done_shown_and_can_be_brought_back(
    shelf: Shelf, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    shelf.add("2026/a.webm", days=10)
    shelf.add("bad.webm", days=20, content=NO_SOUND)
    first = audio_compressor("archive", cwd=tmp_path)
    assert first.code == 1, first.err
    assert "bad.webm: failed: bad.webm cannot be opened" in first.out
    assert "1 of 2" in first.out
    assert "INFO 2026/a.webm: 0.044 MB to 0.031 MB (Opus 96k), 2.5 s of sound proven to be the same" in first.err
    assert library_states(instance) == {"2026/a.webm": "MATERIALIZED", "bad.webm": "FAILED"}
    second = audio_compressor("archive", "--json", cwd=tmp_path)
    assert second.code == 0, second.err
    assert json.loads(second.out)["outcomes"] == []

    [entry] = json.loads(audio_compressor("archive", "trash", "--json", cwd=tmp_path).out)["entries"]
    assert (entry["path"], entry["size_bytes"], entry["is_original"]) == ("2026/a.webm", len(shelf.clip), True)
    restored = audio_compressor("archive", "restore", str(shelf.root / "2026/a.opus"), "nothing.webm", cwd=tmp_path)
    assert restored.code == 1
    assert "2026/a.webm: brought back from the trash" in restored.out
    assert "Nothing of nothing.webm is in the trash" in restored.err
    assert (shelf.root / "2026/a.webm").read_bytes() == shelf.clip
    assert observed(instance, "2026/a.webm")[0] == "held"
    [found] = json.loads(audio_compressor("hold", "--list", "--json", cwd=tmp_path).out)
    assert (found["path"], found["recordings"]) == (["./2026/a.webm"], 1)
    assert [audio_compressor("hold", "--release", found["id"], cwd=tmp_path).code for _ in range(2)] == [0, 2]


def test_only_a_part_and_nothing_else_than_bad_ones(shelf: Shelf, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    shelf.add("a/bad.webm", days=20, content=NO_SOUND)
    shelf.add("b/good.webm", days=20)
    ended = audio_compressor("archive", "--only", str(shelf.root / "a"), "--json", cwd=tmp_path)
    assert ended.code == 2, ended.out
    told = json.loads(ended.out)
    [outcome] = told["outcomes"]
    assert (outcome["key"], outcome["status"], outcome["action"], outcome["sha256"]) == (
        "a/bad.webm",
        "failed",
        "Opus 96k",
        None,
    )
    assert (told["saved_bytes"], told["trash"]["removed"]) == (0, 0)
    assert shelf.files() == ["a/bad.webm", "b/good.webm"]


def test_what_another_run_works_on_is_left_to_it_and_said(
    shelf: Shelf, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    shelf.add("a.webm", days=20)
    shelf.add("b.webm", days=10)
    shelf.tick(instance)
    job = shelf.definitions.resolve_job_def(ARCHIVE_JOB)
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={PARTITION_TAG: "a.webm"})
    ended = audio_compressor("archive", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert "Not done here: another run works on 1 of the recordings that are due." in ended.out
    assert shelf.files() == ["a.webm", "b.opus"]


def test_a_run_that_is_terminated_leaves_nothing_half_done_and_a_backfill_does_the_rest(
    shelf: Shelf, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"talk {number}" for number in range(4)]
    for number, name in enumerate(names):
        shelf.add(f"{name}.webm", days=60 - number)
    begun = tmp_path / "begun"
    third_hangs = (
        f'case "$*" in *libopus*) echo >> "{begun}"; [ $(wc -l < "{begun}") -gt 2 ] && exec sleep 300;; esac; '
        'exec "$REAL" "$@"'
    )
    with monkeypatch.context() as patch:
        patch.setenv("ENCODE_WORKERS", "1")
        patch.setenv("FFMPEG_BINARY", str(answering_script(tmp_path / "ffmpeg", third_hangs)))
        command = [sys.executable, "-m", "audio_compressor", "archive"]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (begun.exists() and len(begun.read_text()) == 3):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert shelf.leftovers() == []
    assert shelf.files() == ["talk 0.opus", "talk 1.opus", "talk 2.webm", "talk 3.webm"]
    assert all((shelf.root / f"{name}.webm").read_bytes() == shelf.clip for name in names[2:])
    assert shelf.backfill(instance).success
    assert shelf.files() == [f"{name}.opus" for name in names]
    assert set(library_states(instance).values()) == {"MATERIALIZED"}


def test_holds_say_what_they_match_and_are_respected(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.add("2026/a.webm", days=20, take=3)
    shelf.add("b.webm", days=20, language="de")
    held = audio_compressor(
        "hold", str(shelf.root / "2026"), "--field", "take=3", "--reason", "a dispute", cwd=tmp_path
    )
    assert held.code == 0, held.err
    assert "path ./2026, take 3. 1 recordings do now." in held.out
    assert held.err == ""
    outside = audio_compressor("hold", "b.webm", "/etc/passwd", cwd=tmp_path)
    assert outside.code == 2
    assert f"/etc/passwd is not below LIBRARY_DIR, which is {shelf.root}" in outside.err
    nothing = audio_compressor("hold", "b.wbem", "--language", "DE", cwd=tmp_path)
    assert nothing.code == 0
    assert "no recording matches 'b.wbem' at present" in nothing.err
    plan = json.loads(audio_compressor("archive", "--dry-run", "--json", cwd=tmp_path).out)
    assert {file["key"]: file["verdict"] for file in plan["files"]} == {"2026/a.webm": "held", "b.webm": "due"}
    assert "(a dispute)" in plan["files"][0]["reason"]

    (tmp_path / "policy.json").write_text(json.dumps({"age_threshold_days": 7, "dry_run": True}))
    monkeypatch.setenv("ARCHIVE_POLICY", str(tmp_path / "policy.json"))
    dry = audio_compressor("archive", cwd=tmp_path)
    assert dry.code == 0
    assert "Policy: 'dry_run' is true: nothing is done until it is false." in dry.out
    assert "Nothing was done." in dry.out
    assert shelf.files() == ["2026/a.webm", "b.webm"]


def test_what_is_wrong_with_the_call_is_said_before_anything_is_done(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.add("a.webm", days=20)
    mixed = audio_compressor("archive", "--dry-run", "restore", "a.webm", cwd=tmp_path)
    assert (mixed.code, "mean nothing before `restore`" in mixed.err) == (2, True)
    monkeypatch.setenv("LIBRARY_DIR", str(tmp_path / "unmounted"))
    unmounted = audio_compressor("archive", cwd=tmp_path)
    assert (unmounted.code, "is no directory; is its disk mounted?" in unmounted.err) == (2, True)
    monkeypatch.setenv("LIBRARY_DIR", "")
    monkeypatch.setenv("TRACKS_BUCKET", "tracks")
    unset = audio_compressor("archive", cwd=tmp_path)
    assert (unset.code, "LIBRARY_DIR is not set" in unset.err) == (2, True)
    assert shelf.files() == ["a.webm"]


def test_the_doctor_looks_at_the_library(
    shelf: Shelf, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.add("a.webm", days=20)
    shelf.add("b.webm", days=20, content=NO_SOUND)
    (shelf.root / "b.opus").write_bytes(b"another")
    well = audio_compressor("doctor", cwd=tmp_path)
    assert well.code == 0, well.out
    assert "can write Opus for what is aged" in well.out
    assert f"ok   library: {shelf.root} can be read and written; " in well.out
    assert "ok   library's policy: keep from 0 days, Opus 96k from 7 days, Opus 64k from 30 days" in well.out
    assert "ok   library's recordings: 2, of which 1 are due (0.044 MB" in well.out
    assert "1 are in doubt and stay as they are, such as b.webm: b.opus lies beside it" in well.out
    (tmp_path / "policy.json").write_text('{"tiers": []}')
    monkeypatch.setenv("ARCHIVE_POLICY", str(tmp_path / "policy.json"))
    monkeypatch.setenv("LIBRARY_DIR", str(tmp_path / "unmounted"))
    ill = audio_compressor("doctor", cwd=tmp_path)
    assert ill.code == 2
    assert "FAIL library: LIBRARY_DIR " in ill.out
    assert "'tiers' is empty" in ill.out
    assert "skip library's recordings: not without the library, so it was not tried" in ill.out
