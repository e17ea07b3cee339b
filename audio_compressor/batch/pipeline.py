"""Takes a batch of recordings from the source to storage: download, compress and publish side by side.

One thread downloads (the network is one), as many as there are encoders compress and publish. What is staged at a time
is bounded: a download waits until an encoder has finished with an earlier one. Every recording ends in one `Outcome`,
handed out the moment it is there; whatever goes wrong with one recording stays with that recording.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from posixpath import join
from typing import TypeVar

from audio_compressor.audio.checks import CheckResult, failed_checks, quality_checks
from audio_compressor.audio.compress import compress
from audio_compressor.batch.model import (
    CompressedAudio,
    Download,
    Outcome,
    Product,
    Progress,
    RecordingMetadata,
    Tools,
)
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
    VerificationError,
)
from audio_compressor.processes import INTERRUPTIBLE_SECONDS, ChildProcesses
from audio_compressor.recording import Fingerprint, compressed_name, metadata_name, too_large
from audio_compressor.staging import Staging, open_staging
from audio_compressor.storage.base import Stored
from audio_compressor.xml_metadata import MetadataFile, read_metadata

log = logging.getLogger(__name__)
Result = TypeVar("Result")

# Meta.xml is a page of text; a file of this size under that name is something else and is not fetched.
MAX_METADATA_BYTES = 16_000_000


def process_batch(
    directories: Sequence[str],
    wanted: Collection[Product],
    tools: Tools,
    *,
    run_id: str,
    observed: Mapping[str, Fingerprint] | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Generator[Outcome]:
    """Yield an outcome for every directory, in the order in which they finish.

    ``observed`` are source files that have settled already; one that differs and is younger than it takes to settle is
    still being written.

    Closing the iterator, or an exception in the thread that drives it, stops everything at once: child processes are
    killed, the connection is cut, staging is removed. ``cancel`` is set then, for whoever waits on the batch's behalf.
    """
    with open_staging(tools.temp_dir, run_id) as staging:
        batch = _Batch(
            tools, frozenset(wanted), staging, observed or {}, progress or Progress(), cancel or threading.Event()
        )
        yield from batch.run(directories)


@dataclass(frozen=True)
class _Staged:
    """What a download leaves for an encoder; ``space`` gives the staging space back when it is closed."""

    directory: str
    path: Path
    started_at_seconds: float
    space: ExitStack
    download: Download | None
    metadata: RecordingMetadata | None
    metadata_problem: str | None


class _Batch:
    def __init__(
        self,
        tools: Tools,
        wanted: frozenset[Product],
        staging: Staging,
        observed: Mapping[str, Fingerprint],
        progress: Progress,
        cancel: threading.Event,
    ) -> None:
        self._tools = tools
        self._wanted = wanted
        self._staging = staging
        self._observed = observed
        self._progress = progress
        self._children = ChildProcesses()
        self._cancelled = cancel
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        # One recording for each encoder, and one that is being downloaded meanwhile.
        self._places = threading.Semaphore(tools.encoders + 1)
        self._no_connection: AudioCompressorError | None = None
        self._fingerprints: dict[str, Fingerprint] = {}

    def run(self, directories: Sequence[str]) -> Iterator[Outcome]:
        with ThreadPoolExecutor(self._tools.encoders, "encode") as encoders, ThreadPoolExecutor(1, "download") as one:
            try:
                downloading = one.submit(self._download_all, directories, encoders)
                for _ in directories:
                    yield self._next_outcome(downloading)
            finally:
                self._stop()

    def _next_outcome(self, downloading: "Future[None]") -> Outcome:
        while True:
            try:
                return self._outcomes.get(timeout=INTERRUPTIBLE_SECONDS)
            except queue.Empty:
                if downloading.done():
                    downloading.result()  # raises what ended the thread: nobody else would make the next outcome

    def _stop(self) -> None:
        """Release whatever a worker thread may be waiting for; nothing is, when the batch is done."""
        self._cancelled.set()
        self._children.kill_all()
        self._tools.storage.close()
        self._places.release()

    # -- in the download thread

    def _download_all(self, directories: Sequence[str], encoders: ThreadPoolExecutor) -> None:
        for directory in directories:
            self._places.acquire()
            if self._cancelled.is_set():
                return
            space = ExitStack()
            space.callback(self._places.release)
            try:
                staged = self._stage(directory, space)
            except Exception as error:  # one recording's failure is never another's
                space.close()
                self._outcomes.put(_not_staged(directory, self._fingerprints.get(directory), error))
            else:
                encoders.submit(self._finish, staged)

    def _stage(self, directory: str, space: ExitStack) -> _Staged:
        started_at_seconds = time.monotonic()
        path = space.enter_context(self._staging.recording(directory))
        download, metadata, metadata_problem = None, None, None
        if self._wanted & {Product.RAW_AUDIO, Product.COMPRESSED_AUDIO}:
            download = self._with_retries(f"download of {directory}", lambda: self._download_audio(directory, path))
        if Product.RECORDING_METADATA in self._wanted:
            try:
                metadata = self._with_retries(
                    f"download of {directory}'s metadata", lambda: self._download_metadata(directory, path)
                )
            except Exception as error:  # the audio is worth having without its metadata
                metadata_problem = _reason(directory, error)
        return _Staged(directory, path, started_at_seconds, space, download, metadata, metadata_problem)

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
        self._staging.require_space(2 * fingerprint.size_bytes)
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

    # -- in an encoder's thread

    def _finish(self, staged: _Staged) -> None:
        with staged.space:
            outcome = self._make_products(staged)
        self._outcomes.put(outcome)

    def _make_products(self, staged: _Staged) -> Outcome:
        directory, problems = staged.directory, []
        compressed, metadata = None, staged.metadata
        checks: tuple[CheckResult, ...] = ()
        if staged.metadata_problem:
            problems.append(staged.metadata_problem)
        try:
            if metadata is not None and metadata.file is not None and self._tools.copy_metadata:
                metadata = replace(metadata, stored=self._publish_metadata(staged, metadata.file))
        except Exception as error:  # the audio is worth having without its metadata
            metadata = None
            problems.append(_reason(directory, error))
        try:
            if Product.COMPRESSED_AUDIO in self._wanted and staged.download is not None:
                compressed, checks = self._compress(staged, staged.download)
        except Exception as error:  # one recording's failure is never another's
            problems.append(_reason(directory, error))
            if isinstance(error, VerificationError):
                checks = failed_checks(error)
        return Outcome(
            directory,
            status="failed" if problems else "success",
            reason="; ".join(problems) or None,
            fingerprint=staged.download.fingerprint if staged.download else None,
            download=staged.download,
            compressed=compressed,
            metadata=metadata,
            checks=checks,
        )

    def _publish_metadata(self, staged: _Staged, file: MetadataFile) -> Stored:
        local = staged.path / self._tools.source.metadata_filename
        return self._tools.storage.publish(local, metadata_name(staged.directory), file.sha256)

    def _compress(self, staged: _Staged, download: Download) -> tuple[CompressedAudio, tuple[CheckResult, ...]]:
        tools = self._tools
        name = compressed_name(staged.directory, tools.profile.extension)
        compression = compress(
            staged.path / tools.source.audio_filename,
            staged.path / name,
            tools.profile,
            ffmpeg=tools.ffmpeg,
            children=self._children,
        )
        stored = tools.storage.publish(compression.path, name, compression.sha256)
        compressed = CompressedAudio(
            compression, stored, datetime.now(UTC), time.monotonic() - staged.started_at_seconds
        )
        return compressed, quality_checks(compression, download.fingerprint.size_bytes, tools.profile)


class _TooLarge(Exception):  # noqa: N818 - not an error, but a way out of a download
    pass


def _not_staged(directory: str, fingerprint: Fingerprint | None, error: Exception) -> Outcome:
    if isinstance(error, _TooLarge):
        return Outcome(directory, "skipped", str(error), fingerprint, skip_kind="too_large")
    if isinstance(error, RemoteFileMissingError):
        return Outcome(directory, "skipped", f"no audio file: {error}", skip_kind="no_audio")
    return Outcome(directory, "failed", _reason(directory, error), fingerprint)


def _reason(directory: str, error: Exception) -> str:
    if isinstance(error, AudioCompressorError):
        return str(error)
    log.exception("%s: unexpected error", directory, exc_info=error)
    return f"unexpected {type(error).__name__}: {error}"
