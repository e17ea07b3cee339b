"""What was recorded of a published file, and whether what lies in storage is still that: there, unchanged, playable.

A file that decays in silence, or that somebody replaced by hand, is found by comparing it with its receipt.
"""

import itertools
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from audio_compressor.audio.compress import DEFAULT_TIME_LIMIT
from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.verify import played_seconds
from audio_compressor.errors import (
    AudioCompressorError,
    AuthenticationError,
    CancelledError,
    ConfigurationError,
    ConnectionLostError,
    CredentialsError,
    EncodingError,
    FfmpegMissingError,
    HostKeyError,
    RemoteFileMissingError,
    TimedOutError,
    VerificationError,
)
from audio_compressor.local_files import local_errors, sha256_of
from audio_compressor.processes import INTERRUPTIBLE_SECONDS, ChildProcesses
from audio_compressor.retries import Retry
from audio_compressor.staging import Staging
from audio_compressor.storage.base import Location, Storage

# What every other file would meet as well.
_OF_ALL = (AuthenticationError, ConfigurationError, CredentialsError, FfmpegMissingError, HostKeyError)

Condition = Literal["intact", "missing", "changed", "damaged", "unknown"]

# Another version of FFmpeg may count the encoder's delay in: at most 1105 samples of MP3 at 8 kHz (see profiles.py).
_TOLERANCE_SECONDS = 0.15
# Sizes are recorded in MB, to three digits.
_SIZE_TOLERANCE_BYTES = 1_000
# So many files in a row that a server does not give are no matter of the files.
_MOST_UNREACHABLE = 3


@dataclass(frozen=True)
class Receipt:
    """What is known of the newest published audio file of a recording, or of its metadata file.

    ``sha256`` and ``duration_seconds`` are None for one that was adopted from an earlier deployment: it can only be
    found and played.
    """

    directory: str
    is_audio: bool
    location: Location
    uri: str
    sha256: str | None
    duration_seconds: float | None
    size_mb: float

    @property
    def name(self) -> str:
        """Of the file, in whatever holds it."""
        return PurePosixPath(unquote(urlsplit(self.uri).path)).name

    @property
    def path(self) -> Path:
        """Of a local file."""
        return Path(os.fsdecode(unquote_to_bytes(urlsplit(self.uri).path)))


@dataclass(frozen=True)
class Finding:
    """``reason`` is a sentence; ``unknown`` is no verdict: the file could not be looked at. ``sha256`` and
    ``duration_seconds`` are what was found of an intact file whose receipt tells neither.
    """

    receipt: Receipt
    condition: Condition
    reason: str
    sha256: str | None = None
    duration_seconds: float | None = None

    @property
    def is_bad(self) -> bool:
        return self.condition in {"missing", "changed", "damaged"}


