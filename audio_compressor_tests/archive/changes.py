"""Changes of a small library, made of bytes instead of sound: what the procedure does with files does not depend on
what is in them.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from audio_compressor.archive.change import Arrival, Change, Departure
from audio_compressor.archive.files import stamp_of
from audio_compressor.archive.layout import Layout
from audio_compressor.archive.paperwork import Paperwork
from audio_compressor.archive.protocol import Changing, OnStep, Step, ignore
from audio_compressor.archive.records import Copy, Original, Record, Records
from audio_compressor.archive.trash import trash_path
from audio_compressor.errors import RemoteFileMissingError

KEY = "2026/talk.webm"
COPY = "2026/talk.opus"
ORIGINAL, FIRST, SECOND = b"as it was recorded" * 100, b"96 kbit/s" * 100, b"64 kbit/s" * 50
AT = datetime(2026, 3, 14, 10, tzinfo=UTC)
INDEX = {"recordings": [{"file": KEY, "size": len(ORIGINAL)}, {"file": "2026/other.webm", "size": 7}]}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class ColdShelf:
    """Cold storage that is a set of checksums."""

    def __init__(self, *checksums: str) -> None:
        self.checksums = set(checksums)

    def confirm(self, copy: Copy) -> None:
        if copy.sha256 not in self.checksums:
            raise RemoteFileMissingError(f"{copy.uri} is not there")


class Stopped(BaseException):
    """The process ends here."""


@dataclass
class Library:
    """``verified`` are the checksums of what may stand for the recording."""

    root: Path
    layout: Layout = field(init=False)
    records: Records = field(init=False)
    cold: ColdShelf = field(default_factory=ColdShelf)
    verified: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.layout = Layout(self.root, "index.json")
        self.layout.prepare()
        self.records = Records(self.layout)

    def changing(self, on_step: OnStep = ignore) -> Changing:
        """As another process would have it."""
        return Changing(self.layout, self.records, Paperwork(self.layout), self.cold, on_step, lambda: AT)

    def read(self, path: str) -> bytes | None:
        try:
            return (self.root / path).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, path: str, data: bytes) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(data)

    def document(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.root / "2026/talk.json").read_text())
        return found

    def index(self) -> object:
        return json.loads((self.root / "index.json").read_text())

    def require_a_whole_copy(self) -> None:
        """The invariant: at every moment, at least one complete, verified copy exists."""
        lying = {sha256(path.read_bytes()) for path in self.root.rglob("*") if path.is_file()}
        assert (lying | self.cold.checksums) & self.verified, "no whole copy of the recording exists"

    def state(self) -> dict[str, bytes]:
        """Every file but locks, by its path."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and "locks" not in path.parts
        }


def new_library(root: Path) -> Library:
    """With one recording as it was recorded, its document and an index."""
    root.mkdir(parents=True)
    library = Library(root)
    library.write(KEY, ORIGINAL)
    library.write("2026/talk.json", json.dumps({"title": "A talk", "size": len(ORIGINAL)}, indent=2).encode())
    library.write("index.json", json.dumps(INDEX).encode())
    library.verified.add(sha256(ORIGINAL))
    return library


def record_of(copy: Copy | None, **more: object) -> Record:
    original = Original(KEY, len(ORIGINAL), sha256(ORIGINAL), 61.2, "opus", AT)
    return replace(Record(KEY, AT, "its name", original, copy), **more)  # type: ignore[arg-type]


def copy_of(data: bytes, bitrate_kbps: float) -> Copy:
    return Copy(
        "library", COPY, len(data), sha256(data), "opus", bitrate_kbps, sha256(ORIGINAL), AT + timedelta(days=8), "old"
    )


def departure(library: Library, change_id: str, path: str, *, is_original: bool) -> Departure:
    stamp = stamp_of(library.root / path)
    assert stamp is not None
    content = library.read(path)
    assert content is not None
    return Departure(path, trash_path(change_id, path), stamp, sha256(content), is_original)


