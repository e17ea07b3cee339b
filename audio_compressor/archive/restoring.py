"""Brings back what was removed from a library: from the trash or, where it lies there, from cold storage."""

from dataclasses import dataclass, replace
from datetime import datetime

from audio_compressor.archive.change import Arrival, Change, Departure
from audio_compressor.archive.cold import ColdArchive
from audio_compressor.archive.files import is_whole, read_back, remove, stamp_of
from audio_compressor.archive.holds import place_hold, release_hold
from audio_compressor.archive.layout import Layout
from audio_compressor.archive.locks import try_lock
from audio_compressor.archive.matching import Matcher
from audio_compressor.archive.model import Hold
from audio_compressor.archive.protocol import Changing
from audio_compressor.archive.records import Copy, Record, Records
from audio_compressor.archive.trash import TrashEntry, forget_entry, read_trash, trash_path
from audio_compressor.archive.work import new_change_id
from audio_compressor.errors import AudioCompressorError, LibraryError, TimedOutError
from audio_compressor.local_files import local_errors
from audio_compressor.space import check_space


@dataclass(frozen=True)
class Restored:
    """What is there again. It is on hold, or the next night would remove it once more."""

    key: str
    path: str
    came_from: str
    hold: Hold


@dataclass(frozen=True)
class Restorer:
    """Of one library."""

    layout: Layout
    records: Records
    changing: Changing
    cold: ColdArchive | None
    warning_bytes: int

    def restore(self, name: str, now: datetime) -> Restored:
        """Bring back the recording of this name: the path of its original or of its copy, below the root.

        Raises:
            LibraryError: there is nothing to bring back, or what there is is damaged; nothing was changed.
            TimedOutError: another run works on it.
            AudioCompressorError: nothing was changed.
        """
        key = self._key_of(name)
        self.layout.prepare()
        with try_lock(self.layout.lock_path(key)) as is_ours:
            if not is_ours:
                raise TimedOutError(f"{key} is being archived at this moment; try again when that is done")
            for change in self.changing.unfinished(key):
                self.changing.finish(change)
            record = self.records.read(key)
            if self._is_where_it_was(key, record):
                raise LibraryError(
                    f"{key} lies there, so there is nothing to bring back; if it is another file, move it away first"
                )
            entry = self._best_entry(key)
            if entry is not None:
                return self._from_trash(key, entry, record, now)
            if record is not None and record.copy is not None and record.copy.place == "cold":
                return self._from_cold_storage(record, record.copy, now)
        raise LibraryError(
            f"Nothing of {key} is in the trash or in cold storage; `audio-compressor archive trash` lists what is"
        )

    def _is_where_it_was(self, key: str, record: Record | None) -> bool:
        """A copy under its name, of a result in Opus, is another thing."""
        copy = record.copy if record is not None and record.deleted_at is None else None
        is_copy = copy is not None and copy.place == "library" and copy.path == key
        return not is_copy and stamp_of(self.layout.inside(key)) is not None

    def _key_of(self, name: str) -> str:
        self.layout.inside(name)
        if self.records.read(name) is not None:
            return name
        known, _ = self.records.read_all()
        for key, record in known.items():
            if record.copy is not None and record.copy.path == name:
                return key
        return next((entry.key for entry in read_trash(self.layout)[0] if name in {entry.path, entry.key}), name)

    def _best_entry(self, key: str) -> TrashEntry | None:
        """The original before copies, the newest of several."""
        entries = [entry for entry in read_trash(self.layout)[0] if entry.key == key]
        return max(entries, key=lambda entry: (entry.is_original, entry.removed_at), default=None)

    def _from_trash(self, key: str, entry: TrashEntry, record: Record | None, now: datetime) -> Restored:
        lying = self.layout.inside(entry.trash)
        if not is_whole(lying, entry.size_bytes, entry.sha256):
            raise LibraryError(
                f"{lying} is not what was put into the trash any more: its SHA-256 is another one. It stays there; "
                "look at it, and copy it back by hand if it is what you want"
            )
        after = None if entry.is_original else entry.before
        if entry.is_original and entry.before is not None and entry.before.refusals:
            after = replace(entry.before, copy=None)
        hold = self._hold(key, f"brought back on {now:%Y-%m-%d}")
        arrival = Arrival(entry.trash, entry.path, entry.size_bytes, entry.sha256, lying.stat().st_ino, is_made=False)
        self._carry_out(key, arrival, record, after, now, hold)
        forget_entry(self.layout, entry.trash)
        return Restored(key, entry.path, "the trash", hold)

    def _from_cold_storage(self, record: Record, copy: Copy, now: datetime) -> Restored:
        if self.cold is None:
            raise LibraryError(f"{record.key} lies at {copy.uri}, and COLD_BUCKET is not set")
        path, part = self.layout.inside(copy.path), self.layout.part(copy.path)
        check_space(path.parent, copy.size_bytes, self.warning_bytes)
        was_original = record.original is not None and copy.sha256 == record.original.sha256
        with local_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.cold.fetch(copy, part)
            after = None if was_original else replace(record, copy=replace(copy, place="library"), deleted_at=None)
            hold = self._hold(record.key, f"brought back from cold storage on {now:%Y-%m-%d}")
            arrival = Arrival(self.layout.relative(part), copy.path, copy.size_bytes, copy.sha256, part.stat().st_ino)
            self._carry_out(record.key, arrival, record, after, now, hold)
        finally:
            if not self.changing.unfinished(record.key):
                remove(part)
        return Restored(record.key, copy.path, copy.uri, hold)

    def _hold(self, key: str, reason: str) -> Hold:
        return place_hold(self.layout, Matcher(paths=(f"./{key}",)), reason)

    def _carry_out(
        self, key: str, arrival: Arrival, record: Record | None, after: Record | None, now: datetime, hold: Hold
    ) -> None:
        """What stood for it goes to the trash in its place. Where that fails, ``hold`` has nothing to hold."""
        change_id = new_change_id(now)
        departures = []
        standing = record.copy if record and record.copy and record.copy.place == "library" else None
        if standing is not None:
            path = self.layout.inside(standing.path)
            stamp = stamp_of(path)
            if stamp is not None:
                departures.append(
                    Departure(standing.path, trash_path(change_id, standing.path), stamp, read_back(path), False)
                )
        reason = "the recording was brought back"
        change = Change(change_id, "restore", key, now, (arrival,), tuple(departures), record, after, reason)
        try:
            self.changing.carry_out(change)
        except AudioCompressorError:
            if not self.changing.unfinished(key):
                release_hold(self.layout, hold.id)
            raise
