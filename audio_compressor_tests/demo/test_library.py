"""The demo of the library, as a newcomer runs it: from recordings of several ages to what their tiers say."""

import json
import os
import shlex
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audio_compressor.archive.layout import Layout
from audio_compressor.archive.library import Library, Look, Rules
from audio_compressor.archive.plan import Plan
from audio_compressor.archive.policy import default_policy
from audio_compressor.archive.records import Copy, Records
from audio_compressor.audio.archiving import inspect
from audio_compressor.audio.ffmpeg import Ffmpeg, find_ffmpeg
from audio_compressor.demo.library import INDEX_NAME, TALKS, create_library
from audio_compressor.errors import EncodingError
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.cli.commands import Ended, audio_compressor

# Ids of elements, RFC 9559.
_CLUSTER, _DURATION = bytes.fromhex("1f43b675"), bytes.fromhex("4489")
NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)
DUE = ["interview-1", "interview-2", "reading-room", "studio", "telephone", "tonarchiv"]


@dataclass(frozen=True)
class Demo:
    """What two runs of the command in one directory came to, and what lay there after the first."""

    root: Path
    first: Ended
    documents: dict[str, str]
    copies: dict[str, Copy]
    second: Ended

    @property
    def library(self) -> Path:
        return self.root / "library"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    root = tmp_path_factory.mktemp("demo of a library")  # with spaces, for the command line that is printed
    library = root / "library"

    def run() -> Ended:
        return audio_compressor("demo", "--library", "--directory", str(root), cwd=root)

    first = run()
    documents = {path.stem: path.read_text() for path in library.rglob("*.json") if ".audio" not in str(path)}
    return Demo(root, first, documents, copies_of(library), run())


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Before anything is archived; made after an attempt that has failed."""
    root = tmp_path_factory.mktemp("new") / "library"
    with pytest.raises(EncodingError):
        create_library(root, Ffmpeg(Path("/bin/false"), "none"), NOW)
    assert not root.exists()
    assert create_library(root, find_ffmpeg(), NOW)
    return root


def copies_of(library: Path) -> dict[str, Copy]:
    known, unreadable = Records(Layout(library)).read_all()
    assert not unreadable
    return {Path(key).stem: record.copy for key, record in known.items() if record.copy}


def look_at(root: Path, now: datetime) -> Look:
    rules = Rules(default_policy(has_cold_storage=False), trash_days=7, settle_seconds=60, warning_bytes=0)
    with Library(Layout(root, INDEX_NAME), rules) as library:
        return library.look(now)


def verdicts(plan: Plan) -> dict[str, str]:
    return {Path(each.file.key).stem: each.verdict for each in plan.decisions}


def state_of(root: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in root.rglob("*")}


def test_all_ages_and_what_stands_in_the_way(new: Path) -> None:
    look = look_at(new, NOW)
    others = {"weekly-plan": "kept", "notes": "doubt", "hearing": "held"}
    assert verdicts(look.plan) == {**dict.fromkeys(DUE, "due"), **others}
    assert {int(each.age_days) for each in look.plan.decisions} == {2, 12, 45, 400}
    actions = {Path(each.file.key).stem: str(each.action) for each in look.plan.due}
    assert {name for name, action in actions.items() if action == "Opus 96k"} == {
        "interview-1",
        "interview-2",
        "tonarchiv",
    }
    dated = {Path(each.file.key).stem: each.file.dated_by for each in look.plan.decisions}
    assert dated["studio"] == "its directory"
    assert dated["tonarchiv"] == "recorded_at in its document"
    assert look.problems == ()


def test_it_ages_by_itself(new: Path) -> None:
    assert verdicts(look_at(new, NOW + timedelta(days=6)).plan)["weekly-plan"] == "due"


def test_recordings_are_as_browsers_write_them(new: Path) -> None:
    for talk in TALKS:
        [path] = new.rglob(f"{talk.name}.webm")
        contents = inspect(path, ffmpeg=find_ffmpeg(), children=ChildProcesses())
        assert contents.duration_seconds == pytest.approx(talk.duration_seconds, abs=0.05), talk.name
        assert (contents.codec, contents.problems) == ("opus", ())
        assert (contents.bitrate_kbps > 110) == (talk.bitrate == "128k"), talk.name
        header, cluster, _ = path.read_bytes().partition(_CLUSTER)
        assert cluster
        assert _DURATION not in header


def test_the_index_has_every_size(new: Path) -> None:
    index = json.loads((new / INDEX_NAME).read_text())
    sizes = {entry["file"]: entry["size"] for entry in index["recordings"]}
    assert sizes == {str(path.relative_to(new)): path.stat().st_size for path in new.rglob("*.webm")}
    assert index["total_size"] == sum(sizes.values())


def test_a_library_that_is_there_is_left_alone(new: Path) -> None:
    before = state_of(new)
    assert not create_library(new, find_ffmpeg(), NOW + timedelta(days=30))
    assert state_of(new) == before


def test_nothing_is_left_of_an_attempt_that_has_failed(new: Path) -> None:
    assert [path.name for path in new.parent.iterdir()] == ["library"]


def test_the_first_run_shows_the_plan_and_does_what_is_due(demo: Demo) -> None:
    command = demo.first
    assert command.code == 0, command.out + command.err
    assert "Traceback" not in command.err
    plan, work = command.out.split("The work")
    assert "asked for by a court" in plan
    assert "is not JSON" in plan
    assert f"{len(DUE)} of {len(DUE)}" in work
    assert sorted(demo.copies) == DUE
    assert demo.copies["interview-1"].bitrate_kbps == 96
    assert demo.copies["studio"].bitrate_kbps == 64
    assert demo.copies["telephone"].bitrate_kbps < 30, "it was encoded again"


def test_what_may_not_be_touched_is_there(demo: Demo) -> None:
    for name in ("hearing", "notes", "weekly-plan"):
        assert len(list(demo.library.glob(f"*/{name}.webm"))) == 1, name


def test_documents_tell_of_the_copies(demo: Demo) -> None:
    interview = json.loads(demo.documents["interview"])
    assert [chunk["file"] for chunk in interview["chunks"]] == ["interview-1.opus", "interview-2.opus"]
    index = json.loads(demo.documents["index"])
    sizes = {Path(entry["file"]).name: entry["size"] for entry in index["recordings"]}
    for name, copy in demo.copies.items():
        assert sizes[f"{name}.opus"] == copy.size_bytes
    assert index["total_size"] == sum(sizes.values())


def test_the_second_run_has_nothing_to_do(demo: Demo) -> None:
    assert demo.second.code == 0, demo.second.err
    assert "as it was left" in demo.second.out
    assert f"Nothing to do. 0 of {len(TALKS)} recordings are due." in demo.second.out
    assert copies_of(demo.library) == demo.copies


def line_of(text: str, label: str) -> str:
    [line] = [line for line in text.splitlines() if line.startswith(f"{label}:")]
    return line.partition(":")[2].strip()


def test_the_last_line_brings_one_back(demo: Demo) -> None:
    command = line_of(demo.first.out, "Bring back")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    argv = shlex.split(command)
    done = subprocess.run(argv, cwd="/", env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    brought_back = demo.library / command.rpartition(" ")[2]
    assert brought_back.suffix == ".webm"
    assert brought_back.is_file()
    assert "brought back from the trash" in done.stdout


def test_only_one_kind_at_a_time(tmp_path: Path) -> None:
    ended = audio_compressor("demo", "--tracks", "--library", cwd=tmp_path)
    assert ended.code == 2
    assert "--tracks or --library" in ended.err
    assert list(tmp_path.iterdir()) == []
