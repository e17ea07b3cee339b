"""The one procedure by which files of a library are exchanged for others, whatever kills it.

It begins when the new file is made and proven. Each step is done and flushed before the next:

    journal written     all that follows is known from here on: another process can finish it, or undo it
    room made           only where the new file takes the name of an old one: the old one gets its name in the trash
    copy published      the new file gets its name; no file is ever overwritten
    metadata updated    the JSON beside it, then the master index
    record written      what we know of the recording
    copy confirmed      the new file is read back from the disk (of cold storage: the store is asked) once more
    original retired    the old files are moved to the trash, if nobody has written to them meanwhile
    journal removed

Until the last but one of these, the old file is where it was, and whole; since the first, the new one is. A crash
leaves the journal. Who finds it looks at what there is: if all new files are whole, it goes on from where the other
stopped; if not, everything is put back. An error has the same effect as a crash, and is undone at once.
"""

import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from audio_compressor.archive import change as changes
from audio_compressor.archive.change import Arrival, Change, Departure
from audio_compressor.archive.cold.proof import DamagedCopyError
from audio_compressor.archive.files import is_whole, move, remove, stamp_of
from audio_compressor.archive.layout import Layout
from audio_compressor.archive.records import Copy, Record, Records
from audio_compressor.archive.renaming import CANNOT_LINK, CANNOT_RENAME_SO, exchange_names
from audio_compressor.archive.trash import entry_of, forget_entry, write_entry
from audio_compressor.errors import LibraryError, RemoteFileMissingError, SourceChangedError, StorageError
from audio_compressor.local_files import local_errors, sync_directory, write_atomically

log = logging.getLogger(__name__)


class Step(StrEnum):
    """After which a watcher is told that it is done."""

    JOURNAL_WRITTEN = "journal written"
    ROOM_MADE = "room made"
    COPY_PUBLISHED = "copy published"
    METADATA_UPDATED = "metadata updated"
    INDEX_UPDATED = "index updated"
    RECORD_WRITTEN = "record written"
    COPY_CONFIRMED = "copy confirmed"
    TRASH_PREPARED = "trash prepared"
    ORIGINAL_RETIRED = "original retired"
    JOURNAL_REMOVED = "journal removed"
    # Of emptying the trash.
    STANDING_CONFIRMED = "what stands for it confirmed"
    TRASH_EMPTIED = "file removed from the trash"
    NOTE_REMOVED = "its note removed"


OnStep = Callable[[Step], None]


class _NotConfirmedError(StorageError):
    """What was made is not there as it was made."""


class Documents(Protocol):
    """The JSON files and the index of a library."""

    def update(self, before: Record | None, after: Record | None, on_step: OnStep) -> None:
        """Make them say ``after``, whether they say ``before`` or ``after`` now."""


class ColdStore(Protocol):
    def confirm(self, copy: Copy) -> None:
        """Raises AudioCompressorError: it is not known to be there, whole."""


def ignore(_: Step) -> None:
    """For whom steps are of no interest."""


