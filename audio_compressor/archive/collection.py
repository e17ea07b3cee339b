"""The collections that are aged, each by a policy of its own: the library of recordings, and our own results."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from audio_compressor.recording import directory_of

_LIBRARY_SUFFIX = ".webm"
_METADATA_SUFFIX = ".xml"


@dataclass(frozen=True)
class Collection:
    """``setting`` names its directory. ``is_original`` tells by its path below that whether a file is one of its
    recordings, as it was before it was aged. ``has_documents``: the JSON beside a recording, and the index, are kept
    true.
    """

    setting: str
    is_original: Callable[[str], bool]
    has_documents: bool


def _is_in_library(path: str) -> bool:
    return PurePosixPath(path).suffix.casefold() == _LIBRARY_SUFFIX


def _is_result(path: str) -> bool:
    """As they are published: flat, each named after its recording (see recording.py)."""
    return "/" not in path and directory_of(path) is not None and PurePosixPath(path).suffix != _METADATA_SUFFIX


LIBRARY = Collection("LIBRARY_DIR", _is_in_library, has_documents=True)
RESULTS = Collection("OUTPUT_DIR", _is_result, has_documents=False)
