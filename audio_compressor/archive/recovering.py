"""What an archive run begins with: whatever interrupted ones have left is finished or undone, and swept away."""

import logging
import time

from audio_compressor.archive.holds import read_holds
from audio_compressor.archive.layout import Layout, copy_path, is_part
from audio_compressor.archive.locks import try_lock
from audio_compressor.archive.protocol import Changing
from audio_compressor.archive.walking import walk
from audio_compressor.errors import AudioCompressorError
from audio_compressor.local_files import local_errors
from audio_compressor.storage.base import LEFTOVER_SECONDS

log = logging.getLogger(__name__)


def finish_interrupted(layout: Layout, changing: Changing) -> list[str]:
    """Finish or undo every change that nobody works on; sentences about those where neither was possible. What may be
    on hold by now is undone.

    Raises:
        LibraryError: a journal, or the holds, cannot be understood.
    """
    problems = []
    holds = read_holds(layout)
    for change in changing.unfinished():
        with try_lock(layout.lock_path(change.key)) as is_ours:
            if not is_ours or not any(each.id == change.id for each in changing.unfinished(change.key)):
                continue
            try:
                is_held = any(hold.may_cover(change.key, copy_path(change.key)) for hold in holds)
                is_finished = changing.finish(change, may_go_on=change.kind == "restore" or not is_held)
                log.info("%s: an interrupted change was %s", change.key, "finished" if is_finished else "undone")
            except (AudioCompressorError, OSError) as error:
                problems.append(f"{change.key}: an interrupted change can neither be finished nor undone: {error}")
    return problems


def sweep_locks(layout: Layout) -> None:
    """Remove the lock files of processes that were killed; of their locks nothing is left."""
    with local_errors(layout.locks):
        for path in layout.locks.iterdir():
            with try_lock(path):
                pass


def sweep_parts(layout: Layout, changing: Changing) -> None:
    """Remove what interrupted runs were making, a day later. By the time of the last change of the file itself: its
    modification time is made that of its original.
    """
    in_journal = {arrival.source for change in changing.unfinished() for arrival in change.arrivals}
    parts = (listed.path_of(name) for listed in walk(layout) for name in listed.hidden if is_part(name))
    for part in parts:
        path = layout.inside(part)
        with local_errors(path):
            try:
                age_seconds = time.time() - path.lstat().st_ctime
            except FileNotFoundError:
                continue
            if part not in in_journal and age_seconds > LEFTOVER_SECONDS:
                log.info("Removing %s, which an interrupted run left", path)
                path.unlink(missing_ok=True)
