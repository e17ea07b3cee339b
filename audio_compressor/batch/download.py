"""Brings recordings from the source to staging: retries, checks before the first byte, and what a failure means."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from posixpath import join
from typing import TypeVar

from audio_compressor.batch.model import Download, Outcome, Product, Progress, RecordingMetadata, Tools
from audio_compressor.errors import (
    AudioCompressorError,
    AuthenticationError,
    ConnectionLostError,
    CredentialsError,
    HostKeyError,
    NotAudioError,
    RemoteFileMissingError,
    SourceChangedError,
    TimedOutError,
    TransientError,
)
from audio_compressor.recording import Fingerprint, too_large
from audio_compressor.staging import Staging
from audio_compressor.texts import visible
from audio_compressor.xml_metadata import read_metadata

log = logging.getLogger(__name__)
Result = TypeVar("Result")

# Meta.xml is a page of text; a file of this size under that name is something else and is not fetched.
MAX_METADATA_BYTES = 16_000_000


@dataclass(frozen=True)
class Staged:
    """What was downloaded of a recording into the directory ``path``."""

    directory: str
    path: Path
    started_at_seconds: float
    download: Download | None
    metadata: RecordingMetadata | None
    metadata_problem: str | None


class Downloader:
    """Used by one thread. ``observed`` are source files that have settled already."""

    def __init__(
        self,
        tools: Tools,
        wanted: Collection[Product],
        staging: Staging,
        observed: Mapping[str, Fingerprint],
        progress: Progress,
        cancelled: threading.Event,
    ) -> None:
        self._tools = tools
        self._wanted = frozenset(wanted)
        self._staging = staging
        self._observed = observed
        self._progress = progress
        self._cancelled = cancelled
        self._no_connection: AudioCompressorError | None = None
        self._fingerprints: dict[str, Fingerprint] = {}

    def stage(self, directory: str, path: Path) -> Staged:
        """Download what is wanted of a recording. Any exception is for `failed` to explain."""
        started_at_seconds = time.monotonic()
        download, metadata, metadata_problem = None, None, None
        if self._wanted & {Product.RAW_AUDIO, Product.COMPRESSED_AUDIO}:
            download = self._with_retries(f"download of {directory}", lambda: self._download_audio(directory, path))
        if Product.RECORDING_METADATA in self._wanted:
            try:
                metadata = self._with_retries(
                    f"download of {directory}'s metadata", lambda: self._download_metadata(directory, path)
                )
            except Exception as error:  # the audio is worth having without its metadata
                metadata_problem = reason(directory, error)
        return Staged(directory, path, started_at_seconds, download, metadata, metadata_problem)

    def failed(self, directory: str, error: Exception) -> Outcome:
        """What it means that a recording could not be staged."""
        fingerprint = self._fingerprints.get(directory)
        if isinstance(error, _TooLarge):
            return Outcome(directory, "skipped", str(error), fingerprint, skip_kind="too_large")
        if isinstance(error, RemoteFileMissingError):
            return Outcome(directory, "skipped", f"no audio file: {error}", skip_kind="no_audio")
        return Outcome(directory, "failed", reason(directory, error), fingerprint)

    def _with_retries(self, what: str, attempt: Callable[[], Result]) -> Result:
        """Retry what may pass; but a server that refused us is not asked again in this batch, and one that was away is
        asked once for each recording instead of several times, or a night without a server would last until noon.
        """
        retry = self._tools.download_retry
        if self._no_connection is not None:
            if not isinstance(self._no_connection, TransientError):
                raise self._no_connection
            retry = replace(retry, attempts=1)
        try:
            result = retry.call(attempt, what=what, cancel=self._cancelled)
        except (AuthenticationError, CredentialsError, HostKeyError, ConnectionLostError, TimedOutError) as error:
            self._no_connection = error
            raise
        self._no_connection = None
        return result

    def _download_audio(self, directory: str, staging: Path) -> Download:
        source = self._tools.source
        remote = join(source.path, directory, source.audio_filename)
        entry = self._tools.connection.stat(remote, cancel=self._cancelled)
        if not entry.is_file:
            raise NotAudioError(f"{directory}: {source.audio_filename} is a directory or a device, not an audio file")
        fingerprint = self._fingerprints[directory] = entry.fingerprint
        self._require_settled(directory, fingerprint)
        if fingerprint.size_bytes == 0:
            raise NotAudioError(f"{directory}: {source.audio_filename} is empty (0 bytes); was the upload interrupted?")
        if fingerprint.size_bytes > source.max_file_size_bytes:
            raise _TooLarge(too_large(fingerprint.size_bytes, source.max_file_size_bytes))
        # The compressed copy is smaller than its source but for odd inputs, such as MP3 to WAV.
        self._staging.require_space(2 * fingerprint.size_bytes, self._cancelled)
        self._progress.downloading(directory)
        started_at_seconds = time.monotonic()
        sha256 = self._tools.connection.download(
            remote,
            staging / source.audio_filename,
            expected=fingerprint,
            cancel=self._cancelled,
            on_bytes=self._progress.downloaded,
        )
        uri = self._tools.connection.uri(remote)
        return Download(uri, fingerprint, sha256, time.monotonic() - started_at_seconds)

    def _require_settled(self, directory: str, fingerprint: Fingerprint) -> None:
        """Half an upload that pauses looks whole: it was compressed once, when a new upload began during a run."""
        age_seconds = time.time() - fingerprint.modified_at_seconds
        if fingerprint != self._observed.get(directory) and 0 <= age_seconds < self._tools.source.settle_seconds:
            raise SourceChangedError(
                f"{directory}: the audio file was changed {age_seconds:.0f} s ago and may still be written; it is "
                f"taken when it has not changed for {self._tools.source.settle_seconds:g} s"
            )

    def _download_metadata(self, directory: str, staging: Path) -> RecordingMetadata:
        source = self._tools.source
        remote = join(source.path, directory, source.metadata_filename)
        try:
            entry = self._tools.connection.stat(remote, cancel=self._cancelled)
        except RemoteFileMissingError:
            return RecordingMetadata(warning=f"the recording has no {source.metadata_filename}")
        if entry.size_bytes > MAX_METADATA_BYTES:
            size_mb = entry.size_bytes / 1e6
            return RecordingMetadata(warning=f"{source.metadata_filename} has {size_mb:,.1f} MB; too large, not copied")
        local = staging / source.metadata_filename
        self._tools.connection.download(remote, local, expected=entry.fingerprint, cancel=self._cancelled)
        file = read_metadata(local)
        return RecordingMetadata(file=file, warning=file.warning)


class _TooLarge(Exception):  # noqa: N818 - not an error, but a way out of a download
    pass


def reason(directory: str, error: Exception) -> str:
    if isinstance(error, AudioCompressorError):
        return str(error)
    log.exception("%s: unexpected error", directory, exc_info=error)
    return visible(f"unexpected {type(error).__name__}: {error}")
