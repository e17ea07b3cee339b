"""How a library's documents name recordings, and which recording is meant. Nothing here looks at a file system.

A document may give a bare name, or a path from the library's root, either with a leading ``./``, and a path also with
the ``recordings/`` of the application that wrote it. A path of ours is from the library's root, with slashes.
"""

import reprlib
from pathlib import PurePosixPath

from audio_compressor.texts import visible

# The directory that the application keeps its recordings in, as its paths name it; to us that is the library's root.
APPLICATION_DIRECTORY = "recordings"

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 80


def parts_of(reference: str) -> tuple[str, ...] | None:
    """The directories and the name, or None for what is no name of a file or leads out of where it stands."""
    if reference.startswith("/") or reference.endswith(("/", "/.")) or "\0" in reference:
        return None
    parts = tuple(part for part in reference.split("/") if part not in {"", "."})
    return None if not parts or ".." in parts else parts


def is_full_path(parts: tuple[str, ...], path: str) -> bool:
    """Whether a reference's parts are the whole path from the root."""
    wanted = tuple(path.split("/"))
    return parts in {wanted, (APPLICATION_DIRECTORY, *wanted)}


def name_in(reference: str, directory: str) -> str | None:
    """The name of the file in this directory that a document in the same directory means, or None."""
    parts = parts_of(reference)
    if parts is None:
        return None
    if len(parts) == 1 or is_full_path(parts, f"{directory}/{parts[-1]}" if directory else parts[-1]):
        return parts[-1]
    return None


def directory_of(path: str) -> str:
    """The directory of a path from the root; empty for the root itself."""
    return path.rpartition("/")[0]


def last_part(reference: str) -> str:
    return reference.rpartition("/")[2]


def renamed(reference: str, new_path: str) -> str:
    """The reference with another name in the same directory, everything before it as it was."""
    return reference.removesuffix(last_part(reference)) + last_part(new_path)


def own_document(name: str) -> str:
    """The name of the document that belongs to a recording by its name: ``talk.json`` to ``talk.webm``."""
    return f"{PurePosixPath(name).stem}.json"


def shown(text: str) -> str:
    """A name or text from a document as it may be shown: quoted, short, and harmless."""
    return visible(_REPR.repr(text))
