"""Takes a batch of recordings from the source to storage: download, compress and publish side by side.

One thread downloads (the network is one), as many as there are encoders compress, and as many publish: they wait for
disks and networks while the encoders work. What is staged at a time is bounded. Every recording ends in one `Outcome`,
handed out the moment it is there; whatever goes wrong with one recording stays with that recording.
"""

import queue
import threading
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from audio_compressor.audio.checks import CheckResult, failed_checks, quality_checks
from audio_compressor.audio.compress import Compression, compress
from audio_compressor.batch.download import Downloader, Staged, reason
from audio_compressor.batch.model import CompressedAudio, Outcome, Product, Progress, RecordingMetadata, Tools
from audio_compressor.errors import VerificationError
from audio_compressor.processes import INTERRUPTIBLE_SECONDS, ChildProcesses
from audio_compressor.recording import Fingerprint, compressed_name, metadata_name
from audio_compressor.staging import Staging, open_staging


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
    cancel = cancel or threading.Event()
    with open_staging(tools.temp_dir, run_id) as staging:
        downloader = Downloader(tools, wanted, staging, observed or {}, progress or Progress(), cancel)
        yield from _Batch(tools, wanted, staging, downloader, cancel).run(directories)


@dataclass(frozen=True)
class _Encoded:
    """A recording on its way from the encoder to storage, with what went wrong until here."""

    staged: Staged
    compression: Compression | None
    checks: tuple[CheckResult, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _Space:
    """What a recording takes up: ``audio`` until it is encoded, the rest until it is published. Closing gives back.

    ``outputs`` is the part of the rest that is given back last, when nothing of the recording is on the disk any more.
    """

    audio: ExitStack
    rest: ExitStack
    outputs: ExitStack

    def close(self) -> None:
        self.rest.close()
        self.audio.close()


class _Batch:
    def __init__(
        self,
        tools: Tools,
        wanted: Collection[Product],
        staging: Staging,
        downloader: Downloader,
        cancelled: threading.Event,
    ) -> None:
        self._tools = tools
        self._wanted = frozenset(wanted)
        self._staging = staging
        self._downloader = downloader
        self._cancelled = cancelled
        self._children = ChildProcesses()
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        # Of originals, one for each encoder and one that is being downloaded meanwhile; of what comes out, which is
        # smaller, one for each encoder and one for each publisher.
        self._originals = threading.Semaphore(tools.encoders + 1)
        self._outputs = threading.Semaphore(2 * tools.encoders)
        self._encoding = ThreadPoolExecutor(tools.encoders, "encode")
        self._publishing = ThreadPoolExecutor(tools.encoders, "publish")

    def run(self, directories: Sequence[str]) -> Iterator[Outcome]:
        # Left in reverse order: nobody is handed work by a thread that still runs.
        with self._publishing, self._encoding, ThreadPoolExecutor(1, "download") as one:
            try:
                if directories:
                    self._tools.connection.start()
                downloading = one.submit(self._download_all, directories)
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
        self._originals.release()
        self._outputs.release(self._tools.encoders)

    # -- in the download thread

    def _download_all(self, directories: Sequence[str]) -> None:
        for directory in directories:
            self._originals.acquire()
            if self._cancelled.is_set():
                return
            space = _Space(audio=ExitStack(), rest=ExitStack(), outputs=ExitStack())
            space.audio.callback(self._originals.release)
            space.rest.enter_context(space.outputs)
            try:
                path = space.rest.enter_context(self._staging.recording(directory))
                staged = self._downloader.stage(directory, path)
            except Exception as error:  # one recording's failure is never another's
                space.close()
                self._outcomes.put(self._downloader.failed(directory, error))
            else:
                self._encoding.submit(self._encode, staged, space)

    # -- in an encoder's thread

    def _encode(self, staged: Staged, space: _Space) -> None:
        self._outputs.acquire()
        space.outputs.callback(self._outputs.release)
        compression = None
        checks: tuple[CheckResult, ...] = ()
        problems = [staged.metadata_problem] if staged.metadata_problem else []
        try:
            if Product.COMPRESSED_AUDIO in self._wanted and staged.download is not None:
                compression = self._compress(staged)
                checks = quality_checks(compression, staged.download.fingerprint.size_bytes, self._tools.profile)
        except Exception as error:  # one recording's failure is never another's
            problems.append(reason(staged.directory, error))
            if isinstance(error, VerificationError):
                checks = failed_checks(error)
        with suppress(OSError):  # staging is removed as a whole in any case
            (staged.path / self._tools.source.audio_filename).unlink()
        space.audio.close()
        self._publishing.submit(self._publish, _Encoded(staged, compression, checks, tuple(problems)), space)

    def _compress(self, staged: Staged) -> Compression:
        name = compressed_name(staged.directory, self._tools.profile.extension)
        return compress(
            staged.path / self._tools.source.audio_filename,
            staged.path / name,
            self._tools.profile,
            ffmpeg=self._tools.ffmpeg,
            children=self._children,
        )

    # -- in a publisher's thread

    def _publish(self, encoded: _Encoded, space: _Space) -> None:
        with space.rest:
            outcome = self._publish_products(encoded)
        self._outcomes.put(outcome)

    def _publish_products(self, encoded: _Encoded) -> Outcome:
        staged, problems, checks = encoded.staged, list(encoded.problems), encoded.checks
        compressed, metadata = None, staged.metadata
        try:
            metadata = self._publish_metadata(staged)
        except Exception as error:  # the audio is worth having without its metadata
            metadata = None
            problems.append(reason(staged.directory, error))
        try:
            if encoded.compression is not None:
                compressed = self._publish_audio(staged, encoded.compression)
        except Exception as error:  # one recording's failure is never another's
            problems.append(reason(staged.directory, error))
            checks = ()
        return Outcome(
            staged.directory,
            status="failed" if problems else "success",
            reason="; ".join(problems) or None,
            fingerprint=staged.download.fingerprint if staged.download else None,
            download=staged.download,
            compressed=compressed,
            metadata=metadata,
            checks=checks,
        )

    def _publish_metadata(self, staged: Staged) -> RecordingMetadata | None:
        metadata, tools = staged.metadata, self._tools
        if metadata is None or metadata.file is None or not tools.copy_metadata:
            return metadata
        local = staged.path / tools.source.metadata_filename
        return replace(
            metadata, stored=tools.storage.publish(local, metadata_name(staged.directory), metadata.file.sha256)
        )

    def _publish_audio(self, staged: Staged, compression: Compression) -> CompressedAudio:
        stored = self._tools.storage.publish(compression.path, compression.path.name, compression.sha256)
        return CompressedAudio(compression, stored, datetime.now(UTC), time.monotonic() - staged.started_at_seconds)
