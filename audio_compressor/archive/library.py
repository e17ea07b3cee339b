"""A library as the commands and Dagster use it: look, plan, archive, bring back, empty the trash."""

import threading
from collections.abc import Collection, Generator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from audio_compressor.archive.batch import archive_batch
from audio_compressor.archive.cold import ColdArchive
from audio_compressor.archive.holds import read_holds
from audio_compressor.archive.layout import Layout
from audio_compressor.archive.outcome import OnWork, Outcome, Tools
from audio_compressor.archive.paperwork import Paperwork
from audio_compressor.archive.plan import Decision, Plan, make_plan
from audio_compressor.archive.policy import Policy
from audio_compressor.archive.protocol import Changing, OnStep, ignore
from audio_compressor.archive.purging import Purge, purge_older
from audio_compressor.archive.records import Records
from audio_compressor.archive.recovering import finish_interrupted, sweep_locks, sweep_parts
from audio_compressor.archive.restoring import Restored, Restorer
from audio_compressor.archive.survey import Survey, survey
from audio_compressor.archive.trash import sweep_notes
from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.closing import Closing
from audio_compressor.processes import ChildProcesses


@dataclass(frozen=True)
class Rules:
    """How a library is aged. ``warning_bytes`` of free space are few."""

    policy: Policy
    trash_days: float
    settle_seconds: float
    warning_bytes: int


@dataclass(frozen=True)
class Look:
    """What lies in a library, and what is to become of it. ``problems`` are sentences for people."""

    survey: Survey
    plan: Plan
    problems: tuple[str, ...]


class Library(Closing):
    """To be closed; ``cold`` is closed with it. ``cancel`` is what ends its transfers, and is set where archiving is
    broken off.
    """

    def __init__(
        self,
        layout: Layout,
        rules: Rules,
        cold: ColdArchive | None = None,
        on_step: OnStep = ignore,
        cancel: threading.Event | None = None,
    ) -> None:
        self.layout = layout
        self.rules = rules
        self.cold = cold
        self.records = Records(layout)
        self.changing = Changing(layout, self.records, Paperwork(layout), cold, on_step)
        self._cancel = cancel or threading.Event()
        self._closing = ExitStack()
        if cold is not None:
            self._closing.enter_context(cold)

    def close(self) -> None:
        self._closing.close()

    def look(self, now: datetime | None = None, again: Collection[str] = ()) -> Look:
        """Look, and touch nothing; ``again`` as for `make_plan`.

        Raises:
            LibraryError: the library, its records or its holds cannot be read.
        """
        now = now or datetime.now(UTC)
        found = survey(self.layout, now)
        rules = self.rules
        plan = make_plan(now, found.files, rules.policy, read_holds(self.layout), rules.settle_seconds, again)
        interrupted = [
            f"{change.key}: a change of it was interrupted, or goes on at this moment; the next run finishes it"
            for change in self.changing.unfinished()
        ]
        return Look(found, plan, (*interrupted, *found.problems))

    def begin(self) -> list[str]:
        """To be called before anything is archived: finish what was interrupted; sentences about what could not be.

        Raises:
            AudioCompressorError: the library cannot be written to.
        """
        self.layout.prepare()
        problems = finish_interrupted(self.layout, self.changing)
        sweep_notes(self.layout)
        sweep_locks(self.layout)
        sweep_parts(self.layout, self.changing)
        return problems

    def archive(
        self, decisions: Collection[Decision], ffmpeg: Ffmpeg, workers: int, on_work: OnWork = lambda *_: None
    ) -> Generator[Outcome]:
        """Do what is due; to be closed."""
        tools = Tools(
            layout=self.layout,
            records=self.records,
            changing=self.changing,
            cold=self.cold,
            ffmpeg=ffmpeg,
            children=ChildProcesses(),
            cancel=self._cancel,
            delete_originals=self.rules.policy.delete_originals,
            drop_video=self.rules.policy.drop_video,
            trash_days=self.rules.trash_days,
            warning_bytes=self.rules.warning_bytes,
            on_work=on_work,
        )
        return archive_batch([each for each in decisions if each.verdict == "due"], tools, workers)

    def empty_trash(self, now: datetime | None = None) -> Purge:
        """Remove for good what has been in the trash for long enough, where what stands for it is whole."""
        now = now or datetime.now(UTC)
        return purge_older(now, self.rules.trash_days, self.layout, self.records, self.cold, self.changing.on_step)

    def restore(self, name: str, now: datetime | None = None) -> Restored:
        """Bring a recording back; raises as `Restorer.restore`."""
        restorer = Restorer(self.layout, self.records, self.changing, self.cold, self.rules.warning_bytes)
        return restorer.restore(name, now or datetime.now(UTC))