class Changing:
    """Carries out changes of one library, finishes what was interrupted, and undoes what cannot be finished.

    Whoever calls holds the lock of the recording. Raises LibraryError where neither is possible.
    """

    def __init__(
        self,
        layout: Layout,
        records: Records,
        documents: Documents,
        cold: ColdStore | None = None,
        on_step: OnStep = ignore,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._layout = layout
        self._records = records
        self._documents = documents
        self._cold = cold
        self.on_step = on_step
        self._now = now

    def carry_out(self, change: Change) -> None:
        """
        Raises:
            AudioCompressorError: everything is as it was before; or, if not even that could be done, the journal tells
                the next run.
        """
        journal = self._journal_path(change)
        write_atomically(journal, json.dumps(changes.to_json(change), indent=1) + "\n")
        try:
            self.on_step(Step.JOURNAL_WRITTEN)
            self._go_on(change)
        except Exception:
            if journal.exists():
                self._undo(change)
            raise

    def unfinished(self, key: str | None = None) -> list[Change]:
        """What was interrupted, of one recording or of all, the oldest first.

        Raises:
            LibraryError: a journal cannot be understood.
        """
        found = []
        with local_errors(self._layout.journal):
            paths = sorted(self._layout.journal.glob("[!.]*.json"))
        for path in paths:
            with local_errors(path), suppress(FileNotFoundError):  # finished meanwhile
                text = path.read_bytes()
                try:
                    found.append(changes.from_json(json.loads(text)))
                except (ValueError, KeyError, TypeError, RecursionError) as error:
                    raise LibraryError(f"{path} is no journal of a change ({error}); a person has to look") from error
        return [change for change in found if key in {None, change.key}]

    def finish(self, change: Change, *, may_go_on: bool = True) -> bool:
        """Finish an interrupted change (True), or put everything back (False), also where it may not go on.

        Raises:
            LibraryError: neither can be done without losing something; nothing was touched.
            AudioCompressorError: not now; a later run may.
        """
        is_whole_again = all(self._find(arrival) for arrival in change.arrivals)
        present = tuple(each for each in change.departures if self._is_present(each))
        if not is_whole_again and present != change.departures:
            raise LibraryError(
                f"{change.key}: the change {change.id} was interrupted; what it made is not whole, and what it "
                f"replaces is neither where it was nor in the trash. Put {change.departures[0].path} back from a "
                f"backup, or remove {self._journal_path(change)} to let go of it"
            )
        if is_whole_again and (may_go_on or present != change.departures):
            try:
                # What somebody removed meanwhile need not go any more.
                self._go_on(replace(change, departures=present))
            except (SourceChangedError, RemoteFileMissingError, DamagedCopyError, _NotConfirmedError) as error:
                log.warning("%s: an interrupted change cannot be finished and is undone: %s", change.key, error)
            else:
                return True
        self._undo(change)
        return False

    def _go_on(self, change: Change) -> None:
        for departure in change.departures:
            if change.replaces(departure):
                self._make_room(change, departure)
        for arrival in change.arrivals:
            self._publish(change, arrival)
        self.on_step(Step.COPY_PUBLISHED)
        self._documents.update(change.before, change.after, self.on_step)
        if change.after is None:
            self._records.remove(change.key)
        else:
            self._records.write(change.after)
        self.on_step(Step.RECORD_WRITTEN)
        self._confirm(change)
        self.on_step(Step.COPY_CONFIRMED)
        for departure in change.departures:
            self._retire(change, departure)
        remove(self._journal_path(change))
        self.on_step(Step.JOURNAL_REMOVED)

    def _make_room(self, change: Change, departure: Departure) -> None:
        """The old file gets its second name first, so that there is no moment without a file of this name."""
        path, trash = self._layout.inside(departure.path), self._layout.inside(departure.trash)
        if stamp_of(trash) is not None:
            return
        self._require_unchanged(path, departure)
        write_entry(self._layout, entry_of(change, departure, self._now()))
        with local_errors(trash):
            try:
                os.link(path, trash, follow_symlinks=False)
            except OSError as error:
                if error.errno not in CANNOT_LINK:
                    raise
                move(path, trash)  # for a moment there is none of this name
            sync_directory(trash.parent)
        self.on_step(Step.ROOM_MADE)

    def _publish(self, change: Change, arrival: Arrival) -> None:
        source, path = self._layout.inside(arrival.source), self._layout.inside(arrival.path)
        if stamp_of(source) is None:
            return  # done before, and looked at in `finish`
        replaced = next((each for each in change.departures if each.path == arrival.path), None)
        if replaced and stamp_of(path) is not None:
            self._take_place(source, path, arrival, replaced)
        else:
            with local_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            move(source, path)

    def _take_place(self, source: Path, path: Path, arrival: Arrival, replaced: Departure) -> None:
        """The new file for the old one, whose second name is in the trash. An application may publish at any moment: so
        the two exchange their names, and what the new one has got in return is looked at.
        """
        trash = self._layout.inside(replaced.trash)
        with local_errors(path):
            if path.lstat().st_ino != arrival.inode:  # else killed right after the exchange
                self._require_unchanged(path, replaced)
                try:
                    exchange_names(source, path)
                except OSError as error:
                    if error.errno not in CANNOT_RENAME_SO:
                        raise
                    source.replace(path)  # the moment after the look is all that is left to lose something in
                    sync_directory(path.parent)
                    return
            if not trash.exists() or not os.path.samestat(source.lstat(), trash.lstat()):
                exchange_names(source, path)
                raise SourceChangedError(f"{replaced.path} was written anew while it was being archived; it stays")
            source.unlink()
            sync_directory(path.parent)

    def _confirm(self, change: Change) -> None:
        for arrival in change.arrivals:
            if not is_whole(self._layout.inside(arrival.path), arrival.size_bytes, arrival.sha256):
                raise _NotConfirmedError(
                    f"{arrival.path} cannot be read back from the disk as it was written; check the disk. What was "
                    "there before is kept"
                )
        copy = change.after.copy if change.after else None
        if change.kind == "cold" and copy:
            if self._cold is None:
                raise LibraryError(f"{change.key}: what lies in cold storage cannot be looked at; is COLD_BUCKET set?")
            self._cold.confirm(copy)

    def _retire(self, change: Change, departure: Departure) -> None:
        path, trash = self._layout.inside(departure.path), self._layout.inside(departure.trash)
        if stamp_of(trash) is None:
            write_entry(self._layout, entry_of(change, departure, self._now()))
            self.on_step(Step.TRASH_PREPARED)
            move(path, trash)
        elif stamp_of(path) == stamp_of(trash):  # killed while it had both names, where it cannot be renamed at once
            remove(path)
        # Who had it open may have written to it until now.
        self._require_unchanged(trash, departure)
        self.on_step(Step.ORIGINAL_RETIRED)

    def _undo(self, change: Change) -> None:
        """Put everything back, the last first."""
        for departure in reversed(change.departures):
            self._bring_back(change, departure)
        for arrival in change.arrivals:
            if not any(departure.path == arrival.path for departure in change.departures):
                self._take_back(arrival)
        self._documents.update(change.after, change.before, ignore)
        if change.before is None:
            self._records.remove(change.key)
        else:
            self._records.write(change.before)
        for departure in change.departures:
            if stamp_of(self._layout.inside(departure.trash)) is None:
                forget_entry(self._layout, departure.trash)
        for arrival in change.arrivals:
            if arrival.is_made:
                remove(self._layout.inside(arrival.source))
        remove(self._journal_path(change))

    def _bring_back(self, change: Change, departure: Departure) -> None:
        path, trash = self._layout.inside(departure.path), self._layout.inside(departure.trash)
        if stamp_of(trash) is None:
            return
        arrival = change.replaces(departure)
        with local_errors(path):
            if path.exists() and os.path.samestat(path.lstat(), trash.lstat()):
                remove(trash)  # it has both names still
            elif arrival and arrival.is_made and is_whole(path, arrival.size_bytes, arrival.sha256):
                trash.replace(path)  # what was made for it goes
                sync_directory(path.parent)
            elif arrival and stamp_of(path) and stamp_of(self._layout.inside(arrival.source)):
                # Neither the old one nor ours, which is where it was made: an application has written a new one.
                log.warning("%s was written anew; what lay there before stays in the trash, at %s", path, trash)
            else:
                if arrival:
                    self._take_back(arrival)
                move(trash, path)

    def _take_back(self, arrival: Arrival) -> None:
        path, source = self._layout.inside(arrival.path), self._layout.inside(arrival.source)
        found = stamp_of(path)
        if stamp_of(source) is not None or found is None:
            return
        if is_whole(path, arrival.size_bytes, arrival.sha256):
            move(path, source)
        elif found.inode == arrival.inode:  # or else it is somebody else's, and stays
            aside = path.with_name(f"{path.name}.damaged")
            log.error("%s is not what was made any more; it is moved to %s, for a person to look at", path, aside)
            move(path, aside)

    def _find(self, arrival: Arrival) -> bool:
        for path in (arrival.path, arrival.source):
            if is_whole(self._layout.inside(path), arrival.size_bytes, arrival.sha256):
                return True
        return False

    def _is_present(self, departure: Departure) -> bool:
        return any(stamp_of(self._layout.inside(place)) for place in (departure.path, departure.trash))

    def _require_unchanged(self, path: Path, departure: Departure) -> None:
        found = stamp_of(path)
        if found is None or (found.size_bytes, found.modified_ns) != (
            departure.stamp.size_bytes,
            departure.stamp.modified_ns,
        ):
            raise SourceChangedError(
                f"{departure.path} was changed while it was being archived; it stays as it is until the next run"
            )

    def _journal_path(self, change: Change) -> Path:
        return self._layout.journal / f"{change.id}.json"
