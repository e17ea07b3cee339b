"""One look at libraries on disk in which everything is odd that can be: nothing of it stops the look, what is in doubt
may not be touched, and everything is said.
"""

import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audio_compressor.archive.layout import MOST_NAME_BYTES, STATE_NAME, Layout, copy_path, why_unusable_path
from audio_compressor.archive.matching import Matcher
from audio_compressor.archive.model import LibraryFile
from audio_compressor.archive.plan import Decision, make_plan
from audio_compressor.archive.policy import Action, Policy, Tier
from audio_compressor.archive.records import Copy, Original, Place, Record, Records, Refusal
from audio_compressor.archive.survey import Survey, survey
from audio_compressor.errors import AccessDeniedError, LibraryError
from audio_compressor_tests.archive.library_files import hold_of

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MADE_AT = datetime(2026, 4, 1, tzinfo=UTC)
KEY = "2026/talk.webm"
SIZE, COPY_SIZE = 1000, 700
_NOBODY = 65_534
OLD_SECONDS = MADE_AT.timestamp()
# Whatever may be touched at all is due.
DELETE_ALL = Policy((Tier(0, Action("delete")),))


class Shelf:
    """A library on disk."""

    def __init__(self, root: Path, index_name: str = "") -> None:
        self.root = root
        self.layout = Layout(root, index_name)
        self.records = Records(self.layout)

    def put(self, path: str, size_bytes: int = SIZE) -> Path:
        found = self.root / path
        found.parent.mkdir(parents=True, exist_ok=True)
        found.write_bytes(b"x" * size_bytes)
        os.utime(found, (OLD_SECONDS, OLD_SECONDS))
        return found

    def say(self, path: str, content: object) -> None:
        """A document; text is written as it is."""
        self.put(path).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")

    def record(
        self, key: str = KEY, place: Place = "library", path: str = "", size_bytes: int = COPY_SIZE, **more: Any
    ) -> Record:
        """Of a recording that was archived; the copy itself is not put anywhere."""
        original = Original(key, SIZE, "cd" * 32, 61.5, "opus", MADE_AT)
        uri = f"s3://cold/{key}" if place == "cold" else ""
        path = path or copy_path(key)
        copy = Copy(place, path, size_bytes, "ab" * 32, "opus", 96, "cd" * 32, MADE_AT, "old", uri)
        record = replace(Record(key, MADE_AT, "its name", original, copy), **more)
        self.records.write(record)
        return record

    def look(self) -> Survey:
        return survey(self.layout, NOW)

    def file(self, key: str = KEY) -> LibraryFile:
        [file] = [file for file in self.look().files if file.key == key]
        return file

    def trouble(self, key: str = KEY) -> str:
        """Of a recording that nothing may be done with."""
        file = self.file(key)
        [decision] = make_plan(NOW, [file], DELETE_ALL, (), 0).decisions
        assert decision.verdict == "doubt"
        assert decision.reason == file.trouble
        return decision.reason

    def due(self, *matchers: Matcher) -> list[str]:
        """What a policy that deletes everything would do, with these holds."""
        holds = [hold_of(matcher) for matcher in matchers]
        plan = make_plan(NOW, self.look().files, DELETE_ALL, holds, 0)
        return [_key(decision) for decision in plan.due]


def _key(decision: Decision) -> str:
    return decision.file.key


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    root = tmp_path / "library"
    root.mkdir()
    yield Shelf(root)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "outside") == ["library"]


# -- what is as it should be


