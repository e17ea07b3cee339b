"""A library that goes through anything, in any order, and is interrupted anywhere: nothing of it is ever lost.

The model knows of each recording which contents may stand for it, and whether somebody asked for it to be deleted. What
encoding would make is made up here, so that thousands of lives take seconds; kills.py does it with real sound.
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from audio_compressor.archive.change import Arrival, Change, ChangeKind, Departure
from audio_compressor.archive.cold import ColdArchive
from audio_compressor.archive.files import remove, stamp_of
from audio_compressor.archive.holds import place_hold, release_hold
from audio_compressor.archive.layout import Layout, copy_path
from audio_compressor.archive.matching import Matcher
from audio_compressor.archive.model import Hold
from audio_compressor.archive.paperwork import Paperwork
from audio_compressor.archive.protocol import Changing, OnStep, Step, ignore
from audio_compressor.archive.purging import purge_older
from audio_compressor.archive.records import Copy, Original, Record, Records
from audio_compressor.archive.recovering import finish_interrupted
from audio_compressor.archive.restoring import Restorer
from audio_compressor.archive.trash import trash_path
from audio_compressor.archive.work import new_change_id
from audio_compressor.errors import AudioCompressorError, StorageError
from audio_compressor_tests.archive.changes import Stopped, sha256

_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
_KEYS = ("a/one.webm", "two.webm")
_STOPS = st.none() | st.integers(1, 13)
_TRASH_DAYS = 7


@dataclass
class _Told:
    """What the model knows of a recording; ``held`` are the contents that lay there when it was put on hold."""

    contents: set[str] = field(default_factory=set)
    is_to_go: bool = False
    hold: Hold | None = None
    held: frozenset[str] = frozenset()


class _Shelf:
    """Cold storage as a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def confirm(self, copy: Copy) -> None:
        if sha256(self.objects.get(copy.uri, b"")) != copy.sha256:
            raise StorageError(f"{copy.uri} is not there")

    def fetch(self, copy: Copy, destination: Path) -> None:
        self.confirm(copy)
        destination.write_bytes(self.objects[copy.uri])

    def remove(self, copy: Copy) -> None:
        self.objects.pop(copy.uri, None)