def compression(library: Library, data: bytes, bitrate_kbps: float) -> Change:
    """A new copy, proven and lying there as a part file, of the original or of an earlier copy."""
    part = library.layout.relative(library.layout.part(COPY))
    library.write(part, data)
    library.verified.add(sha256(data))
    change_id = f"20260322T000000Z-{bitrate_kbps:g}"
    before = library.records.read(KEY)
    gone = KEY if library.read(KEY) is not None else COPY
    return Change(
        change_id,
        "compress",
        KEY,
        AT,
        (Arrival(part, COPY, len(data), sha256(data), (library.root / part).stat().st_ino),),
        (departure(library, change_id, gone, is_original=gone == KEY),),
        before,
        record_of(copy_of(data, bitrate_kbps)),
        "old enough",
    )


def to_cold_storage(library: Library) -> Change:
    """Of the first copy, which is uploaded."""
    library.cold.checksums.add(sha256(FIRST))
    change_id = "20260422T000000Z-c"
    copy = replace(copy_of(FIRST, 96), place="cold", uri="s3://cold/talk.opus", storage_class="GLACIER_IR")
    gone = departure(library, change_id, COPY, is_original=False)
    return Change(change_id, "cold", KEY, AT, (), (gone,), library.records.read(KEY), record_of(copy), "older")


def deletion(library: Library) -> Change:
    """Of what stands for it."""
    change_id = "20270322T000000Z-d"
    gone = departure(library, change_id, COPY, is_original=False)
    after = record_of(None, deleted_at=AT + timedelta(days=365))
    return Change(change_id, "delete", KEY, AT, (), (gone,), library.records.read(KEY), after, "too old")


def _from_trash(library: Library, trash: Path, path: str, data: bytes) -> Arrival:
    lying = library.layout.relative(trash)
    return Arrival(lying, path, len(data), sha256(data), trash.stat().st_ino, is_made=False)


def restoring(library: Library) -> Change:
    """Of the original, while a copy stands for it."""
    change_id = "20260323T000000Z-r"
    [trash] = library.layout.trash.rglob("talk.webm")
    arrival = _from_trash(library, trash, KEY, ORIGINAL)
    gone = departure(library, change_id, COPY, is_original=False)
    return Change(change_id, "restore", KEY, AT, (arrival,), (gone,), library.records.read(KEY), None, "wanted")


def restoring_a_copy(library: Library) -> Change:
    """Of the first copy, while the second, of the same name, stands for it."""
    change_id = "20260424T000000Z-rc"
    [trash] = library.layout.trash.rglob("talk.opus")
    arrival = _from_trash(library, trash, COPY, FIRST)
    gone = departure(library, change_id, COPY, is_original=False)
    after = record_of(copy_of(FIRST, 96))
    return Change(change_id, "restore", KEY, AT, (arrival,), (gone,), library.records.read(KEY), after, "wanted")


def prepared(library: Library, kind: str) -> Change:
    """The change of this kind, after what comes before it in the life of a recording."""
    if kind == "first copy":
        return compression(library, FIRST, 96)
    library.changing().carry_out(compression(library, FIRST, 96))
    if kind == "second copy":
        return compression(library, SECOND, 64)
    if kind == "cold storage":
        return to_cold_storage(library)
    if kind == "deletion":
        return deletion(library)
    if kind == "restored original":
        return restoring(library)
    library.changing().carry_out(compression(library, SECOND, 64))
    return restoring_a_copy(library)


KINDS = ("first copy", "second copy", "cold storage", "deletion", "restored original", "restored copy")


class Watching:
    """Checks the invariant after each step, and stops at one: with an error, or as a process that is killed."""

    def __init__(self, library: Library, stop_at: int | None = None, error: type[BaseException] = Stopped) -> None:
        self.steps: list[Step] = []
        self._library = library
        self._stop_at = stop_at
        self._error = error

    def __call__(self, step: Step) -> None:
        self.steps.append(step)
        self._library.require_a_whole_copy()
        if self._stop_at == len(self.steps):
            raise self._error(f"after {step}")
