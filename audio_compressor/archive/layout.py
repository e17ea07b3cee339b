"""Where everything of a library lies: recordings, and beside them our own directory with journal, records and trash.

    LIBRARY_DIR/
      2026/03/talk.webm, talk.json       recordings and their documents
      index.json                         the master index, if there is one
      .audio-compressor/
        journal/ID.json                  what is being changed at this moment (protocol.py)
        records/2026/03/talk.webm.json   what became of each recording (records.py)
        trash/ID/talk.webm               what was removed, for TRASH_DAYS (trash.py)
        holds.json                       what nothing may touch (holds.py)
        locks/                           who works on what

Every path from outside is taken through `Layout.inside`, which lets none lead out of the root.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from audio_compressor.archive.collection import LIBRARY, Collection
from audio_compressor.errors import AccessDeniedError, LibraryError
from audio_compressor.local_files import local_errors
from audio_compressor.recording import part_name
from audio_compressor.texts import has_unseen, visible

STATE_NAME = ".audio-compressor"
# 255 bytes are the most of a name (limits.h, NAME_MAX), with what is put before and behind it: most where the JSON
# beside a recording is being written (see documents/writing.py).
MOST_NAME_BYTES = 255 - len(part_name(f".{16 * '0'}"))
_PART_START, _PART_END = part_name("archiving-?").split("?")
_RECORD_SUFFIX = ".json"
_COPY_SUFFIX = ".opus"


def why_unusable_path(path: str) -> str | None:
    """The reason why a file of this name cannot be archived, or None when it can.

    Its path becomes a partition key: see `recording.why_unusable`.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if has_unseen(path) or "\ufffd" in path or not path.isprintable():
        return "its name holds control or invisible characters"
    if "," in path or "..." in path:
        return "its name holds a comma or '...', which Dagster keeps for lists and ranges"
    if "\\" in path:
        return "its name holds a backslash"
    if any(part != part.strip() for part in path.split("/")):
        return "its name starts or ends with white space"
    if any(len(part.encode()) > MOST_NAME_BYTES for part in path.split("/")):
        return f"its name is longer than {MOST_NAME_BYTES} bytes"
    return None


def is_part(name: str) -> bool:
    """Whether a file of this name is one that is being made, or was when its process was killed."""
    return name.startswith(_PART_START) and name.endswith(_PART_END)


def copy_path(key: str) -> str:
    """Where the Opus copy of a recording lies."""
    return str(PurePosixPath(key).with_suffix(_COPY_SUFFIX))


@dataclass(frozen=True)
class Layout:
    """Of the library in ``root``, an absolute path; ``index_name`` is empty where no index is kept."""

    root: Path
    index_name: str = ""
    collection: Collection = LIBRARY

    @property
    def state(self) -> Path:
        return self.root / STATE_NAME

    @property
    def journal(self) -> Path:
        return self.state / "journal"

    @property
    def trash(self) -> Path:
        return self.state / "trash"

    @property
    def locks(self) -> Path:
        return self.state / "locks"

    @property
    def holds(self) -> Path:
        return self.state / "holds.json"

    @property
    def _records(self) -> Path:
        return self.state / "records"

    def prepare(self) -> None:
        """Make our directories.

        Raises:
            LibraryError: the root is none, or our directory is a link.
            AudioCompressorError: they cannot be made.
        """
        with local_errors(self.state):
            if not self.root.is_dir():
                raise LibraryError(f"{self.collection.setting} {self.root} is no directory; is its disk mounted?")
            for directory in (self.state, self.journal, self.trash, self.locks, self._records):
                directory.mkdir(mode=0o700, exist_ok=True)
                if not stat.S_ISDIR(directory.lstat().st_mode):
                    raise LibraryError(f"{directory} is a link or a file; it has to be a directory of its own")

    def inside(self, path: str) -> Path:
        """The absolute path of a file or directory below the root, of which no part is a link.

        Raises:
            AccessDeniedError: it leads out of the root.
        """
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\0" in path:
            raise AccessDeniedError(f"'{visible(path)}' is no path below {self.root}")
        found = self.root
        for part in pure.parts:
            found = found / part
            try:
                is_link = stat.S_ISLNK(found.lstat().st_mode)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise AccessDeniedError(f"{found} cannot be looked at: {error.strerror}") from error
            if is_link:
                raise AccessDeniedError(f"{found} is a symbolic link, which may lead out of {self.root}")
        return found

    def relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def part(self, path: str) -> Path:
        """Where the file ``path`` is made before it appears: beside it, on the same file system."""
        final = self.inside(path)
        return final.with_name(part_name(f"archiving-{final.name}"))

    def record_path(self, key: str) -> Path:
        return self.inside(f"{STATE_NAME}/records/{key}{_RECORD_SUFFIX}")

    def record_paths(self) -> Iterator[tuple[str, Path]]:
        """Key and file of each record, in no order; none where nothing was ever archived."""
        if not os.path.lexists(self._records):
            return
        for directory, _, names in os.walk(self._records, onerror=_raise):
            for name in names:
                if name.endswith(_RECORD_SUFFIX) and not name.startswith("."):
                    path = Path(directory, name)
                    yield path.relative_to(self._records).as_posix().removesuffix(_RECORD_SUFFIX), path

    def lock_path(self, key: str) -> Path:
        return self.locks / hashlib.sha256(key.encode()).hexdigest()[:32]


def _raise(error: OSError) -> None:
    raise error
