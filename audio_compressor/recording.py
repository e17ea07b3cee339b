"""What a recording is: its directory name, its date, its fingerprint, and the one place where output names are made.

A recording is a directory on the source. Its name is its partition key in Dagster and the stem of every file made from
it, so a name that cannot be all of these is refused here, with a reason.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import PurePosixPath

from audio_compressor.texts import has_unseen

# A file name may be 255 bytes on every file system in use. The longest one made from a directory name is the part file
# of the marker of a stranded duplicate: 48 bytes more than the name itself.
MAX_DIRECTORY_NAME_BYTES = 255 - len(".._compressed_YYYYMMDD_HHMMSS.flac.stranded.part")

_DUPLICATE = re.compile(r"(?P<stem>.+)_\d{8}_\d{6}")
_OUTPUT = re.compile(r"^(?P<directory>.+)_(?:compressed(?:_\d{8}_\d{6})?\.\w+|meta(?:_\d{8}_\d{6})?\.xml)$", re.DOTALL)
_LEADS_ELSEWHERE = frozenset("/\\\0")
_DATED = re.compile(r"^(?P<month>\d{2})-(?P<day>\d{2})-(?P<year>\d{2})(?:-(?P<take>\d{2}))?$")


@dataclass(frozen=True)
class Fingerprint:
    """Size and modification time of a source file: equal fingerprints mean that it has not changed.

    SFTP version 3 gives whole seconds (draft-ietf-secsh-filexfer-02, section 5).
    """

    size_bytes: int
    modified_at_seconds: int

    def __str__(self) -> str:
        return f"{self.size_bytes}-{self.modified_at_seconds}"

    @classmethod
    def parse(cls, text: str) -> "Fingerprint":
        """The inverse of ``str``. Raises ValueError for anything else."""
        size_bytes, modified_at_seconds = text.split("-", maxsplit=1)
        fingerprint = cls(int(size_bytes), int(modified_at_seconds))
        if str(fingerprint) != text:  # int() takes signs, spaces, underscores and digits of other scripts as well
            raise ValueError(text)
        return fingerprint

    @property
    def modified_at(self) -> datetime:
        return datetime.fromtimestamp(self.modified_at_seconds, UTC)


@dataclass(frozen=True)
class Recording:
    """One directory on the source and its audio file as it was last seen there."""

    directory: str
    fingerprint: Fingerprint


def why_unusable(directory: str) -> str | None:
    """The reason why a directory name cannot be a recording, or None when it can.

    Commas and ``...`` are how Dagster writes lists and ranges of partition keys, and a dot beside ``...`` is ambiguous;
    control characters break its UI and every terminal; a separator or a leading dot would lead out of the destination
    or hide the result there; U+FFFD stands for bytes that are not UTF-8, so that no path leads back to the directory.
    """
    if not directory:
        return "the name is empty"
    if "/" in directory or "\\" in directory:
        return "the name holds a path separator"
    if directory.startswith(".") or directory.endswith("."):
        return "the name starts or ends with a dot"
    if directory != directory.strip():
        return "the name starts or ends with white space"
    if "," in directory or "..." in directory:
        return "the name holds a comma or '...', which Dagster keeps for lists and ranges"
    if "\ufffd" in directory:
        return "the name is not UTF-8"
    if has_unseen(directory):
        return "the name holds control or invisible characters"
    if len(directory.encode()) > MAX_DIRECTORY_NAME_BYTES:
        return f"the name is longer than {MAX_DIRECTORY_NAME_BYTES} bytes"
    return None


def too_large(size_bytes: int, max_file_size_bytes: int) -> str:
    """The reason why a recording of this size is skipped."""
    return f"{size_bytes:,} bytes are more than MAX_FILE_SIZE_MB allows ({max_file_size_bytes / 1e6:,g})"


def recorded_on(directory: str) -> date | None:
    """The date in a name such as ``10-17-25`` or ``10-17-25-01`` (month-day-year, take), or None."""
    match = _DATED.match(directory)
    if not match:
        return None
    try:
        return date(2000 + int(match["year"]), int(match["month"]), int(match["day"]))
    except ValueError:
        return None


def chronological(directory: str) -> tuple[date, str]:
    """Sort key: by date, then take; names without a date come last, by name."""
    return (recorded_on(directory) or date.max, directory)


def compressed_name(directory: str, extension: str) -> str:
    return f"{directory}_compressed.{extension}"


def metadata_name(directory: str) -> str:
    return f"{directory}_meta.xml"


def timestamped(name: str, at: datetime) -> str:
    """The name of a duplicate: ``x_compressed.wav`` becomes ``x_compressed_20251104_214530.wav`` (UTC)."""
    path = PurePosixPath(name)
    return f"{path.stem}_{at.astimezone(UTC):%Y%m%d_%H%M%S}{path.suffix}"


def original_of(name: str) -> str | None:
    """The name of which this is a duplicate, or None."""
    path = PurePosixPath(name)
    match = _DUPLICATE.fullmatch(path.stem)
    return f"{match['stem']}{path.suffix}" if match else None


def directory_of(name: str) -> str | None:
    """The directory that an output name, timestamped or not, was made from; None for any other name."""
    match = _OUTPUT.match(name)
    return match["directory"] if match else None


def is_plain_name(name: str) -> bool:
    """Whether a file of this name lies in the directory it is put into, on any storage, and is no hidden one."""
    return bool(name) and not name.startswith(".") and not _LEADS_ELSEWHERE.intersection(name)


def part_name(name: str) -> str:
    """What a file is called while it is being written; never mistaken for a result, safe to delete."""
    return f".{name}.part"