def test_a_recording_and_its_document(shelf: Shelf) -> None:
    path = shelf.put(KEY)
    shelf.say("2026/talk.json", {"language": "de", "created_at": "2026-03-14T10:00:00Z", "duration": 61.5})
    found = shelf.look()
    [file] = found.files
    assert (file.key, file.trouble, file.refusals, file.duration_seconds) == (KEY, None, {}, 61.5)
    assert (file.recorded_at, file.dated_by) == (datetime(2026, 3, 14, 10, tzinfo=UTC), "created_at in its document")
    assert file.fields["language"] == "de"
    assert (file.size_bytes, file.original_bytes) == (SIZE, SIZE)
    assert file.standing is not None
    assert file.standing.is_original
    assert file.standing.stamp == file.original_stamp
    assert file.original_stamp is not None
    assert (file.original_stamp.inode, file.original_stamp.modified_at) == (path.stat().st_ino, MADE_AT)
    assert (found.at, found.problems, found.strangers, found.missing, found.parts) == (NOW, (), (), (), ())


def test_an_empty_library(shelf: Shelf) -> None:
    assert shelf.look() == Survey(NOW, (), {}, (), (), (), ())


@pytest.mark.parametrize("what", ["nothing", "a file"])
def test_a_library_that_is_none_is_not_taken_for_an_empty_one(tmp_path: Path, what: str) -> None:
    if what == "a file":
        (tmp_path / "library").touch()
    with pytest.raises(LibraryError, match="is no directory; is its disk mounted"):
        survey(Layout(tmp_path / "library"), NOW)


def test_a_date_that_was_put_right_counts_where_it_keeps_a_recording_longer(shelf: Shelf) -> None:
    shelf.record()
    shelf.put("2026/talk.opus", COPY_SIZE)
    shelf.say("2026/talk.json", {"recorded_at": (NOW - timedelta(days=1)).isoformat()})
    [file] = shelf.look().files
    assert (file.recorded_at, file.dated_by) == (NOW - timedelta(days=1), "recorded_at in its document")


def test_a_document_that_is_gone_is_missed(shelf: Shelf) -> None:
    """It may be what puts the recording on hold."""
    shelf.record(has_document=True)
    shelf.put("2026/talk.opus", COPY_SIZE)
    assert shelf.trouble(KEY) == "its document is gone, by which it may be on hold"
    shelf.say("2026/talk.json", {"language": "de"})
    assert shelf.due() == [KEY]


def test_the_document_of_an_original_that_was_kept_speaks_of_its_copy(shelf: Shelf) -> None:
    shelf.record(original_is_kept=True)
    shelf.put(KEY, SIZE)
    shelf.put("2026/talk.opus", COPY_SIZE)
    shelf.say("2026/talk.json", {"chunks": [{"file": "talk.opus"}]})
    assert shelf.due() == [KEY]


def test_a_recording_of_which_there_is_a_copy(shelf: Shelf) -> None:
    record = shelf.record()
    shelf.put("2026/talk.opus", COPY_SIZE)
    shelf.say("2026/talk.json", {"language": "de", "created_at": "1999-01-01"})
    found = shelf.look()
    [file] = found.files
    assert (file.key, file.trouble, file.original_stamp) == (KEY, None, None)
    assert (file.recorded_at, file.dated_by, file.duration_seconds) == (record.recorded_at, record.dated_by, 61.5)
    assert (file.size_bytes, file.original_bytes) == (COPY_SIZE, SIZE)
    assert file.standing is not None
    assert (file.standing.place, file.standing.path, file.standing.bitrate_kbps) == ("library", "2026/talk.opus", 96)
    assert (found.problems, found.strangers, found.missing) == ((), (), ())
    assert found.records == {KEY: record}
    assert shelf.due(Matcher(languages=("de",))) == []
    assert shelf.due() == [KEY]


@pytest.mark.parametrize("name", ["TALK.WEBM", "Talk.WebM", "talk 1 (ä) [x]'.webm", "日本.webm", "a..webm", "-i.webm"])
def test_names_that_are_fine(shelf: Shelf, name: str) -> None:
    shelf.put(f"2026/{name}")
    shelf.say(f"2026/{Path(name).stem}.json", {"language": "de"})
    assert shelf.file(f"2026/{name}").fields == {"language": "de"}
    assert shelf.due() == [f"2026/{name}"]


