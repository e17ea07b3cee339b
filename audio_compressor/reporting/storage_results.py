"""Rows of the storage table: the files in a storage of results, with the sizes that Dagster's history knows of them.

Pure: storage and history were looked at before. Beside the files it gives what has lost its other half, as it looks
now.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from audio_compressor.archive.orphans import Orphan
from audio_compressor.recording import compressed_name, directory_of, metadata_name, original_of, recorded_on
from audio_compressor.reporting.files import REPORT_NAME
from audio_compressor.reporting.formatting import BYTES_PER_MB
from audio_compressor.reporting.manifest import MANIFEST_NAME
from audio_compressor.reporting.results import Result
from audio_compressor.reporting.storage import Piece
from audio_compressor.reporting.storage_pieces import NO_RECORD, month
from audio_compressor.storage.base import Location, StoredFile
from audio_compressor.texts import visible

COMPRESSED = "compressed"
EARLIER_VERSION = "earlier version"
METADATA = "metadata"
REPORT = "report"

# What we write beside the results.
_OURS = frozenset({REPORT_NAME, MANIFEST_NAME})
_EXTENSIONS = ("wav", "opus", "mp3", "m4a", "flac")


@dataclass(frozen=True)
class Listed:
    """The files of one storage by name. ``directory_uri`` is what the URI of each starts with."""

    location: Location
    directory_uri: str
    files: Mapping[str, StoredFile]

    def has_room_for(self, uri: str, name: str) -> bool:
        """Whether the URI is of a file of this name here, whether or not there is one."""
        return unquote(uri) == f"{unquote(self.directory_uri)}{name}"


def result_pieces(listed: Listed, results: Iterable[Result]) -> Iterator[Piece]:
    """Every file. The original counts with the one that was recorded last of its recording."""
    made = made_of(results)
    original_bytes = {
        _name_of(directory, result, listed): _bytes(result.original_size_mb) for directory, result in made.items()
    }
    for name, file in listed.files.items():
        tier = _tier(name, made, original_bytes)
        day = recorded_on(directory_of(name) or "") or datetime.fromtimestamp(file.modified_at_seconds, UTC)
        yield Piece(
            "results",
            visible(name),
            month(day),
            tier,
            listed.location,
            original_bytes.get(name),
            file.size_bytes,
            is_compressed=tier in {COMPRESSED, EARLIER_VERSION},
        )


def result_orphans(listed: Listed, results: Iterable[Result]) -> Iterator[Orphan]:
    """Files in a local directory of which nothing is recorded, and recorded ones that are not there.

    Buckets and servers hold other people's files too. What was recorded elsewhere, such as in an earlier OUTPUT_DIR, is
    not looked for.
    """
    if listed.location != "local":
        return
    made = made_of(results)
    for name in listed.files:
        if name not in _OURS and directory_of(name) not in made:
            yield Orphan("results", "file without a record", visible(name))
    for result in made.values():
        name = _name_in(result.uri)
        if result.uri and name not in listed.files and listed.has_room_for(result.uri, name):
            yield Orphan("results", "record without a file", visible(name))


def made_of(results: Iterable[Result]) -> dict[str, Result]:
    """Those that have a compressed file, by their directory."""
    return {result.directory: result for result in results if result.compressed_size_mb is not None or result.uri}


def _tier(name: str, made: Mapping[str, Result], current: Collection[str]) -> str:
    directory = directory_of(name)
    if name in _OURS:
        return REPORT
    if directory is None or directory not in made:
        return NO_RECORD
    if name in current:
        return COMPRESSED
    if metadata_name(directory) in (name, original_of(name)):
        return METADATA
    return EARLIER_VERSION


def _name_of(directory: str, result: Result, listed: Listed) -> str:
    """The file that a recording has now; empty where it has none here."""
    if result.uri:
        name = _name_in(result.uri)
        return name if name in listed.files and listed.has_room_for(result.uri, name) else ""
    # Of an imported manifest, which does not tell where the file is.
    names = (compressed_name(directory, extension) for extension in _EXTENSIONS)
    return next((name for name in names if name in listed.files), "")


def _name_in(uri: str | None) -> str:
    return PurePosixPath(unquote(urlsplit(uri).path)).name if uri else ""


def _bytes(size_mb: float | None) -> int | None:
    return None if size_mb is None else round(size_mb * BYTES_PER_MB)
