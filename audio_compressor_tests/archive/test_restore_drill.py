"""What a drill looks at, what it proves as a whole, and what it leaves to the next one."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audio_compressor.archive.cold import ColdArchive
from audio_compressor.archive.cold.keys import key_of
from audio_compressor.archive.layout import Layout
from audio_compressor.archive.library import Library, Rules
from audio_compressor.archive.policy import default_policy
from audio_compressor.archive.records import Copy, Record
from audio_compressor.archive.restore_drill import Memory, Report, draw, hold_drill, report_json
from audio_compressor.audio.ffmpeg import find_ffmpeg
from audio_compressor.errors import ConfigurationError, LibraryError
from audio_compressor.local_files import sha256_of
from audio_compressor.retries import Retry
from audio_compressor_tests.fixtures.s3_server import BUCKET, Answer, Call, Drop, S3Server

AT = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture
def library(s3_server: S3Server, tmp_path: Path) -> Iterator[Library]:
    (tmp_path / "library").mkdir()
    (tmp_path / "staging").mkdir()
    rules = Rules(default_policy(has_cold_storage=True), 7, 60, 0)
    with Library(
        Layout(tmp_path / "library"), rules, ColdArchive(BUCKET, "archive/", s3_server.url, retry=Retry(1, 0))
    ) as opened:
        yield opened


class Cellar:
    """Cold storage of a library, and drills of it."""

    def __init__(self, library: Library, server: S3Server, clip: bytes, staging: Path) -> None:
        self.library = library
        self._server = server
        self._clip = clip
        self._staging = staging
        self.memory = Memory()

    def archive(self, *names: str) -> list[Record]:
        assert self.library.cold
        path = self._staging / "sent"
        path.write_bytes(self._clip)
        records = []
        for name in names:
            sha256, size_bytes = sha256_of(path), len(self._clip)
            uri = self.library.cold.put(path, name, sha256, "STANDARD_IA").uri
            copy = Copy("cold", name, size_bytes, sha256, "opus", 64, "", AT, "cold", uri, "STANDARD_IA")
            records.append(Record(name, AT, "name", copy=copy))
            self.library.records.write(records[-1])
        path.unlink()
        return records

    def lose(self, record: Record) -> None:
        self._server.delete(self._key(record))

    def mend(self, record: Record) -> None:
        self._server.put(self._key(record), self._clip)

    def drill(self, size: int = 5) -> Report:
        """Each goes on from the one before."""
        report = hold_drill(
            self.library,
            self.memory,
            size,
            random.Random(1),  # noqa: S311
            self._staging,
            ffmpeg=find_ffmpeg(),
        )
        assert list(self._staging.iterdir()) == []
        self.memory = report.memory
        return report

    def _key(self, record: Record) -> str:
        assert record.copy
        return key_of(BUCKET, record.copy)


@pytest.fixture
def cellar(library: Library, s3_server: S3Server, webm_clip: bytes, tmp_path: Path) -> Cellar:
    return Cellar(library, s3_server, webm_clip, tmp_path / "staging")


def drop(_: Call) -> Answer | None:
    raise Drop


def test_all_intact(cellar: Cellar, webm_clip: bytes) -> None:
    cellar.archive("a", "b", "c")
    report = cellar.drill(2)
    assert (report.verdict, len(report.found), report.copies) == ("intact", 2, 3)
    assert report.size_bytes == 3 * len(webm_clip)
    assert report.sentence == "2 copies are intact; 3 copies (0.133 MB) lie in cold storage in all"
    assert [each["finding"] for each in report_json(report)["findings"]] == ["intact", "intact"]


def test_nothing_lies_there(cellar: Cellar) -> None:
    report = cellar.drill()
    assert (report.verdict, report.sentence) == ("intact", "nothing lies in cold storage")


def test_what_was_lost_is_told_until_it_is_whole_or_nobody_needs_it(cellar: Cellar, s3_server: S3Server) -> None:
    first, second, *_ = cellar.archive("a", "b", "c", "d")
    cellar.lose(first)
    cellar.lose(second)
    assert cellar.drill().lost == ("a", "b") or cellar.memory.lost == ("b", "a")
    report = cellar.drill(1)  # and one that is whole
    assert (report.verdict, set(report.lost), len(report.found)) == ("lost", {"a", "b"}, 3)
    assert report.sentence.startswith("2 of 3 copies would not bring their recordings back")
    with s3_server.hooked(drop):
        away = cellar.drill(1)
    assert (away.verdict, set(away.lost_before), len(away.unseen)) == ("lost", {"a", "b"}, 3)
    assert away.sentence.startswith(
        "2 that were lost before could not be looked at again; 1 of 3 copies could not be looked at"
    )
    cellar.mend(first)
    assert cellar.drill(1).lost == ("b",)
    cellar.library.records.write(replace(second, deleted_at=AT))
    assert cellar.drill(1).verdict == "intact"


def test_what_could_not_be_looked_at_is_not_called_good_and_comes_next(cellar: Cellar, s3_server: S3Server) -> None:
    cellar.archive(*"abcdefgh")
    with s3_server.hooked(drop):
        report = cellar.drill(2)
    assert (report.verdict, report.lost, len(report.unseen)) == ("unknown", (), 2)
    assert report.sentence.startswith("2 of 2 copies could not be looked at; 8 copies")
    again = cellar.drill(2)
    assert again.verdict == "intact"
    assert {each.key for each in again.found} == set(report.unseen)


@pytest.mark.parametrize(
    "change",
    [lambda record: replace(record, deleted_at=AT), lambda record: replace(record, copy=None)],
    ids=["deleted", "brought back"],
)
def test_what_is_replaced_or_deleted_during_the_drill_is_not_missed(
    cellar: Cellar, s3_server: S3Server, change: Callable[[Record], Record]
) -> None:
    record, other = cellar.archive("a", "b")
    cellar.lose(record)
    cellar.memory = Memory(unseen=("a",))

    def meanwhile(_: Call) -> Answer | None:
        cellar.library.records.write(change(record))
        return None

    with s3_server.hooked(meanwhile):
        report = cellar.drill(1)
    assert (report.verdict, report.found, report.copies) == ("unknown", (), 1)
    assert report.sentence.startswith("what was to be looked at was replaced or deleted meanwhile; 1 copies")
    assert [each.key for each in cellar.drill(1).found] == [other.key]


def test_a_record_that_cannot_be_read_is_a_recording_nobody_looked_at(cellar: Cellar) -> None:
    record, _ = cellar.archive("a", "b")
    cellar.lose(record)
    assert cellar.drill().verdict == "lost"
    cellar.library.layout.record_path("a").write_text("{")
    assert cellar.drill().lost_before == ("a",)
    cellar.memory = Memory()
    report = cellar.drill()
    assert (report.verdict, len(report.found), list(report.unreadable)) == ("unknown", 1, ["a"])
    assert "1 records cannot be read" in report.sentence


def test_a_library_that_is_not_there_is_not_taken_for_an_empty_one(cellar: Cellar) -> None:
    cellar.lose(cellar.archive("a", "b")[0])
    cellar.drill()
    root = cellar.library.layout.root
    away = root.rename(root.with_name("unmounted"))
    with pytest.raises(LibraryError, match="is its disk mounted"):
        cellar.drill()
    root.mkdir()
    for _ in range(2):
        report = cellar.drill()
        assert (report.verdict, report.lost, report.vanished) == ("lost", ("a",), 2)
    assert "2 copies lay in cold storage at the last drill; is the library's disk mounted?" in report.sentence
    cellar.memory = Memory(copies=2)
    assert cellar.drill().verdict == "unknown"
    root.rmdir()
    away.rename(root)
    assert cellar.drill().lost == ("a",)


def test_no_drill_is_not_a_good_one(cellar: Cellar, library: Library) -> None:
    cellar.archive("a")
    with pytest.raises(ConfigurationError, match="DRILL_SIZE is 0"):
        cellar.drill(0)
    without = Library(library.layout, library.rules)
    with pytest.raises(ConfigurationError, match="COLD_BUCKET is not set"):
        hold_drill(without, Memory(), 1, random.Random(1), Path("/nowhere"), ffmpeg=find_ffmpeg())  # noqa: S311


def test_what_is_drawn() -> None:
    copy = Copy("cold", "a", 1, "0" * 64, "opus", 64, "", AT, "cold")
    lying = [Record(name, AT, "name", copy=copy) for name in "abcdefgh"]

    def drawn(size: int, seed: int, memory: Memory = Memory(), records: list[Record] = lying) -> list[str]:  # noqa: B008
        return [record.key for record in draw(records, memory, size, random.Random(seed))]  # noqa: S311

    assert drawn(3, 5) == drawn(3, 5, records=lying[::-1])
    assert len({tuple(drawn(3, seed)) for seed in range(20)}) > 10
    assert sorted(drawn(99, 1)) == list("abcdefgh")
    memory = Memory(lost=("c", "gone", "c"), unseen=("c", "e", "d"))
    assert drawn(1, 1, memory) == ["c", "e"]
    for seed in range(20):
        lost, *waiting, by_lot = drawn(3, seed, memory)
        assert (lost, waiting) == ("c", ["e", "d"])
        assert by_lot in set("abfgh")
    assert {drawn(3, seed, memory)[-1] for seed in range(60)} == set("abfgh")
