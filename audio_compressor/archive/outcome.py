"""What becomes of a recording in a run, and with what it is worked on."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from audio_compressor.archive.cold import ColdArchive
from audio_compressor.archive.layout import Layout
from audio_compressor.archive.policy import Action
from audio_compressor.archive.protocol import Changing
from audio_compressor.archive.records import Record, Records
from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.proof import Proof
from audio_compressor.processes import ChildProcesses

Status = Literal["success", "refused", "skipped", "failed"]
# Told of a recording, by its key, what was just done with it; from worker threads, too.
OnWork = Callable[[str, str], None]


@dataclass(frozen=True)
class Tools:
    """What recordings are archived with; ``warning_bytes`` of free space are few.

    Transfers to cold storage end when ``cancel`` is set.
    """

    layout: Layout
    records: Records
    changing: Changing
    cold: ColdArchive | None
    ffmpeg: Ffmpeg
    children: ChildProcesses
    cancel: threading.Event
    delete_originals: bool
    drop_video: bool
    trash_days: float
    warning_bytes: int
    on_work: OnWork = lambda *_: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def stop(self) -> None:
        """End what is being worked on, soon, with CancelledError."""
        self.cancel.set()
        self.children.kill_all()


@dataclass(frozen=True)
class Done:
    """``after_bytes`` is what the recording takes in the library now."""

    record: Record
    after_bytes: int
    proof: Proof | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one recording.

    ``refused``: nothing was done, and nothing would be the next time; ``skipped``: not now. Sizes are those in the
    library, before and after.
    """

    key: str
    status: Status
    reason: str
    action: Action
    before_bytes: int
    after_bytes: int
    tier: str
    record: Record | None = None
    proof: Proof | None = None
    seconds: float = 0.0

    @property
    def saved_bytes(self) -> int:
        return self.before_bytes - self.after_bytes
