"""Lists the source: which directories are recordings, and the fingerprint of each one's audio file.

A failed listing raises; it is never taken for an empty one.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
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
    """The source at one moment; ``directories`` are in recording order, ``passed_over`` were not looked into."""

    directories: tuple[SourceDirectory, ...]
    ignored: tuple[Ignored, ...]
    passed_over: frozenset[str] = frozenset()


# Given the modification time in seconds of each directory, chooses those that need not be looked into.
PassOver = Callable[[Mapping[str, int]], Collection[str]]


def look_into_all(_modified_at_seconds: Mapping[str, int]) -> Collection[str]:
    return ()


def list_source(
    connection: SftpConnection,
    path: str,
    dir_pattern: str,
    audio_filename: str,
    pass_over: PassOver = look_into_all,
) -> Listing:
    """Look at every recording directory below ``path``: one round trip for a hundred of them tells their names and
    times, and one request for each that is not passed over the size and time of its audio file.

    Raises:
        RemoteFileMissingError, AccessDeniedError: ``path`` itself cannot be listed.
        TransientError: the connection broke, also in the middle; a partial listing is never returned.
    """
    recordings, ignored = _recordings_among(connection.scan(path), dir_pattern)
    passed_over = frozenset(pass_over({entry.name: entry.modified_at_seconds for entry in recordings}))
    looked_into = [entry for entry in recordings if entry.name not in passed_over]
    found = connection.stat_many([join(path, entry.name, audio_filename) for entry in looked_into])
    return Listing(
        directories=tuple(_source_directory(entry, audio) for entry, audio in zip(looked_into, found, strict=True)),
        ignored=tuple(ignored),
        passed_over=passed_over,
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
