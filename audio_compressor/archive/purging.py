"""Empties the trash: what has lain in it for TRASH_DAYS goes, if what stands for it is looked at and found whole."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from audio_compressor.archive.cold import ColdArchive
from audio_compressor.archive.files import is_whole, remove, stamp_of
from audio_compressor.archive.holds import hold_on
from audio_compressor.archive.layout import Layout
from audio_compressor.archive.locks import try_lock
from audio_compressor.archive.protocol import OnStep, Step, ignore
from audio_compressor.archive.records import Records
from audio_compressor.archive.trash import TrashEntry, forget_entry, read_trash, sweep_notes
from audio_compressor.errors import AudioCompressorError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Purge:
    """``kept`` are sentences about what was to go and did not."""

    removed: tuple[TrashEntry, ...]
    kept: tuple[str, ...]

    @property
    def freed_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.removed)


def purge_older(
    now: datetime,
    trash_days: float,
    layout: Layout,
    records: Records,
    cold: ColdArchive | None,
    on_step: OnStep = ignore,
) -> Purge:
    """What has been in the trash for ``trash_days``; and from cold storage, what was to be deleted that long ago. Not
    what is, or may be, on hold.
    """
    sweep_notes(layout)
    entries, kept = read_trash(layout)
    latest = now - timedelta(days=trash_days)
    removed = []
    for entry in entries:
        if entry.removed_at > latest:
            continue
        with try_lock(layout.lock_path(entry.key)) as is_ours:
            if not is_ours:
                log.info("%s stays in the trash until the next time: another run works on it", entry.path)
                continue
            if hold := hold_on(layout, entry.key, entry.path):
                log.info("%s stays in the trash: %s", entry.path, hold)
                continue
            reason = _purge(entry, layout, records, cold, on_step)
        if reason is None:
            removed.append(entry)
        else:
            log.warning("%s", reason)
            kept.append(reason)
    return Purge(tuple(removed), (*kept, *_purge_cold(latest, layout, records, cold)))


def purge_change(
    change_id: str, layout: Layout, records: Records, cold: ColdArchive | None, on_step: OnStep = ignore
) -> None:
    """What one change has removed, at once; the lock of its recording is held by the caller. What cannot go now goes
    with the rest of the trash.
    """
    for entry in read_trash(layout)[0]:
        if entry.id == change_id and (reason := _purge(entry, layout, records, cold, on_step)):
            log.warning("%s", reason)


def _purge(
    entry: TrashEntry, layout: Layout, records: Records, cold: ColdArchive | None, on_step: OnStep
) -> str | None:
    """Remove a file for good, or say why it stays."""
    try:
        reason = _why_kept(entry, layout, records, cold)
        if reason is None:
            on_step(Step.STANDING_CONFIRMED)
            remove(layout.inside(entry.trash))
            on_step(Step.TRASH_EMPTIED)
            forget_entry(layout, entry.trash)
            on_step(Step.NOTE_REMOVED)
    except AudioCompressorError as error:
        reason = str(error)
    return f"{entry.path} of {entry.removed_at:%Y-%m-%d} stays in the trash: {reason}" if reason else None


def _why_kept(entry: TrashEntry, layout: Layout, records: Records, cold: ColdArchive | None) -> str | None:
    """Why a file has to stay in the trash: what stands for its recording is not known to be whole."""
    if (layout.journal / f"{entry.id}.json").exists():
        return "the change that removed it was interrupted"
    if not is_whole(layout.inside(entry.trash), entry.size_bytes, entry.sha256):
        return "somebody has written to it since, or it is damaged: look at it"
    record = records.read(entry.key)
    if record is not None and record.deleted_at is not None:
        return None  # it was to go
    if record is not None and record.copy is not None:
        copy = record.copy
        if copy.place == "cold":
            if cold is None:
                return "what stands for it is in cold storage, which is not set up"
            cold.confirm(copy)
            return None
        path = layout.inside(copy.path)
        is_there = is_whole(path, copy.size_bytes, copy.sha256)
        return None if is_there else f"{copy.path} is not what was archived any more"
    # An original was brought back, and this is what had stood for it.
    original = entry.before.original if entry.before else None
    if original is None or stamp_of(layout.inside(original.path)) is None:
        return "nothing is known to stand for it"
    if not is_whole(layout.inside(original.path), original.size_bytes, original.sha256):
        return f"{original.path} was changed since it was brought back; remove {entry.trash} if that is right"
    return None


def _purge_cold(latest: datetime, layout: Layout, records: Records, cold: ColdArchive | None) -> list[str]:
    problems = []
    for record in records.read_all()[0].values():
        if record.copy is None or record.deleted_at is None or record.deleted_at > latest:
            continue
        with try_lock(layout.lock_path(record.key)) as is_ours:
            if not is_ours or records.read(record.key) != record:
                continue
            try:
                if hold := hold_on(layout, record.key, record.copy.path):
                    log.info("%s was to be deleted, and stays: %s", record.copy.uri, hold)
                elif cold is None:
                    problems.append(f"{record.copy.uri} was to be deleted, and COLD_BUCKET is not set")
                else:
                    cold.remove(record.copy)
                    records.write(replace(record, copy=None))
            except AudioCompressorError as error:
                problems.append(f"{record.copy.uri} could not be deleted: {error}")
    return problems