class Lives(RuleBasedStateMachine):
    """Of two recordings."""

    def __init__(self) -> None:
        super().__init__()
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self.root = Path(tempfile.mkdtemp(dir=memory))
        self.layout = Layout(self.root, "index.json")
        self.layout.prepare()
        self.records = Records(self.layout)
        self.shelf = _Shelf()
        self.told = {key: _Told() for key in _KEYS}
        self.now = _BEGINNING

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    @initialize()
    def record(self) -> None:
        for key in _KEYS:
            path = self.root / key
            path.parent.mkdir(exist_ok=True)
            data = f"the original of {key}".encode() * 50
            path.write_bytes(data)
            path.with_suffix(".json").write_text(json.dumps({"title": key, "size": len(data)}))
            self.told[key].contents.add(sha256(data))
        (self.root / "index.json").write_text(json.dumps([{"file": key, "size": 1} for key in _KEYS]))

    @rule(key=st.sampled_from(_KEYS), kbps=st.sampled_from([96, 64, 32]), stop_at=_STOPS)
    def compress(self, key: str, kbps: int, stop_at: int | None) -> None:
        standing = self._standing(key)
        if standing is None:
            return
        path = copy_path(key)
        data = f"{key} at {kbps}k".encode() * kbps
        part = self.layout.part(path)
        part.write_bytes(data)
        self.told[key].contents.add(sha256(data))
        before = self.records.read(key)
        known = before.original if before else None
        original = known or Original(key, standing.stat().st_size, sha256(standing.read_bytes()), 1, "opus", self.now)
        made_from = sha256(standing.read_bytes())
        copy = Copy("library", path, len(data), sha256(data), "opus", kbps, made_from, self.now, "a tier")
        after = Record(key, _BEGINNING, "the model", original, copy)
        arrival = Arrival(self.layout.relative(part), path, len(data), sha256(data), part.stat().st_ino)
        try:
            self._carry_out("compress", key, before, after, [standing], [arrival], stop_at)
        finally:
            with suppress(AudioCompressorError):
                if not self._changing().unfinished(key):
                    remove(part)

    @rule(key=st.sampled_from(_KEYS), stop_at=_STOPS)
    def move_to_cold_storage(self, key: str, stop_at: int | None) -> None:
        standing = self._standing(key)
        if standing is None:
            return
        data, before = standing.read_bytes(), self.records.read(key)
        relative = self.layout.relative(standing)
        uri = f"s3://cold/{relative}-{sha256(data)[:8]}"
        self.shelf.objects[uri] = data
        original = before.original if before and before.original else None
        if standing == self.root / key:
            original = Original(key, len(data), sha256(data), 1, "opus", self.now)
        copy = Copy("cold", relative, len(data), sha256(data), "opus", 1, "", self.now, "a tier", uri, "GLACIER_IR")
        after = Record(key, _BEGINNING, "the model", original, copy)
        self._carry_out("cold", key, before, after, [standing], [], stop_at)

    @rule(key=st.sampled_from(_KEYS), stop_at=_STOPS)
    def delete(self, key: str, stop_at: int | None) -> None:
        before = self.records.read(key)
        standing = self._standing(key)
        in_cold_storage = before.copy if before and before.copy and before.copy.place == "cold" else None
        is_gone = (standing is None and in_cold_storage is None) or (before is not None and before.deleted_at)
        if is_gone or self.told[key].hold or self._changing().unfinished(key):
            return
        after = replace(before or Record(key, _BEGINNING, "the model"), copy=in_cold_storage, deleted_at=self.now)
        self.told[key].is_to_go = True
        self._carry_out("delete", key, before, after, [standing] if standing else [], [], stop_at)

    @rule(key=st.sampled_from(_KEYS), stop_at=_STOPS)
    def restore(self, key: str, stop_at: int | None) -> None:
        restorer = Restorer(self.layout, self.records, self._changing(stop_at), cast("ColdArchive", self.shelf), 0)
        with suppress(AudioCompressorError, Stopped):
            restorer.restore(key, self._later(0))
        record = self.records.read(key)
        if not self._changing().unfinished(key) and not (record and record.deleted_at):
            self.told[key].is_to_go = self.told[key].is_to_go and not self._is_whole(key)

    @rule(days=st.sampled_from([0, 8]), stop_at=_STOPS)
    def empty_the_trash(self, days: int, stop_at: int | None) -> None:
        with suppress(Stopped):
            purge_older(
                self._later(days),
                _TRASH_DAYS,
                self.layout,
                self.records,
                cast("ColdArchive", self.shelf),
                _stopping(stop_at),
            )

    @rule(stop_at=_STOPS)
    def begin_the_next_run(self, stop_at: int | None) -> None:
        with suppress(Stopped):
            assert finish_interrupted(self.layout, self._changing(stop_at)) == []

    @rule(key=st.sampled_from(_KEYS))
    def put_it_on_hold(self, key: str) -> None:
        told = self.told[key]
        if told.hold is None and not self._changing().unfinished(key):
            told.hold = place_hold(self.layout, Matcher(paths=(f"./{key}",)), "the model's")
            told.held = frozenset(self._contents(key))

    @rule(key=st.sampled_from(_KEYS))
    def let_go_of_it(self, key: str) -> None:
        told = self.told[key]
        if told.hold is not None:
            release_hold(self.layout, told.hold.id)
            told.hold, told.held = None, frozenset()

    @rule(key=st.sampled_from(_KEYS))
    def edit_its_document(self, key: str) -> None:
        path = (self.root / key).with_suffix(".json")
        fields = json.loads(path.read_text())
        path.write_text(json.dumps({**fields, "edits": fields.get("edits", 0) + 1}))

    @precondition(lambda self: any(self._can_be_damaged(key) for key in _KEYS))
    @rule(data=st.data())
    def damage_a_copy(self, data: st.DataObject) -> None:
        """A disk that rots. What is in the trash must stay there then."""
        key = data.draw(st.sampled_from([key for key in _KEYS if self._can_be_damaged(key)]))
        damaged = (self.root / copy_path(key)).read_bytes()
        (self.root / copy_path(key)).write_bytes(b"\0")
        self.told[key].held -= {sha256(damaged)}

    @invariant()
    def each_has_a_whole_copy(self) -> None:
        for key, told in self.told.items():
            if not told.is_to_go:
                assert self._is_whole(key), f"no whole copy of {key} exists"

    @invariant()
    def nothing_of_what_is_on_hold_goes_for_good(self) -> None:
        for key, told in self.told.items():
            assert told.held <= self._contents(key), f"{key} is on hold, and some of it is gone"

    def _contents(self, key: str) -> set[str]:
        lying = [path.read_bytes() for path in self._lying()]
        return {sha256(data) for data in (*lying, *self.shelf.objects.values())} & self.told[key].contents

    def _can_be_damaged(self, key: str) -> bool:
        copy = self.root / copy_path(key)
        if not copy.is_file() or self._changing().unfinished(key):
            return False
        return any(sha256(path.read_bytes()) in self.told[key].contents for path in self._lying() if path != copy)

    def _is_whole(self, key: str) -> bool:
        contents = self.told[key].contents
        return any(sha256(data) in contents for data in self.shelf.objects.values()) or any(
            sha256(path.read_bytes()) in contents for path in self._lying()
        )

    def _lying(self) -> list[Path]:
        return [path for path in self.root.rglob("*") if path.is_file() and "records" not in path.parts]

    def _standing(self, key: str) -> Path | None:
        """What may be archived: whole, and of no interrupted change."""
        if self._changing().unfinished(key):
            return None
        record = self.records.read(key)
        if self.told[key].hold or (record is not None and record.deleted_at is not None):
            return None
        path = self.root / key
        if record is not None and record.copy is not None:
            if record.copy.place == "cold":
                return None
            path = self.root / record.copy.path
        whole = path.is_file() and sha256(path.read_bytes()) in self.told[key].contents
        return path if whole else None

    def _carry_out(
        self,
        kind: ChangeKind,
        key: str,
        before: Record | None,
        after: Record,
        gone: list[Path],
        arrivals: list[Arrival],
        stop_at: int | None,
    ) -> None:
        change_id = new_change_id(self._later(0))
        departures = []
        for path in gone:
            stamp = stamp_of(path)
            assert stamp is not None
            relative = self.layout.relative(path)
            trash = trash_path(change_id, relative)
            departures.append(Departure(relative, trash, stamp, sha256(path.read_bytes()), relative == key))
        change = Change(change_id, kind, key, self.now, tuple(arrivals), tuple(departures), before, after)
        with suppress(Stopped):
            self._changing(stop_at).carry_out(change)

    def _changing(self, stop_at: int | None = None) -> Changing:
        return Changing(self.layout, self.records, Paperwork(self.layout), self.shelf, _stopping(stop_at))

    def _later(self, days: int) -> datetime:
        self.now += timedelta(days=days, seconds=1)
        return self.now


def _stopping(stop_at: int | None) -> OnStep:
    if stop_at is None:
        return ignore
    left = iter(range(stop_at - 1, -1, -1))

    def on_step(step: Step) -> None:
        if next(left, 1) == 0:
            raise Stopped(step)

    return on_step


def _life(examples: int, steps: int) -> Callable[[], None]:
    case = Lives.TestCase
    case.settings = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    return lambda: case("runTest").runTest()


def test_nothing_is_lost_in_some_lives() -> None:
    _life(25, 30)()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_nothing_is_lost_in_many_lives() -> None:
    _life(300, 40)()
