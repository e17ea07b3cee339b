"""Every exception that Audio Compressor raises on purpose.

A failure is classed here once: what is *permanent* stays as it is however often one tries, what is *transient* may
pass by itself and is worth a retry. The layers below translate their libraries' errors at their boundary; nothing above
them catches a paramiko, boto3 or FFmpeg error.

    AudioCompressorError
    ├── PermanentError
    │   ├── ConfigurationError      settings; lists every problem at once
    │   ├── CredentialsError        none found, or the secret is malformed
    │   ├── AuthenticationError     the server refuses the credentials
    │   ├── HostKeyError            the server's key is unknown or has changed
    │   ├── RemoteFileMissingError  no such file or directory
    │   ├── AccessDeniedError       the file is there, but not for us
    │   ├── AudioError
    │   │   ├── NotAudioError       nothing that FFmpeg can decode
    │   │   ├── EncodingError       FFmpeg ended with an error, or was stopped by its time limit
    │   │   ├── VerificationError   the output is not what it should be
    │   │   └── ProofError          a copy is not proved to be the same sound as its source
    │   ├── FfmpegMissingError      no binary to run
    │   ├── LibraryError            what lies in the library is not what it should be; nothing is touched
    │   ├── ManifestError           an old manifest or report is not what it should be; lists every problem
    │   └── HistoryError            Dagster's history cannot be opened or written
    ├── TransientError
    │   ├── ConnectionLostError     refused, dropped, or the name did not resolve
    │   ├── TimedOutError           connected, but silent for too long
    │   ├── SourceChangedError      the source moved under the download
    │   ├── OutOfSpaceError         staging or destination is full
    │   ├── StorageError            the destination refused for another reason
    │   ├── ThawingError            what lies in cold storage can be read in some hours
    │   ├── DocumentChangedError    another program changed a library's document while it was edited
    │   └── CatalogError            the database of uploads refused for another reason
    └── CancelledError              this run is being stopped
"""

from collections.abc import Sequence
from typing import Any, Literal

from audio_compressor.texts import visible


class AudioCompressorError(Exception):
    """Base of all; its text says what happened, to which recording or file, and what to do next.

    It goes from process to process as it is, whatever its constructor takes. Servers' answers and names in its text
    cannot steer the terminal that it is read in.
    """

    def __str__(self) -> str:
        return visible(super().__str__())

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (type(self), self.args, self.__dict__)


def _remade(
    kind: type[AudioCompressorError], arguments: tuple[object, ...], attributes: dict[str, object]
) -> AudioCompressorError:
    error = kind.__new__(kind)
    error.args = arguments
    error.__dict__.update(attributes)
    return error


class PermanentError(AudioCompressorError):
    """Trying again without changing something gives the same result."""


class TransientError(AudioCompressorError):
    """May pass by itself; worth a retry with backoff."""


class ConfigurationError(PermanentError):
    """The settings cannot be used. ``problems`` holds one sentence for each variable at fault."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"The configuration has {_count(len(self.problems), 'problem')}:\n{lines}")


class CredentialsError(PermanentError):
    """No usable user name with a password or private key was found."""


class AuthenticationError(PermanentError):
    """The server refuses the credentials."""


class HostKeyError(PermanentError):
    """The server's host key is not the one that is trusted."""


class RemoteFileMissingError(PermanentError):
    """No such file or directory on the server."""


class AccessDeniedError(PermanentError):
    """The server refuses access to a file or directory."""


class AudioError(PermanentError):
    """The audio of one recording cannot be turned into a result."""


class NotAudioError(AudioError):
    """FFmpeg finds nothing in the file that it can decode."""


class EncodingError(AudioError):
    """FFmpeg failed or ran into its time limit; the text holds the end of what it printed."""


class VerificationError(AudioError):
    """The output does not decode to the end, or its duration is not the source's; ``check`` names which."""

    def __init__(self, message: str, *, check: Literal["decodes_to_end", "duration_matches"]) -> None:
        self.check = check
        super().__init__(message)


class ProofError(AudioError):
    """A copy is not proved to be the same sound as its source, which therefore has to be kept; the text says why."""


class FfmpegMissingError(PermanentError):
    """There is no FFmpeg to run."""


class LibraryError(PermanentError):
    """A file of the library, or of our own directory in it, is not what it should be; a person has to look."""


class ManifestError(PermanentError):
    """A manifest or report cannot be read. ``problems`` holds one sentence for each entry at fault."""

    def __init__(self, summary: str, problems: Sequence[str] = ()) -> None:
        self.problems = tuple(problems)
        shown = [f"  - {problem}" for problem in self.problems[:50]]
        more = [f"  - and {len(self.problems) - 50} more"] if len(self.problems) > 50 else []
        super().__init__("\n".join([summary, *shown, *more]))


class HistoryError(PermanentError):
    """Dagster's history cannot be opened or written: DAGSTER_HOME, its disk, or the dagster.yaml in it."""


class ConnectionLostError(TransientError):
    """The server cannot be reached or the connection broke."""


class TimedOutError(TransientError):
    """The server did not answer in time."""


class SourceChangedError(TransientError):
    """The source file's size or modification time changed while it was read."""


class OutOfSpaceError(TransientError):
    """There is not enough free space for staging or publishing."""


class StorageError(TransientError):
    """The destination did not take a file."""


class ThawingError(TransientError):
    """An object in cold storage cannot be read yet; the store was asked to thaw it, which takes hours."""


class DocumentChangedError(TransientError):
    """Another program changed a library's document in the meantime: read it again and apply the change to that."""


class CatalogError(TransientError):
    """The database of uploads did not do what it was asked."""


class CancelledError(AudioCompressorError):
    """The run is being stopped; raised in its worker threads so that they end."""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