class Inspector:
    """Compares stored files with their receipts. ``staging`` is where remote files are fetched to, one at a time for
    each of ``workers``. ``current`` gives what is recorded now of the same file, or None while a run works on the
    recording: it may have published another file that is not recorded yet. ``standing`` gives what stands for a file
    that was aged, or None where nothing of it is in storage any more, as it should be: that is not looked for.
    """

    def __init__(
        self,
        storage: Storage,
        staging: Staging,
        ffmpeg: Ffmpeg,
        retry: Retry,
        workers: int,
        current: Callable[[Receipt], Receipt | None] = lambda receipt: receipt,
        standing: Callable[[Receipt], Receipt | None] = lambda receipt: receipt,
    ) -> None:
        self._storage = storage
        self._staging = staging
        self._ffmpeg = ffmpeg
        self._retry = retry
        self._workers = workers
        self._children = ChildProcesses()
        self._current = current
        self._standing = standing
        self._cancelled = threading.Event()
        self._unreachable = 0
        self._numbers = itertools.count(1)

    def inspect(self, receipts: Iterable[Receipt]) -> Generator[Finding]:
        """A finding for each, in the order in which they are made. Closing the iterator stops everything at once.

        Raises:
            AudioCompressorError: what every other file would meet as well, such as a server that cannot be reached.
        """
        with ThreadPoolExecutor(self._workers, "inspect") as pool:
            pending: set[Future[Finding]] = set()
            try:
                for receipt in receipts:
                    if self._standing(receipt) is None:
                        continue
                    pending.add(pool.submit(self._inspect, receipt))
                    if len(pending) >= 2 * self._workers:
                        yield from self._finished(pending)
                while pending:
                    yield from self._finished(pending)
            finally:
                self._cancelled.set()
                self._children.kill_all()
                self._storage.close()  # ends what is being fetched
                pool.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _finished(pending: set[Future[Finding]]) -> Iterator[Finding]:
        done: set[Future[Finding]] = set()
        while not done:  # in steps, so that a signal is noticed
            done, _ = wait(pending, timeout=INTERRUPTIBLE_SECONDS, return_when=FIRST_COMPLETED)
        pending -= done
        # What was found first, and then why the rest is given up: nothing found is lost by that.
        for future in sorted(done, key=lambda future: future.exception() is not None):
            yield future.result()

    def _inspect(self, receipt: Receipt) -> Finding:
        finding = self._look_or_not(receipt)
        while finding.is_bad:
            current = self._current(receipt)
            if current is None:
                return Finding(receipt, "unknown", "a run works on this recording; look again when it has ended")
            if current == receipt:
                break
            receipt = current  # published or moved meanwhile
            finding = self._look_or_not(receipt)
        return finding

    def _look_or_not(self, receipt: Receipt) -> Finding:
        try:
            finding = self._look(receipt)
        except (CancelledError, *_OF_ALL):
            raise
        except (TimedOutError, ConnectionLostError) as error:
            self._unreachable += 1
            if self._unreachable >= _MOST_UNREACHABLE:
                raise
            return Finding(receipt, "unknown", str(error))
        except AudioCompressorError as error:  # of this file
            return Finding(receipt, "unknown", str(error))
        self._unreachable = 0
        return finding

    def _look(self, receipt: Receipt) -> Finding:
        if receipt.location == "local":
            return self._look_at_what_stands(receipt)
        if self._storage.uri(receipt.name) != receipt.uri:
            return Finding(receipt, "unknown", f"it was stored at {receipt.uri}, which is not where results go now")
        with self._staging.recording(f"file {next(self._numbers)}") as directory:
            local = directory / receipt.name
            self._staging.require_space(int(receipt.size_mb * 1e6), self._cancelled)
            try:
                self._retry.call(
                    lambda: self._storage.fetch(receipt.name, local), what=receipt.uri, cancel=self._cancelled
                )
            except RemoteFileMissingError:
                return _missing(receipt)
            return self._inspect_file(receipt, local)

    def _look_at_what_stands(self, receipt: Receipt) -> Finding:
        while True:
            standing = self._standing(receipt)
            if standing is None:
                return Finding(receipt, "intact", "was aged at this moment, as its tier says")
            finding = self._inspect_file(standing, standing.path)
            if not finding.is_bad or self._standing(receipt) == standing:  # or else it was aged meanwhile
                return replace(finding, receipt=receipt)

    def _inspect_file(self, receipt: Receipt, path: Path) -> Finding:
        with local_errors(path):
            if not path.parent.is_dir():
                return Finding(receipt, "unknown", f"there is no {path.parent}; is a disk not mounted?")
            if not path.is_file():
                return _missing(receipt)
            size_bytes, sha256 = path.stat().st_size, sha256_of(path)
        if receipt.sha256 is not None and sha256 != receipt.sha256:
            return Finding(
                receipt,
                "changed",
                f"{receipt.uri} has {size_bytes / 1e6:.3f} MB with the SHA-256 {sha256}; "
                f"{receipt.size_mb:.3f} MB with {receipt.sha256} were published",
            )
        if receipt.sha256 is None and abs(size_bytes - receipt.size_mb * 1e6) > _SIZE_TOLERANCE_BYTES:
            return Finding(
                receipt, "changed", f"{receipt.uri} has {size_bytes / 1e6:.3f} MB; {receipt.size_mb:.3f} were adopted"
            )
        if not receipt.is_audio:
            return Finding(receipt, "intact", "unchanged")
        try:
            seconds = played_seconds(
                path,
                ffmpeg=self._ffmpeg,
                children=self._children,
                timeout_seconds=DEFAULT_TIME_LIMIT.seconds(size_bytes),
            )
        except EncodingError as error:
            return Finding(receipt, "unknown", str(error))
        except VerificationError as error:
            return Finding(receipt, "damaged", str(error))
        if receipt.duration_seconds is not None and abs(seconds - receipt.duration_seconds) > _TOLERANCE_SECONDS:
            return Finding(
                receipt, "damaged", f"{receipt.uri} plays for {seconds:.3f} s instead of {receipt.duration_seconds:.3f}"
            )
        if receipt.sha256 is None:
            reason = f"plays for {seconds:.1f} s; adopted without a SHA-256 to compare with"
            return Finding(receipt, "intact", reason, sha256, round(seconds, 3))
        return Finding(receipt, "intact", f"plays for {seconds:.1f} s")


def _missing(receipt: Receipt) -> Finding:
    return Finding(receipt, "missing", f"there is no {receipt.uri} any more")


def next_in_rotation(keys: Sequence[str], after: str | None, size: int) -> list[str]:
    """The next ``size`` recordings behind ``after``, from the start again at the end. ``after`` that is none of
    ``keys`` (any more) starts at the beginning.
    """
    start = keys.index(after) + 1 if after in set(keys) else 0
    return [*keys[start:], *keys[:start]][:size]