def test_what_has_no_date_anywhere_is_as_old_as_its_last_change(shelf: Shelf) -> None:
    shelf.put("talk.webm")
    shelf.say("talk.json", {"created_at": "yesterday"})
    file = shelf.file("talk.webm")
    assert file.recorded_at == MADE_AT
    assert file.dated_by == ("when it was last modified (created_at in its document is 'yesterday', which is no date)")


@pytest.mark.parametrize("duration", [0, -1, True, "61.5", None, [61.5], 1e308, 10**400])
def test_durations_that_are_none(shelf: Shelf, duration: object) -> None:
    shelf.put(KEY)
    shelf.say("2026/talk.json", {"duration": duration})
    assert shelf.file().duration_seconds is None
    policy = Policy((Tier(0, Action("opus", 64)),))
    assert len(make_plan(NOW, shelf.look().files, policy, (), 0).due) == 1


@pytest.mark.parametrize("seconds", [10**11, 253_402_300_800, -(10**11)])
def test_times_of_files_beyond_the_calendar(seconds: int) -> None:
    """Not every file system has such times; one in memory has."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        shelf = Shelf(Path(directory))
        path = shelf.put("talk.webm")
        os.utime(path, (0, seconds))
        if path.stat().st_mtime_ns != seconds * 10**9:
            pytest.skip("no file system here has such times")
        file = shelf.file("talk.webm")
        assert file.recorded_at == NOW
        assert "nothing, so that it counts as new (when it was last modified says" in file.dated_by


# -- documents


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("{", "is not JSON: Expecting property name"),
        ('{"a": 1, "a": 2}', "holds the field 'a' twice in one object"),
        ("[]", "holds a list instead of an object"),
        ("7", "holds a single value instead of an object"),
        ('{"a": NaN}', "holds NaN, which is not JSON"),
        ("[" * 10_000, "is nested more than 64 deep"),
    ],
)
def test_a_document_that_cannot_be_read(shelf: Shelf, content: str, reason: str) -> None:
    shelf.put(KEY)
    shelf.put("2027/talk.webm")
    shelf.say("2027/session.json", content)
    shelf.put("2027/own.webm")
    shelf.say("2027/own.json", {})
    shelf.say("2026/talk.json", content)
    assert shelf.trouble().startswith(f"its document 'talk.json' {reason}")
    assert shelf.trouble("2027/talk.webm").startswith(f"'session.json' beside it, which may be its document, {reason}")
    assert shelf.due() == ["2027/own.webm"]


def test_the_document_of_a_copy_that_cannot_be_read(shelf: Shelf) -> None:
    shelf.record()
    shelf.put("2026/talk.opus", COPY_SIZE)
    shelf.say("2026/talk.json", "{")
    assert shelf.trouble().startswith("its document 'talk.json' is not JSON")


def test_one_document_names_several_recordings(shelf: Shelf) -> None:
    for name in ("chunk_001.webm", "chunk_002.webm", "chunk_003.webm"):
        shelf.put(f"2026/{name}")
    chunks = [{"file": "chunk_001.webm"}, {"file": "./chunk_002.webm"}, {"file": "2026/chunk_003.webm"}]
    shelf.say("2026/session.json", {"language": "de", "chunks": chunks})
    found = shelf.look()
    assert [file.fields.get("language") for file in found.files] == ["de", "de", "de"]
    assert found.problems == ()


def test_two_documents_claim_one_recording(shelf: Shelf) -> None:
    shelf.put(KEY)
    shelf.put("2026/other.webm")
    shelf.say("2026/talk.json", {"language": "de"})
    shelf.say("2026/session.json", {"chunks": [{"file": "talk.webm"}, {"file": "other.webm"}]})
    assert shelf.trouble() == "both 'session.json' and 'talk.json' name it"
    assert shelf.due() == ["2026/other.webm"]


def test_a_document_names_other_files(shelf: Shelf) -> None:
    shelf.put(KEY)
    shelf.put("2026/other.webm")
    shelf.put("outside.webm")
    names = ("other.webm", "gone.webm", "../outside.webm", "/etc/passwd", "2027/talk.webm")
    shelf.say("2026/talk.json", {"chunks": [{"file": name} for name in names]})
    assert shelf.trouble() == "its document 'talk.json' has chunks, which name 'other.webm' and not it"
    found = shelf.look()
    assert found.problems == (
        "2026: 'talk.json' names 'gone.webm', which is not there.",
        "2026: 'talk.json' names '../outside.webm', which leads elsewhere and is not followed.",
        "2026: 'talk.json' names '/etc/passwd', which leads elsewhere and is not followed.",
        "2026: 'talk.json' names '2027/talk.webm', which lies in another directory.",
    )
    assert shelf.due() == ["2026/other.webm", "outside.webm"]


@pytest.mark.parametrize("chunks", [5, {"file": "talk.webm"}, "talk.webm"])
def test_chunks_that_are_no_list(shelf: Shelf, chunks: object) -> None:
    shelf.put(KEY)
    shelf.say("2026/talk.json", {"chunks": chunks})
    found = shelf.look()
    assert found.problems == ("2026: 'talk.json' has chunks that are not a list.",)
    assert found.files[0].trouble is None


@pytest.mark.parametrize("text", ["", '{"recordings": [', "5"])
def test_a_master_index_that_cannot_be_read_puts_everything_in_doubt(tmp_path: Path, text: str) -> None:
    """Or each would be encoded first, and then be put back."""
    root = tmp_path / "library"
    root.mkdir()
    shelf = Shelf(root, "index.json")
    shelf.put(KEY)
    assert shelf.due() == [KEY]
    (shelf.root / "index.json").write_text(text)
    assert shelf.due() == []
    assert str(shelf.trouble(KEY)).startswith("the master index ")
    assert "nothing is archived until" in shelf.look().problems[0]


def test_the_master_index_is_no_document(tmp_path: Path) -> None:
    root = tmp_path / "library"
    root.mkdir()
    shelf = Shelf(root, "index.json")
    shelf.put("talk.webm")
    shelf.say("index.json", [{"file": "talk.webm"}])
    shelf.put("2026/talk.webm")
    shelf.say("2026/index.json", ["another one"])
    assert shelf.due() == ["talk.webm"]


# -- links, and what is no file


def test_links_are_not_followed_and_said(shelf: Shelf, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "talk.webm").touch()
    shelf.put("2026/real.webm")
    (shelf.root / "2026/link.webm").symlink_to("real.webm")
    (shelf.root / "2026/out.webm").symlink_to(outside / "talk.webm")
    (shelf.root / "2026/out.opus").symlink_to(outside / "talk.webm")
    (shelf.root / "2026/broken.webm").symlink_to("nowhere")
    (shelf.root / "2026/self.webm").symlink_to("self.webm")
    (shelf.root / "2026/loop").symlink_to("..")
    (shelf.root / "elsewhere").symlink_to(outside)
    os.mkfifo(shelf.root / "pipe.webm")
    found = shelf.look()
    assert [file.key for file in found.files] == ["2026/real.webm"]
    assert found.strangers == ()
    assert [problem.partition(" ")[0] for problem in found.problems] == [
        *("elsewhere", "pipe.webm", "2026/broken.webm", "2026/link.webm", "2026/loop"),
        *("2026/out.opus", "2026/out.webm", "2026/self.webm"),
    ]
    assert all(problem.endswith(" is a link or no file at all; it is not looked at") for problem in found.problems)


def test_a_socket_is_no_recording(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shelf.root)  # their names are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("talk.webm")
        assert shelf.look().files == ()


def test_a_document_that_is_a_link_is_in_doubt_and_not_none(shelf: Shelf) -> None:
    """A hold may be about what it says."""
    shelf.put(KEY)
    shelf.say("2027/real.json", {"language": "de"})
    (shelf.root / "2026/talk.json").symlink_to("../2027/real.json")
    assert shelf.trouble() == "its document 'talk.json' is a symbolic link, which is not followed"
    (shelf.root / "2026/talk.json").rename(shelf.root / "2026/session.json")
    assert shelf.trouble().startswith("'session.json' beside it, which may be its document, is a symbolic link")


def test_a_library_behind_a_link(shelf: Shelf, tmp_path: Path) -> None:
    shelf.put(KEY)
    link = tmp_path / "outside"
    link.symlink_to(shelf.root)
    assert [file.key for file in survey(Layout(link), NOW).files] == [KEY]


def test_a_state_directory_that_is_a_link_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (shelf.root / STATE_NAME).symlink_to(tmp_path / "outside")
    with pytest.raises(LibraryError, match="is a link or a file"):
        shelf.layout.prepare()
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("path", ["", "/", "/etc/passwd", "..", "a/../../b", "2026/../..", "a\0b", "link", "link/b"])
def test_no_path_leads_out(shelf: Shelf, tmp_path: Path, path: str) -> None:
    (tmp_path / "outside").mkdir()
    (shelf.root / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(AccessDeniedError, match=r"no path below|symbolic link"):
        shelf.layout.inside(path)


# -- names


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (b"a\nb.webm", "its name holds control or invisible characters"),
        (b"\x1b[2Jtalk.webm", "its name holds control or invisible characters"),
        ("\u202etalk.webm".encode(), "its name holds control or invisible characters"),
        ("a\ufffd.webm".encode(), "its name holds control or invisible characters"),
        (b"caf\xe9.webm", "its name is not UTF-8"),
        (b"a,b.webm", "its name holds a comma or '...', which Dagster keeps for lists and ranges"),
        (b"a...b.webm", "its name holds a comma or '...', which Dagster keeps for lists and ranges"),
        (b"a\\b.webm", "its name holds a backslash"),
        (b" talk.webm", "its name starts or ends with white space"),
        (b"x" * 245 + b".webm", f"its name is longer than {MOST_NAME_BYTES} bytes"),
        ("ä".encode() * 120 + b".webm", f"its name is longer than {MOST_NAME_BYTES} bytes"),
    ],
)
def test_names_that_cannot_be_used_are_passed_over_and_said(shelf: Shelf, name: bytes, reason: str) -> None:
    shelf.put("2026/" + os.fsdecode(name))
    shelf.put("2026/fine.webm")
    found = shelf.look()
    assert [file.key for file in found.files] == ["2026/fine.webm"]
    [problem] = found.problems
    assert problem.endswith(f" is passed over: {reason}")
    assert problem.encode()
    assert problem.isprintable() or "\n" in problem


def test_directories_with_such_names(shelf: Shelf) -> None:
    for directory in (b"a,b", b"caf\xe9", b"a\x1bb", b"x" * 250):
        shelf.put(os.fsdecode(directory) + "/talk.webm")
        shelf.say(os.fsdecode(directory) + "/talk.json", "{")
    found = shelf.look()
    assert found.files == ()
    assert len(found.problems) == 4
    assert all(" is passed over: " in problem and "\x1b" not in problem for problem in found.problems)


def test_the_longest_name_that_is_taken_can_be_archived(shelf: Shelf) -> None:
    key = f"2026/{'x' * (MOST_NAME_BYTES - 5)}.webm"
    assert why_unusable_path(key) is None
    shelf.put(key)
    shelf.layout.part(copy_path(key)).touch()
    shelf.record(key, original_is_kept=True)
    assert shelf.file(key).trouble is None


def test_hidden_files_are_not_looked_at(shelf: Shelf) -> None:
    for path in (".talk.webm", "2026/.webm", ".hidden/talk.webm", f"{STATE_NAME}/trash/1/talk.webm", ".talk.json"):
        shelf.put(path)
    assert shelf.look() == Survey(NOW, (), {}, (), (), (), ())


def test_what_interrupted_runs_left_is_known(shelf: Shelf) -> None:
    part = shelf.layout.part("2026/talk.opus")
    shelf.put(KEY)
    shelf.put(f"2026/{part.name}", 5)
    shelf.put("2026/.other.part", 5)
    found = shelf.look()
    assert [(each.path, each.size_bytes) for each in found.parts] == [(f"2026/{part.name}", 5)]
    assert [file.key for file in found.files] == [KEY]


def test_two_originals_that_would_have_one_copy_are_in_doubt(shelf: Shelf) -> None:
    """Two workers would write the same file at the same time."""
    for name in ("2026/talk.webm", "2026/talk.WEBM", "2027/talk.WEBM", "2026/talk.1.webm"):
        shelf.put(name)
    assert shelf.trouble() == "its copy would have the name of that of 2026/talk.WEBM: rename one"
    assert shelf.trouble("2026/talk.WEBM") == "its copy would have the name of that of 2026/talk.webm: rename one"
    assert shelf.due() == ["2026/talk.1.webm", "2027/talk.WEBM"]


def test_nor_may_one_take_the_name_of_a_copy_in_cold_storage(shelf: Shelf) -> None:
    shelf.record(place="cold")
    shelf.put("2026/talk.WEBM")
    assert "rename one" in shelf.trouble("2026/talk.WEBM")
    assert "rename one" in shelf.trouble(KEY)


# -- records and what lies there


def test_sounds_that_nobody_has_a_record_of(shelf: Shelf) -> None:
    for name in ("a.opus", "b.MP3", "c.wav", "notes.txt", "talk.json", "picture.png"):
        shelf.put(name, 3)
    found = shelf.look()
    assert [each.path for each in found.strangers] == ["a.opus", "b.MP3", "c.wav"]
    assert found.files == ()


def test_a_copy_that_nobody_made_beside_an_original(shelf: Shelf) -> None:
    shelf.put(KEY)
    shelf.put("2026/talk.opus")
    assert shelf.trouble() == "2026/talk.opus lies beside it and was not made of it: move one of them away"
    assert [each.path for each in shelf.look().strangers] == ["2026/talk.opus"]


def test_a_copy_that_is_missing(shelf: Shelf) -> None:
    shelf.record()
    assert shelf.trouble() == ("2026/talk.opus is missing; `audio-compressor archive restore` may have another copy")
    assert shelf.look().missing == (KEY,)


def test_a_copy_that_was_changed(shelf: Shelf) -> None:
    shelf.record()
    shelf.put("2026/talk.opus", COPY_SIZE + 1)
    assert shelf.trouble() == "2026/talk.opus was changed since it was made"


def test_an_original_that_is_back_beside_its_copy(shelf: Shelf) -> None:
    shelf.record()
    shelf.put(KEY)
    assert shelf.trouble() == (
        "2026/talk.opus was made of an original of this name, and is missing: is this that original?"
    )
    shelf.put("2026/talk.opus", COPY_SIZE)
    assert shelf.trouble() == "2026/talk.opus was made of an original of this name: move one of them away"
    assert [file.key for file in shelf.look().files] == [KEY]


def test_an_original_that_is_back_while_its_copy_is_in_cold_storage(shelf: Shelf) -> None:
    shelf.record(place="cold")
    shelf.put(KEY)
    assert shelf.trouble() == (
        f"s3://cold/{KEY}, in cold storage, was made of an original of this name: move one of them away"
    )


def test_an_original_that_is_kept_beside_its_copy(shelf: Shelf) -> None:
    shelf.record(original_is_kept=True)
    shelf.put(KEY)
    file = shelf.file()
    assert (file.trouble, file.size_bytes, file.standing and file.standing.is_original) == (None, SIZE, True)

    shelf.put("2026/talk.opus", COPY_SIZE)
    file = shelf.file()
    assert (file.trouble, file.size_bytes, file.standing and file.standing.path) == (
        *(None, SIZE + COPY_SIZE),
        "2026/talk.opus",
    )
    shelf.put("2026/talk.opus", COPY_SIZE - 1)
    assert shelf.trouble() == "2026/talk.opus beside it was changed since it was made"


def test_another_original_in_the_place_of_one_that_is_kept(shelf: Shelf) -> None:
    shelf.record(original_is_kept=True)
    shelf.put("2026/talk.opus", COPY_SIZE)
    shelf.put(KEY, SIZE + 1)
    assert shelf.trouble() == "it was changed since 2026/talk.opus was made of it"


def test_a_name_that_is_used_again_after_a_deletion(shelf: Shelf) -> None:
    record = replace(shelf.record(), copy=None, deleted_at=MADE_AT)
    shelf.records.write(record)
    assert (shelf.look().files, shelf.look().missing) == ((), ())
    shelf.put(KEY)
    assert shelf.due() == [KEY]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"version": 1}', "not JSON", "\x00"])
def test_a_record_that_cannot_be_read_stops_its_recording_and_no_other(shelf: Shelf, content: str) -> None:
    shelf.record()
    shelf.layout.record_path(KEY).write_text(content)
    shelf.put("2026/talk.opus", COPY_SIZE)
    shelf.put("2026/other.webm")
    assert shelf.due() == ["2026/other.webm"]
    found = shelf.look()
    assert len(found.problems) == 1
    assert found.problems[0].startswith(f"{KEY}: {shelf.layout.record_path(KEY)} is no record of a recording")
    assert [each.path for each in found.strangers] == ["2026/talk.opus"]
    shelf.put(KEY)
    assert "is no record of a recording" in shelf.trouble()


def test_refusals_hold_for_the_same_file_only(shelf: Shelf) -> None:
    stamp = shelf.put(KEY).stat()
    refusal = Refusal("Opus 64k", "it would be larger", stamp.st_size, stamp.st_mtime_ns, MADE_AT)
    shelf.records.write(Record(KEY, MADE_AT, "its name", refusals=(refusal,)))
    assert shelf.file().refusals == {"Opus 64k": "it would be larger"}
    os.utime(shelf.root / KEY, (0, OLD_SECONDS + 1))
    assert shelf.file().refusals == {}
    assert shelf.file().trouble is None


# -- cold storage


@pytest.mark.parametrize("path", ["2026/talk.opus", KEY])
def test_a_recording_in_cold_storage_is_held_by_what_its_document_says(shelf: Shelf, path: str) -> None:
    shelf.record(place="cold", path=path)
    shelf.say("2026/talk.json", {"language": "de", "session": {"room": "Aula"}})
    file = shelf.file()
    assert (file.trouble, file.size_bytes, file.fields["language"]) == (None, 0, "de")
    assert file.standing is not None
    assert (file.standing.place, file.standing.stamp) == ("cold", None)
    assert shelf.due() == [KEY]
    assert shelf.due(Matcher(languages=("DE",))) == []
    assert shelf.due(Matcher(metadata={"session.room": ("Aula",)})) == []
    shelf.say("2026/talk.json", "{")
    assert "is not JSON" in shelf.trouble()


def test_a_recording_in_cold_storage_whose_directory_is_gone(shelf: Shelf) -> None:
    shelf.record(place="cold")
    assert shelf.due() == [KEY]
    assert shelf.look().missing == ()


def test_a_copy_that_lies_here_and_in_cold_storage(shelf: Shelf) -> None:
    shelf.record(place="cold")
    shelf.put("2026/talk.opus", COPY_SIZE)
    assert shelf.trouble() == ("2026/talk.opus lies in the library, and in cold storage: move one of them away")


# -- what cannot be read


@pytest.fixture
def locked_shelf() -> Iterator[Shelf]:
    """A library in a directory of its own, which another user may come to as well."""
    with tempfile.TemporaryDirectory(prefix="library-") as directory:
        Path(directory).chmod(0o755)
        root = Path(directory, "library")
        root.mkdir()
        yield Shelf(root)


@contextmanager
def without_rights(shelf: Shelf, *closed: str) -> Iterator[None]:
    """Look as a user who owns the library, but may not read these parts of it; root may read everything."""
    is_root = os.geteuid() == 0
    paths = [shelf.root / path for path in closed]
    modes = [path.stat().st_mode for path in paths]
    if is_root:
        for path in (shelf.root, *shelf.root.rglob("*")):
            os.chown(path, _NOBODY, -1)
    for path in paths:
        path.chmod(0)
    if is_root:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)


def test_a_directory_that_cannot_be_listed_is_not_taken_for_an_empty_one(locked_shelf: Shelf) -> None:
    shelf = locked_shelf
    shelf.put("2027/talk.webm")
    shelf.put("2026/talk.opus", COPY_SIZE)
    shelf.record()
    shelf.record("2026/cold.webm", place="cold")
    shelf.say("2026/cold.json", {"language": "de"})
    with without_rights(shelf, "2026"):
        found = shelf.look()
        due = shelf.due()
        troubles = [shelf.trouble(), shelf.trouble("2026/cold.webm")]
    assert found.problems == ("2026 cannot be listed: Permission denied; check its owner and permissions",)
    assert found.missing == ()
    assert due == ["2027/talk.webm"]
    assert troubles == [
        "2026/talk.opus lies in a directory that cannot be listed",
        "its document may lie in a directory that cannot be listed",
    ]
    assert shelf.due() == ["2026/cold.webm", KEY, "2027/talk.webm"]


def test_a_library_that_cannot_be_listed(locked_shelf: Shelf) -> None:
    with without_rights(locked_shelf, "."), pytest.raises(LibraryError, match="cannot be listed: Permission denied"):
        locked_shelf.look()


def test_files_that_cannot_be_read(locked_shelf: Shelf) -> None:
    shelf = locked_shelf
    for name in ("a", "b", "c", "d"):
        shelf.put(f"{name}.webm")
    shelf.say("b.json", {"created_at": "2026-03-14"})
    shelf.say("d.json", {})  # or that of b might be its own
    shelf.record("c.webm")
    record = f"{STATE_NAME}/records/c.webm.json"
    with without_rights(shelf, "a.webm", "b.json", record):
        due = shelf.due()
        troubles = [shelf.trouble(key) for key in ("a.webm", "b.webm", "c.webm")]
    assert due == ["d.webm"]
    assert troubles == [
        f"{shelf.root}/a.webm cannot be written or read: Permission denied; check its owner and permissions",
        "its document 'b.json' cannot be read: Permission denied",
        f"{shelf.root}/{record} cannot be written or read: Permission denied; check its owner and permissions",
    ]


def test_records_that_cannot_be_listed_stop_everything(locked_shelf: Shelf) -> None:
    locked_shelf.put(KEY)
    locked_shelf.record("2025/talk.webm")
    with (
        without_rights(locked_shelf, f"{STATE_NAME}/records/2025"),
        pytest.raises(AccessDeniedError, match="Permission denied"),
    ):
        locked_shelf.look()


# -- many


def test_ten_thousand_recordings(shelf: Shelf) -> None:
    for day in range(100):
        directory = shelf.root / f"day {day}"
        directory.mkdir()
        for number in range(100):
            os.close(os.open(directory / f"{number}.webm", os.O_CREAT))
    found = shelf.look()
    assert len(found.files) == 10_000
    assert list(found.files) == sorted(found.files, key=lambda file: file.key)
    assert found.problems == ()
