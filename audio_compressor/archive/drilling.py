"""The restore drill: what lies in cold storage is worth something only if it comes back. So some of it is fetched now
and then, compared, and played to its end; nothing is changed by that.

That a copy could not be looked at, for the network, the disk, or missing rights, is no verdict on the copy.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from audio_compressor.archive.cold import ColdArchive, DamagedCopyError
from audio_compressor.archive.records import Copy, Record
from audio_compressor.audio.compress import DEFAULT_TIME_LIMIT
from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.proof import DURATION_TOLERANCE_SECONDS
from audio_compressor.audio.verify import played_seconds
from audio_compressor.errors import (
    AudioCompressorError,
    CancelledError,
    RemoteFileMissingError,
    ThawingError,
    VerificationError,
)
from audio_compressor.local_files import local_errors
from audio_compressor.processes import ChildProcesses
from audio_compressor.space import check_space

Finding = Literal["intact", "damaged", "missing", "thawing", "unknown"]


@dataclass(frozen=True)
class Drilled:
    """What came of one copy. ``thawing``: it was asked for, and a later drill can look at it; ``unknown``: it could not
    be looked at. ``duration_seconds`` is None where it was not played to its end.
    """

    key: str
    uri: str
    size_bytes: int
    finding: Finding
    reason: str
    duration_seconds: float | None = None

    @property
    def is_lost(self) -> bool:
        """Whether this copy would not bring the recording back."""
        return self.finding in {"damaged", "missing"}


def lying_in_cold_storage(records: Iterable[Record]) -> list[Record]:
    """Those that lie there and are to stay."""
    return [record for record in records if record.copy and record.copy.place == "cold" and record.deleted_at is None]


def choose(records: Iterable[Record], most: int, dice: random.Random) -> list[Record]:
    """At most so many of those that lie in cold storage and are to stay there, each with the same chance."""
    lying = lying_in_cold_storage(records)
    return dice.sample(lying, min(most, len(lying)))


def drill(
    records: Sequence[Record],
    cold: ColdArchive,
    staging: Path,
    warning_bytes: int,
    *,
    ffmpeg: Ffmpeg,
    children: ChildProcesses,
) -> list[Drilled]:
    """Fetch each copy into the directory ``staging``, look at it, and remove it again; one at a time, in their order.

    Raises:
        CancelledError: the run is being stopped.
        ValueError: one of them does not lie in cold storage.
    """
    found = []
    for record in records:
        if record.copy is None or record.copy.place != "cold":
            raise ValueError(f"{record.key} does not lie in cold storage")
        found.append(_drill(record, record.copy, cold, staging, warning_bytes, ffmpeg, children))
    return found


def _drill(
    record: Record,
    copy: Copy,
    cold: ColdArchive,
    staging: Path,
    warning_bytes: int,
    ffmpeg: Ffmpeg,
    children: ChildProcesses,
) -> Drilled:
    def drilled(finding: Finding, reason: str, duration_seconds: float | None = None) -> Drilled:
        return Drilled(record.key, copy.uri, copy.size_bytes, finding, reason, duration_seconds)

    path = staging / "drilled"
    try:
        check_space(staging, copy.size_bytes, warning_bytes)
        cold.fetch(copy, path)
        with local_errors(path):
            duration_seconds = played_seconds(
                path,
                ffmpeg=ffmpeg,
                children=children,
                timeout_seconds=DEFAULT_TIME_LIMIT.seconds(copy.size_bytes),
            )
    except CancelledError:
        raise
    except ThawingError as error:
        return drilled("thawing", str(error))
    except RemoteFileMissingError as error:
        return drilled("missing", str(error))
    except DamagedCopyError as error:
        return drilled("damaged", str(error))
    except VerificationError as error:
        return drilled("damaged", f"{copy.uri} holds the bytes that were archived, but they do not play: {error}")
    except AudioCompressorError as error:
        return drilled("unknown", f"{copy.uri} could not be looked at: {error}")
    finally:
        with local_errors(path):
            path.unlink(missing_ok=True)
    reason = _why_other_length(record, copy, duration_seconds)
    if reason:
        return drilled("damaged", reason, duration_seconds)
    return drilled(
        "intact", f"its SHA-256 is that of what was archived, and it plays {duration_seconds:.3f} s", duration_seconds
    )


def _why_other_length(record: Record, copy: Copy, duration_seconds: float) -> str | None:
    if record.original is None:
        return None
    expected_seconds = record.original.duration_seconds
    if abs(duration_seconds - expected_seconds) <= DURATION_TOLERANCE_SECONDS:
        return None
    return f"{copy.uri} plays {duration_seconds:.3f} s, and its original played {expected_seconds:.3f} s"
