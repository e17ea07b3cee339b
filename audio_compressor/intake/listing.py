"""Lists the source: which directories are recordings, and the fingerprint of each one's audio file.

A failed listing raises; it is never taken for an empty one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from posixpath import join

from audio_compressor.errors import AudioCompressorError, ConnectionLostError, RemoteFileMissingError, TimedOutError
from audio_compressor.recording import Fingerprint, chronological, why_unusable
from audio_compressor.sftp.connection import RemoteEntry, SftpConnection


@dataclass(frozen=True)
class SourceDirectory:
    """A directory whose name is a recording's. ``audio`` is None when there is no audio file to be read.

    ``problem`` says why not, unless the file simply is not there.
    """

    directory: str
    modified_at_seconds: int
    audio: Fingerprint | None
    problem: str | None = None


@dataclass(frozen=True)
class Ignored:
    """An entry of the source that is not taken for a recording."""

    name: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """The source at one moment; ``directories`` are in recording order."""

    directories: tuple[SourceDirectory, ...]
    ignored: tuple[Ignored, ...]


def list_source(connection: SftpConnection, path: str, dir_pattern: str, audio_filename: str) -> Listing:
    """Look at every recording directory below ``path``.

    Raises:
        RemoteFileMissingError, AccessDeniedError: ``path`` itself cannot be listed.
        TransientError: the connection broke, also in the middle; a partial listing is never returned.
    """
    recordings, ignored = _recordings_among(connection.scan(path), dir_pattern)
    found = connection.stat_many([join(path, entry.name, audio_filename) for entry in recordings])
    return Listing(
        directories=tuple(_source_directory(entry, audio) for entry, audio in zip(recordings, found, strict=True)),
        ignored=tuple(ignored),
    )


def _recordings_among(entries: Iterable[RemoteEntry], dir_pattern: str) -> tuple[list[RemoteEntry], list[Ignored]]:
    pattern = re.compile(dir_pattern)
    recordings, ignored = [], []
    for entry in entries:
        if not entry.is_directory:
            ignored.append(Ignored(entry.name, "not a directory"))
        elif not pattern.search(entry.name):
            ignored.append(Ignored(entry.name, f"the name does not match DIR_PATTERN {dir_pattern}"))
        elif reason := why_unusable(entry.name):
            ignored.append(Ignored(entry.name, reason))
        else:
            recordings.append(entry)
    return sorted(recordings, key=lambda entry: chronological(entry.name)), sorted(ignored, key=lambda item: item.name)


def _source_directory(directory: RemoteEntry, audio: RemoteEntry | AudioCompressorError) -> SourceDirectory:
    name, modified_at_seconds = directory.name, directory.modified_at_seconds
    if isinstance(audio, RemoteFileMissingError):
        return SourceDirectory(name, modified_at_seconds, None)
    if isinstance(audio, (ConnectionLostError, TimedOutError)):
        raise audio
    if isinstance(audio, AudioCompressorError):
        return SourceDirectory(name, modified_at_seconds, None, str(audio))
    if not audio.is_file:
        return SourceDirectory(
            name, modified_at_seconds, None, "what should be the audio file is a directory or a device"
        )
    return SourceDirectory(name, modified_at_seconds, Fingerprint(audio.size_bytes, audio.modified_at_seconds))
