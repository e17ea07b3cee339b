"""What every action on a recording begins and ends with: looking once more, and having its files exchanged.

A plan may be hours old. So everything is looked at again under the recording's lock, right before anything is done.
"""

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from audio_compressor.archive.change import Arrival, Change, ChangeKind, Departure
from audio_compressor.archive.files import is_whole, read_back, stamp_of
from audio_compressor.archive.holds import read_holds
from audio_compressor.archive.model import LibraryFile, Stamp, Standing
from audio_compressor.archive.outcome import Tools
from audio_compressor.archive.plan import Decision
from audio_compressor.archive.policy import Action
from audio_compressor.archive.purging import purge_change
from audio_compressor.archive.records import Copy, Original, Record
from audio_compressor.archive.trash import TrashEntry, read_trash, trash_path
from audio_compressor.audio.archiving import Contents
from audio_compressor.errors import SourceChangedError


class NotNow(Exception):  # noqa: N818 - not an error, but a way out
    """Nothing is done, for a reason that may pass; the next run looks again."""


class Never(Exception):  # noqa: N818 - likewise
    """Nothing is done, and nothing would be the next time."""


@dataclass(frozen=True)
class Best:
    """The best copy of a recording that still exists."""

    path: Path
    sha256: str
    stamp: Stamp

    def require_unchanged(self) -> None:
        """Raises SourceChangedError: somebody has written to it since."""
        if stamp_of(self.path) != self.stamp or read_back(self.path) != self.sha256:
            raise SourceChangedError(f"{self.path.name} was changed while it was being archived; it stays as it is")


