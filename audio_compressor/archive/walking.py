"""Lists what lies in a library, without following any link, and without our own directory."""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from audio_compressor.archive.files import stamp_from
from audio_compressor.archive.layout import Layout
from audio_compressor.archive.model import Stamp
from audio_compressor.errors import LibraryError


@dataclass(frozen=True)
class Listed:
    """One directory: ``path`` is below the root, empty for the root itself.

    ``files`` are plain files by name, hidden ones apart in ``hidden``; ``others`` are links, sockets and what else
    there is. ``problem`` is why it cannot be listed.
    """

    path: str
    files: Mapping[str, Stamp]
    hidden: Mapping[str, Stamp]
    others: tuple[str, ...]
    problem: str | None = None

    def path_of(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path else name


def walk(layout: Layout) -> Iterator[Listed]:
    """Every directory below the root, hidden ones apart.

    Raises:
        LibraryError: the root itself cannot be listed. It is never taken for an empty one.
    """
    if not layout.root.is_dir():
        raise LibraryError(f"{layout.collection.setting} {layout.root} is no directory; is its disk mounted?")
    waiting = [""]
    while waiting:
        path = waiting.pop()
        listed, below = _list(layout.root, path)
        if listed.problem and not path:
            raise LibraryError(f"{layout.collection.setting} {layout.root} cannot be listed: {listed.problem}")
        yield listed
        waiting += [listed.path_of(name) for name in sorted(below, reverse=True)]


def _list(root: Path, path: str) -> tuple[Listed, list[str]]:
    files: dict[str, Stamp] = {}
    hidden: dict[str, Stamp] = {}
    others: list[str] = []
    below: list[str] = []
    try:
        with os.scandir(root / path) as entries:
            for entry in entries:
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # gone since it was listed
                if stat.S_ISREG(found.st_mode):
                    (hidden if entry.name.startswith(".") else files)[entry.name] = stamp_from(found)
                elif entry.name.startswith("."):
                    continue
                elif stat.S_ISDIR(found.st_mode):
                    below.append(entry.name)
                else:
                    others.append(entry.name)
    except OSError as error:
        return Listed(path, {}, {}, (), f"{error.strerror}; check its owner and permissions"), []
    return Listed(path, files, hidden, tuple(sorted(others))), below
