"""One restore drill of a library: which copies are looked at, what the drill proves as a whole, and what the next one
has to look at again. How one copy is looked at is in drilling.py.

A copy that was found lost is looked at each time until it is whole or nobody needs it any more: a sample that happens
to hold only good ones must not hide it.
"""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from audio_compressor.archive.drilling import Drilled, choose, drill, lying_in_cold_storage
from audio_compressor.archive.library import Library
from audio_compressor.archive.records import Record
from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.errors import AudioCompressorError, ConfigurationError, LibraryError
from audio_compressor.processes import ChildProcesses
from audio_compressor.reporting.formatting import megabytes, to_mb

Verdict = Literal["intact", "lost", "unknown"]


@dataclass(frozen=True)
class Memory:
    """What one drill leaves to the next, as keys of recordings: ``lost`` would not come back, ``unseen`` were chosen
    and could not be looked at. ``copies`` is how many lay in cold storage.
    """

    lost: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    copies: int = 0


@dataclass(frozen=True)
class Report:
    """What came of a drill. ``copies`` is how many lie in cold storage.

    ``lost_before`` were lost at an earlier drill and could not be looked at in this one. ``unreadable`` tells of each
    record that cannot be read why; nobody knows what stands for those recordings. ``vanished`` is how many copies lay
    there at the last drill, where there is no record of any recording any more.
    """

    found: tuple[Drilled, ...]
    copies: int
    size_bytes: int
    lost_before: tuple[str, ...]
    unreadable: Mapping[str, str]
    vanished: int

    @property
    def lost(self) -> tuple[str, ...]:
        return (*(each.key for each in self.found if each.is_lost), *self.lost_before)

    @property
    def unseen(self) -> tuple[str, ...]:
        return tuple(each.key for each in self.found if each.finding in {"thawing", "unknown"})

    @property
    def verdict(self) -> Verdict:
        """``intact`` only where nothing that was to be looked at was left out."""
        if self.lost:
            return "lost"
        left_out = self.unseen or self.unreadable or self.vanished or self._saw_nothing
        return "unknown" if left_out else "intact"

    @property
    def _saw_nothing(self) -> bool:
        return self.copies > 0 and not self.found

    @property
    def memory(self) -> Memory:
        return Memory(self.lost, self.unseen, self.vanished or self.copies)

    @property
    def sentence(self) -> str:
        """For people."""
        return "; ".join(self._sentences())

    def _sentences(self) -> Iterable[str]:
        looked_at = len(self.found)
        if lost := sum(each.is_lost for each in self.found):
            yield f"{lost:,} of {looked_at:,} copies would not bring their recordings back"
        if self.lost_before:
            yield f"{len(self.lost_before):,} that were lost before could not be looked at again"
        if unseen := len(set(self.unseen) - set(self.lost_before)):
            yield f"{unseen:,} of {looked_at:,} copies could not be looked at"
        if self.verdict == "intact" and looked_at:
            yield f"{looked_at:,} copies are intact"
        if self._saw_nothing:
            yield "what was to be looked at was replaced or deleted meanwhile"
        if self.unreadable:
            yield f"{len(self.unreadable):,} records cannot be read, so nobody knows where their recordings lie"
        if self.vanished:
            yield (
                f"there is no record of any recording, and {self.vanished:,} copies lay in cold storage at the last "
                "drill; is the library's disk mounted?"
            )
        elif self.copies:
            yield f"{self.copies:,} copies ({megabytes(to_mb(self.size_bytes))} MB) lie in cold storage in all"
        else:
            yield "nothing lies in cold storage"


def hold_drill(
    library: Library,
    memory: Memory,
    size: int,
    dice: random.Random,
    staging: Path,
    *,
    ffmpeg: Ffmpeg,
    tell: Callable[[Drilled], object] = lambda _: None,
) -> Report:
    """Fetch ``size`` copies, and those that were lost before, one by one into the directory ``staging``; nothing is
    changed by that. ``tell`` is given what came of each.

    Raises:
        ConfigurationError: no drill is to be held, or there is no cold storage.
        LibraryError: the library is not there.
        AudioCompressorError: its records cannot be listed.
    """
    if size < 1:
        raise ConfigurationError(["DRILL_SIZE is 0, so no copy would be looked at; set it to 1 or more"])
    if library.cold is None:
        raise ConfigurationError(["COLD_BUCKET is not set, so there is no cold storage that copies could lie in"])
    if not library.layout.root.is_dir():
        setting = library.layout.collection.setting
        raise LibraryError(f"{setting} {library.layout.root} is no directory; is its disk mounted?")
    records, unreadable = library.records.read_all()
    lying = {record.key: record for record in lying_in_cold_storage(records.values())}
    found, children = [], ChildProcesses()
    for record in draw(lying.values(), memory, size, dice):
        warning_bytes = library.rules.warning_bytes
        [drilled] = drill([record], library.cold, staging, warning_bytes, ffmpeg=ffmpeg, children=children)
        if drilled.finding != "intact" and not _still_lies(library, record):
            del lying[record.key]
            continue
        found.append(drilled)
        tell(drilled)
    vanished = memory.copies if not records and not unreadable else 0
    judged = {each.key for each in found if each.finding == "intact" or each.is_lost}
    needed = memory.lost if vanished else (lying.keys() | unreadable.keys()) - judged
    return Report(
        found=tuple(found),
        copies=len(lying),
        size_bytes=sum(record.copy.size_bytes for record in lying.values() if record.copy),
        lost_before=tuple(key for key in dict.fromkeys(memory.lost) if key in needed),
        unreadable=unreadable,
        vanished=vanished,
    )


def draw(lying: Iterable[Record], memory: Memory, size: int, dice: random.Random) -> list[Record]:
    """What was lost before, then ``size`` others: first those that wait to be looked at, the rest by lot. Of the same
    records and dice comes the same.
    """
    by_key = {record.key: record for record in sorted(lying, key=lambda record: record.key)}
    lost = [by_key.pop(key) for key in dict.fromkeys(memory.lost) if key in by_key]
    unseen = [key for key in dict.fromkeys(memory.unseen) if key in by_key]
    waiting = [by_key.pop(key) for key in unseen[:size]]
    return [*lost, *waiting, *choose(by_key.values(), size - len(waiting), dice)]


def report_json(report: Report) -> dict[str, Any]:
    """For programs."""
    return {
        "verdict": report.verdict,
        "summary": report.sentence,
        "copies": report.copies,
        "copies_bytes": report.size_bytes,
        "findings": [
            {
                "key": each.key,
                "uri": each.uri,
                "size_bytes": each.size_bytes,
                "finding": each.finding,
                "reason": each.reason,
                "duration_seconds": each.duration_seconds,
            }
            for each in report.found
        ],
        "lost_before": list(report.lost_before),
        "unreadable": dict(report.unreadable),
    }


def _still_lies(library: Library, record: Record) -> bool:
    """Whether it is still the copy that stands for the recording: the library goes on being aged meanwhile."""
    try:
        now = library.records.read(record.key)
    except AudioCompressorError:
        return True
    return now is not None and (now.copy, now.deleted_at) == (record.copy, None)