@dataclass(frozen=True)
class Work:
    """One recording, whose lock is held, and what is to be done with it. ``before`` is what is known of it."""

    file: LibraryFile
    standing: Standing
    action: Action
    tier: str
    reason: str
    before: Record | None
    tools: Tools

    @classmethod
    def of(cls, decision: Decision, tools: Tools) -> "Work":
        """
        Raises:
            NotNow: somebody has changed, archived, held or removed it since it was looked at.
            LibraryError: what is known of it cannot be read.
        """
        file, action = decision.file, decision.action
        if file.standing is None or action is None:
            raise NotNow("no copy of it is known")
        before = tools.records.read(file.key)
        work = cls(file, file.standing, action, str(decision.tier), decision.reason, before, tools)
        work._require_as_planned()
        return work

    def _require_as_planned(self) -> None:
        if self.tools.changing.unfinished(self.file.key):
            raise NotNow("a change of it was interrupted; the next run finishes it first")
        known = self.before.copy.sha256 if self.before and self.before.copy else None
        lost_its_copy = self.standing.is_original and self.before is not None and self.before.original_is_kept
        if known != self.standing.sha256 and not lost_its_copy:
            raise NotNow("another run has archived it since it was looked at")
        for path, stamp in ((self.file.key, self.file.original_stamp), (self.standing.path, self.standing.stamp)):
            if stamp is not None and stamp_of(self.tools.layout.inside(path)) != stamp:
                raise NotNow(f"{path} was changed since it was looked at")
        self._require_no_hold()

    def _require_no_hold(self) -> None:
        for hold in read_holds(self.tools.layout):
            if hold.covers(self.file):
                raise NotNow(str(hold))

    def best(self) -> Best:
        """The original, where it lies or in the trash; else the best of the copies, those in the trash among them.

        Raises:
            NotNow: it is gone.
            Never: it is no longer what was archived.
        """
        layout = self.tools.layout
        if self.file.original_stamp is not None:
            return self.found_at(self.file.key, None)
        entries = [(rank, entry) for entry in read_trash(layout)[0] if (rank := self._rank(entry)) is not None]
        for _, entry in sorted(entries, key=lambda ranked: ranked[0], reverse=True):
            if is_whole(layout.inside(entry.trash), entry.size_bytes, entry.sha256):
                return self.found_at(entry.trash, entry.sha256)
        return self.found_at(self.standing.path, self.standing.sha256)

    def _rank(self, entry: TrashEntry) -> float | None:
        """How good what lies in the trash is, or None where it is nothing better than what stands for the recording."""
        if entry.key != self.file.key:
            return None
        original = self.before.original if self.before else None
        if entry.is_original:
            return math.inf if original and entry.sha256 == original.sha256 else None
        copy = entry.before.copy if entry.before else None
        if copy is None or copy.sha256 != entry.sha256:
            return None
        return copy.bitrate_kbps if copy.bitrate_kbps > (self.standing.bitrate_kbps or math.inf) else None

    def found_at(self, relative: str, expected_sha256: str | None) -> Best:
        """A file below the root, with its SHA-256. Raises NotNow and Never as `best`."""
        path = self.tools.layout.inside(relative)
        stamp = stamp_of(path)
        if stamp is None:
            raise NotNow(f"{path.name} is gone since it was looked at")
        sha256 = read_back(path)
        if expected_sha256 not in {None, sha256}:
            raise Never(f"{path.name} is no longer what was archived: its SHA-256 is another one; look at it")
        return Best(path, sha256, stamp)

    def _original_of(self, best: Best, contents: Contents) -> Original | None:
        """What is known of the original: from ``best``, where that is the original at its place."""
        if best.stamp != self.file.original_stamp:
            return self.before.original if self.before else None
        return Original(
            path=self.file.key,
            size_bytes=best.stamp.size_bytes,
            sha256=best.sha256,
            duration_seconds=round(contents.duration_seconds, 3),
            codec=contents.codec,
            modified_at=best.stamp.modified_at,
        )

    def record(self, copy: Copy, best: Best, contents: Contents) -> Record:
        """What is known of the recording when ``copy``, made of ``best``, stands for it."""
        return Record(
            self.file.key,
            self.file.recorded_at,
            self.file.dated_by,
            self._original_of(best, contents),
            copy,
            original_is_kept=self.keeps_original,
            has_document=bool(self.file.fields),
        )

    @property
    def keeps_original(self) -> bool:
        """Whether an original lies there that the policy does not delete."""
        return self.file.original_stamp is not None and not self.tools.delete_originals

    @property
    def kept_bytes(self) -> int:
        return self.file.original_stamp.size_bytes if self.file.original_stamp and self.keeps_original else 0

    def carry_out(self, kind: ChangeKind, after: Record, arrivals: Sequence[Arrival] = ()) -> None:
        """Raises AudioCompressorError: see `Changing.carry_out`."""
        change_id = new_change_id(self.tools.now())
        departures = tuple(self._departures(change_id))
        if kind != "delete":
            self._require_proven(departures, after)
        self._require_no_hold()
        self.tools.changing.carry_out(
            Change(
                id=change_id,
                kind=kind,
                key=self.file.key,
                begun_at=self.tools.now(),
                arrivals=tuple(arrivals),
                departures=departures,
                before=self.before,
                after=after,
                reason=self.reason,
            )
        )
        if not self.tools.trash_days:
            purge_change(change_id, self.tools.layout, self.tools.records, self.tools.cold, self.tools.changing.on_step)

    def _require_proven(self, departures: Sequence[Departure], after: Record) -> None:
        """What goes is what was proven or archived, and nobody's edit of the same size. Raises NotNow."""
        original = after.original.sha256 if after.original else None
        for each in departures:
            if each.sha256 != (original if each.is_original else self.standing.sha256):
                raise NotNow(f"{each.path} is no longer what was archived: its SHA-256 is another one; look at it")

    def _departures(self, change_id: str) -> list[Departure]:
        found: list[tuple[str, Stamp, bool]] = []
        if self.file.original_stamp is not None and not self.keeps_original:
            found.append((self.file.key, self.file.original_stamp, True))
        if self.standing.stamp is not None and not self.standing.is_original:
            found.append((self.standing.path, self.standing.stamp, False))
        return [
            Departure(path, trash_path(change_id, path), stamp, read_back(self.tools.layout.inside(path)), is_original)
            for path, stamp, is_original in found
        ]


def new_change_id(at: datetime) -> str:
    """Sorts by time."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
