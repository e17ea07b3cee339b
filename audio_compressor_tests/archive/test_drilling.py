"""What lies in cold storage is fetched and played; and only what was looked at is called good or lost."""

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audio_compressor.archive.cold import ColdArchive
from audio_compressor.archive.cold.keys import key_of
from audio_compressor.archive.drilling import Drilled, choose, drill
from audio_compressor.archive.records import Copy, Original, Record
from audio_compressor.audio.ffmpeg import Ffmpeg, find_ffmpeg
from audio_compressor.errors import CancelledError
from audio_compressor.processes import ChildProcesses
from audio_compressor.retries import Retry
from audio_compressor_tests.fixtures.s3_server import BUCKET, Answer, Call, Drop, S3Server, refusal

AT = datetime(2026, 4, 1, tzinfo=UTC)
SECONDS = 1.5


@pytest.fixture(scope="module")
def ffmpeg() -> Ffmpeg:
    return find_ffmpeg()


@pytest.fixture(scope="module")
def talk(ffmpeg: Ffmpeg, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Opus in WebM."""
    path = tmp_path_factory.mktemp("talk") / "talk.webm"
    source = ("-f", "lavfi", "-i", f"anoisesrc=d={SECONDS}:r=48000:a=0.2")
    ffmpeg.run((*source, "-c:a", "libopus", str(path)), children=ChildProcesses(), timeout_seconds=60)
    return path.read_bytes()


@pytest.fixture
def children() -> Iterator[ChildProcesses]:
    registry = ChildProcesses()
    yield registry
    registry.kill_all()


@pytest.fixture(scope="module")
def lasting_cold(listening_s3_server: S3Server) -> Iterator[ColdArchive]:
    with ColdArchive(BUCKET, "archive/", listening_s3_server.url, retry=Retry(2, 0)) as cold:
        yield cold


@pytest.fixture
def cold(s3_server: S3Server, lasting_cold: ColdArchive) -> ColdArchive:
    return lasting_cold


class Drill:
    """With a staging directory in which nothing may be left."""

    def __init__(self, cold: ColdArchive, staging: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> None:
        self._cold = cold
        self._staging = staging
        self._ffmpeg = ffmpeg
        self._children = children
        staging.mkdir()

    def __call__(self, *records: Record) -> list[Drilled]:
        try:
            return drill(records, self._cold, self._staging, 0, ffmpeg=self._ffmpeg, children=self._children)
        finally:
            assert list(self._staging.iterdir()) == []

    def archived(self, content: bytes, storage_class: str = "STANDARD_IA", name: str = "2026/talk.webm") -> Record:
        path = self._staging.parent / "archived"
        path.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        uploaded = self._cold.put(path, name, sha256, storage_class)
        copy = Copy("cold", name, len(content), sha256, "opus", 64, "", AT, "cold", uploaded.uri, storage_class)
        return Record(name, AT, "name", Original(name, len(content), sha256, SECONDS, "opus", AT), copy)


@pytest.fixture
def drilled(cold: ColdArchive, tmp_path: Path, ffmpeg: Ffmpeg, children: ChildProcesses) -> Drill:
    return Drill(cold, tmp_path / "staging", ffmpeg, children)


def key(record: Record) -> str:
    assert record.copy is not None
    return key_of(BUCKET, record.copy)


def test_what_comes_back_whole_is_intact(drilled: Drill, talk: bytes) -> None:
    record = drilled.archived(talk)
    (found,) = drilled(record)
    assert (found.key, found.finding, found.size_bytes) == ("2026/talk.webm", "intact", len(talk))
    assert found.duration_seconds == pytest.approx(SECONDS, abs=0.05)
    assert not found.is_lost


def test_each_copy_is_judged_by_itself(s3_server: S3Server, drilled: Drill, talk: bytes) -> None:
    records = [drilled.archived(talk, name=f"{name}.webm") for name in ("changed", "short", "gone", "whole")]
    records.append(drilled.archived(talk, "GLACIER", "frozen.webm"))
    s3_server.put(key(records[0]), talk[:-1] + bytes([talk[-1] ^ 1]))
    s3_server.put(key(records[1]), talk[:-1])
    s3_server.delete(key(records[2]))
    found = drilled(*records)
    assert [each.finding for each in found] == ["damaged", "damaged", "missing", "intact", "thawing"]
    assert [each.is_lost for each in found] == [True, True, True, False, False]
    for each, reason in zip(
        found, ("its SHA-256 is", "bytes instead of", "does not exist", "plays 1.5", "3 to 5 hours"), strict=True
    ):
        assert reason in each.reason
    assert [each.key for each in found] == [record.key for record in records]


def test_what_was_archived_damaged_is_found_by_playing_it(drilled: Drill, talk: bytes) -> None:
    """Its SHA-256 is right."""
    half, garbage = drilled.archived(talk[: len(talk) // 2]), drilled.archived(b"no sound at all" * 1000)
    for found in drilled(half, garbage):
        assert found.is_lost
        assert "holds the bytes that were archived, but they do not play" in found.reason


def test_another_length_than_that_of_the_original_is_damage(drilled: Drill, talk: bytes) -> None:
    record = drilled.archived(talk)
    assert record.original is not None
    longer = replace(record.original, duration_seconds=SECONDS + 0.1)
    found = drilled(replace(record, original=longer), replace(record, original=None))
    assert [each.finding for each in found] == ["damaged", "intact"]
    assert "and its original played 1.600 s" in found[0].reason


def drop(_: Call) -> Answer | None:
    raise Drop


@pytest.mark.parametrize(
    "fault",
    [drop, lambda _: refusal(503, "SlowDown"), lambda _: refusal(403, "AccessDenied")],
    ids=["no connection", "not now", "no rights"],
)
def test_what_cannot_be_looked_at_is_not_judged(
    s3_server: S3Server, drilled: Drill, talk: bytes, fault: Callable[[Call], Answer | None]
) -> None:
    record = drilled.archived(talk)
    with s3_server.hooked(fault):
        (found,) = drilled(record)
    assert found.finding == "unknown"
    assert not found.is_lost
    assert "could not be looked at: " in found.reason
    assert drilled(record)[0].finding == "intact"


def test_what_does_not_fit_is_not_fetched(s3_server: S3Server, drilled: Drill, talk: bytes) -> None:
    record = drilled.archived(talk)
    assert record.copy is not None
    s3_server.calls.clear()
    (found,) = drilled(replace(record, copy=replace(record.copy, size_bytes=10**16)))
    assert (found.finding, s3_server.calls) == ("unknown", [])
    assert "No space left for" in found.reason


def test_an_ffmpeg_that_is_killed_says_nothing_about_the_copy(
    cold: ColdArchive, tmp_path: Path, children: ChildProcesses, ffmpeg: Ffmpeg, talk: bytes
) -> None:
    killed = tmp_path / "ffmpeg"
    killed.write_text("#!/bin/sh\nkill -KILL $$\n")
    killed.chmod(0o755)
    drilled = Drill(cold, tmp_path / "staging", Ffmpeg(killed, ffmpeg.version), children)
    (found,) = drilled(drilled.archived(talk))
    assert found.finding == "unknown"
    assert "SIGKILL" in found.reason


def test_a_run_that_is_stopped_leaves_nothing(drilled: Drill, children: ChildProcesses, talk: bytes) -> None:
    record = drilled.archived(talk)
    children.kill_all()
    with pytest.raises(CancelledError):
        drilled(record)


def test_only_what_lies_in_cold_storage_can_be_drilled(drilled: Drill) -> None:
    with pytest.raises(ValueError, match="a does not lie in cold storage"):
        drilled(Record("a", AT, "name"))


def test_the_sample_is_of_what_is_to_stay_in_cold_storage() -> None:
    cold = Copy("cold", "a", 1, "0" * 64, "opus", 64, "", AT, "cold")
    lying = [Record(f"lies {number}", AT, "name", copy=cold) for number in range(6)]
    others = [
        Record("original", AT, "name"),
        Record("compressed", AT, "name", copy=replace(cold, place="library")),
        Record("given up", AT, "name", copy=cold, deleted_at=AT),
    ]
    records = [*others, *lying]
    assert choose(records, 0, random.Random(1)) == []  # noqa: S311
    assert sorted(record.key for record in choose(records, 99, random.Random(1))) == [each.key for each in lying]  # noqa: S311
    samples = [choose(records, 2, random.Random(seed)) for seed in range(60)]  # noqa: S311
    assert {len({record.key for record in sample}) for sample in samples} == {2}
    assert {record.key for sample in samples for record in sample} == {record.key for record in lying}
    assert choose(records, 3, random.Random(7)) == choose(records, 3, random.Random(7))  # noqa: S311
