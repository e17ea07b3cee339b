"""What a track is: an object below RAW_PREFIX, its key, and the one place where the names of its results are made.

The key is the partition in Dagster, the folder below PROCESSED_PREFIX and the stem of the M4A in it, so a file name
that cannot be all of these is refused here, with a reason.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from audio_compressor.recording import why_unusable

METADATA_NAME = "metadata.json"

# A title such as "No. 5" or "v1.2" has none.
_EXTENSION = re.compile(r"\.(?=[0-9]*[A-Za-z])[A-Za-z0-9]{1,5}")
# "Characters to avoid" (Amazon S3 user guide, "Naming Amazon S3 objects"), and two more that end a path or match
# others where applications put URLs together without escaping.
_AVOIDED = frozenset('{}^%`[]"<>~#|?*')


@dataclass(frozen=True)
class Track:
    """``file_name`` is the object's name below RAW_PREFIX, one for which `why_no_track` has no reason."""

    file_name: str

    @property
    def key(self) -> str:
        """The file name without its extension, exactly as it is written (the document's ``track_id``)."""
        extension = _extension_of(self.file_name)
        return self.file_name.removesuffix(extension)

    @property
    def audio_name(self) -> str:
        """Of the M4A, in the track's folder."""
        return f"{self.key}.m4a"

    @property
    def error_name(self) -> str:
        """Of the file beside the copy below FAILED_PREFIX that says why."""
        return f"{self.file_name}.error.json"

    def raw_key(self, raw_prefix: str) -> str:
        return f"{raw_prefix}{self.file_name}"

    def published_key(self, processed_prefix: str, name: str = "") -> str:
        """Of a file in the track's folder, such as ``low/playlist.m3u8``; without ``name``, what all of them start
        with.
        """
        return f"{processed_prefix}{self.key}/{name}"


@dataclass(frozen=True)
class Refused:
    """A file name that does not become a track; ``reason`` says why and what to do."""

    file_name: str
    reason: str


def why_no_track(file_name: str) -> str | None:
    """The reason why a file name cannot be a track, or None when it can."""
    if "/" in file_name:
        return "the name holds a path separator; it must be the object's name below RAW_PREFIX"
    if problem := why_unusable(file_name.removesuffix(_extension_of(file_name))):
        return f"{problem}; upload it under another name"
    if avoided := sorted(_AVOIDED.intersection(file_name)):
        return f"the name holds {' '.join(avoided)}, unsafe in the addresses of players; upload it under another name"
    return None


def why_taken(track: Track, owner: str | None) -> str | None:
    """The reason why a track must not be published, or None when it may.

    ``owner`` is the file name of which its key was published, while that object is still there; a new upload of the
    same file replaces the track, and so does another file once the first one is removed.
    """
    if owner is None or owner == track.file_name:
        return None
    return f"the track {track.key} is made from {owner}; upload this one under another name, or remove {owner}"


def sort_out(
    file_names: Iterable[str], published_from: Mapping[str, str]
) -> tuple[tuple[Track, ...], tuple[Refused, ...]]:
    """The tracks among all objects that are there, oldest first, and what is refused.

    Of ``song.mp3`` and ``song.wav``, that one is the track ``song`` of which it was published (``published_from``: file
    names by key), else the older one: results never go back and forth between two sources.
    """
    names = list(dict.fromkeys(file_names))
    refused = {name: reason for name in names if (reason := why_no_track(name))}
    tracks = [Track(name) for name in names if name not in refused]
    there = set(names)
    owners = {key: owner for key, owner in published_from.items() if owner in there}
    for track in tracks:
        owner = owners.setdefault(track.key, track.file_name)
        if reason := why_taken(track, owner):
            refused[track.file_name] = reason
    return (
        tuple(track for track in tracks if track.file_name not in refused),
        tuple(Refused(name, refused[name]) for name in names if name in refused),
    )


def _extension_of(file_name: str) -> str:
    start = file_name.rfind(".")
    return file_name[start:] if start != -1 and _EXTENSION.fullmatch(file_name, start) else ""
