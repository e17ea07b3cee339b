"""Takes a batch of tracks from the bucket back to the bucket: download, encode and publish side by side.

One thread downloads while the encoders work and others publish, which is mostly waiting for the network. What is
staged at a time is bounded. Every track ends in one `TrackOutcome`, handed out the moment it is there; whatever goes
wrong with one track stays with that track. When the bucket itself is away, or refuses everything, the batch ends
instead: hundreds of tracks would fail for nothing that is theirs.
"""

import logging
import queue
import shutil
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from audio_compressor.errors import (
    AudioCompressorError,
    AuthenticationError,
    CancelledError,
    ConfigurationError,
    ConnectionLostError,
    CredentialsError,
    FfmpegMissingError,
    OutOfSpaceError,
    SourceChangedError,
    TimedOutError,
)
from audio_compressor.processes import INTERRUPTIBLE_SECONDS, ChildProcesses
from audio_compressor.staging import RESERVE_BYTES, Staging, open_staging
from audio_compressor.streaming.details import told_checks
from audio_compressor.streaming.making import Fetched, Made, NotConformingError, TrackMaker, most_staged_bytes
from audio_compressor.streaming.model import TrackOutcome, TrackProgress, TrackTools, Work
from audio_compressor.tracks.published import Published
from audio_compressor.tracks.raw import RawObject

log = logging.getLogger(__name__)

# What every other track would meet as well.
_OF_ALL = (AuthenticationError, ConfigurationError, CredentialsError, FfmpegMissingError)


def process_tracks(
    works: Sequence[Work], tools: TrackTools, *, run_id: str, progress: TrackProgress | None = None
) -> Generator[TrackOutcome]:
    """Yield an outcome for every track, in the order in which they finish.

    Closing the iterator, or an exception in the thread that drives it, stops everything at once: child processes are
    killed, requests end, staging is removed.

    Raises:
        AudioCompressorError: of the bucket as a whole; tracks without an outcome are as they were.
    """
    with open_staging(tools.temp_dir, run_id) as staging:
        yield from _Batch(tools, staging, progress or TrackProgress()).run(works)


@dataclass(frozen=True)
class _Course:
    """A track on its way through the stages. Closing ``space`` gives back what it takes up."""

    work: Work
    directory: Path
    space: ExitStack
    began_at_seconds: float
    raw: RawObject | None = None


class _Batch:
    def __init__(self, tools: TrackTools, staging: Staging, progress: TrackProgress) -> None:
        self._bucket = tools.bucket
        self._staging = staging
        self._cancelled = threading.Event()
        self._children = ChildProcesses()
        self._maker = TrackMaker(tools, staging, progress, self._children, self._cancelled)
        self._outcomes: queue.SimpleQueue[TrackOutcome | BaseException | None] = queue.SimpleQueue()
        self._denied: list[tuple[_Course, AuthenticationError]] = []
        self._has_fetched = False
        # A track for each encoder, one that is downloaded meanwhile, and one that is being published.
        self._staged = threading.Semaphore(tools.encoders + 2)
        self._encoding = ThreadPoolExecutor(tools.encoders, "encode")
        self._publishing = ThreadPoolExecutor(tools.encoders, "publish")

    def run(self, works: Sequence[Work]) -> Iterator[TrackOutcome]:
        # Left in reverse order: nobody is handed work by a thread that still runs.
        with self._publishing, self._encoding, ThreadPoolExecutor(1, "download") as one:
            try:
                self._watch(one.submit(self._download_all, works))
                for _ in works:
                    if outcome := self._next_outcome():
                        yield outcome
                yield from self._of_denied()
            finally:
                self._cancelled.set()
                self._children.kill_all()
                self._staged.release()  # whatever the download waits for

    def _next_outcome(self) -> TrackOutcome | None:
        """None for a track whose object may not be read: that is told in the end."""
        while True:
            try:
                outcome = self._outcomes.get(timeout=INTERRUPTIBLE_SECONDS)
            except queue.Empty:
                continue
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

    def _of_denied(self) -> Iterator[TrackOutcome]:
        """One object may belong to another account, or be encrypted with a key that is not for us. Where nothing else
        could be read either, it is the rights that are missing.
        """
        if len(self._denied) > 1 and not self._has_fetched:
            raise self._denied[0][1]
        for course, error in self._denied:
            yield self._outcome_of_failure(course, error)

    def _watch(self, future: "Future[None]") -> None:
        """What ends a thread ends the batch: nobody else would make the outcome that is waited for."""

        def tell(ended: "Future[None]") -> None:
            if not ended.cancelled() and (error := ended.exception()):
                self._outcomes.put(error)

        future.add_done_callback(tell)

    # -- in the download thread

    def _download_all(self, works: Sequence[Work]) -> None:
        for work in works:
            self._staged.acquire()
            if self._cancelled.is_set():
                return
            space = ExitStack()
            space.callback(self._staged.release)
            course = _Course(work, self._staging.path, space, time.monotonic())
            try:
                self._start(course)
            except Exception as error:  # one track's failure is never another's
                self._failed(course, error)

    def _start(self, course: _Course) -> None:
        course = replace(course, directory=course.space.enter_context(self._staging.recording(course.work.key)))
        try:
            self._fetch(replace(course, raw=self._maker.find(course.work.track)))
        except SourceChangedError:  # what is there now was put there a moment ago
            self._fetch(replace(course, raw=self._maker.find(course.work.track)))

    def _fetch(self, course: _Course) -> None:
        if course.raw is None:
            return
        try:
            if before := self._maker.published_before(course.raw):
                self._forget_failure(course.work)
                self._done(course, before, was_there=True)
                return
            fetched = self._maker.fetch(course.raw, course.directory)
        except SourceChangedError:
            raise
        except AuthenticationError as error:
            course.space.close()
            self._denied.append((course, error))
            self._outcomes.put(None)
        except Exception as error:  # now with what is known of it
            self._failed(course, error)
        else:
            self._has_fetched = True
            self._watch(self._encoding.submit(self._encode, course, fetched))

    # -- in an encoder's thread

    def _encode(self, course: _Course, fetched: Fetched) -> None:
        try:
            made = self._maker.make(fetched, course.directory)
            fetched.path.unlink()
        except Exception as error:  # one track's failure is never another's
            self._failed(course, error)
        else:
            self._watch(self._publishing.submit(self._publish, course, made))

    # -- in a publisher's thread

    def _publish(self, course: _Course, made: Made) -> None:
        try:
            published = self._maker.publish(made)
        except Exception as error:  # one track's failure is never another's
            self._failed(course, error)
        else:
            self._done(course, published, was_there=False)

    # -- in any of them

    def _done(self, course: _Course, published: Published, *, was_there: bool) -> None:
        course.space.close()
        self._outcomes.put(
            TrackOutcome(
                course.work.key,
                "success",
                raw=course.raw,
                raw_uri=self._bucket.raw_uri(course.work.track),
                published=published,
                published_uri=self._bucket.published_uri(course.work.track),
                was_there=was_there,
                checks=told_checks(published.details),
                seconds=time.monotonic() - course.began_at_seconds,
            )
        )

    def _failed(self, course: _Course, error: Exception) -> None:
        course.space.close()
        if isinstance(error, _OF_ALL) or self._is_away(error) or self._is_full(error, course.raw):
            self._outcomes.put(error)
        else:
            self._outcomes.put(self._outcome_of_failure(course, error))

    def _outcome_of_failure(self, course: _Course, error: Exception) -> TrackOutcome:
        reason = _reason(course.work.key, error)
        if course.raw is not None and not isinstance(error, CancelledError | SourceChangedError):
            reason += self._noted(course.raw, error)
        return TrackOutcome(
            course.work.key,
            "failed",
            reason,
            raw=course.raw,
            raw_uri=self._bucket.raw_uri(course.work.track),
            checks=(error.verdict,) if isinstance(error, NotConformingError) else (),
            seconds=time.monotonic() - course.began_at_seconds,
        )

    def _is_full(self, error: Exception, raw: RawObject | None) -> bool:
        """Whether there is no room for a track for which an empty disk would have enough.

        What it had staged is removed by now. Where there is room for it then, it took more than anybody could foretell,
        and would do so in each run: that is its own failure and nobody else's.
        """
        if not isinstance(error, OutOfSpaceError) or raw is None:
            return False
        needed_bytes, disk = most_staged_bytes(raw) + RESERVE_BYTES, shutil.disk_usage(self._staging.path)
        return disk.free < needed_bytes < disk.total

    def _forget_failure(self, work: Work) -> None:
        try:
            self._bucket.forget_failure(work.track)
        except AudioCompressorError as error:  # the track can be played, and the next look tries again
            log.warning("%s is published, but its failed copy may be left: %s", work.key, error)

    def _is_away(self, error: Exception) -> bool:
        """Whether it was the connection, and the bucket does not answer now either."""
        if not isinstance(error, ConnectionLostError | TimedOutError):
            return False
        try:
            self._bucket.look()
        except AudioCompressorError:
            return True
        return False

    def _noted(self, raw: RawObject, error: Exception) -> str:
        """Copy it below FAILED_PREFIX with the reason; what to add to the reason where that did not work."""
        try:
            self._bucket.record_failure(raw, error, cancel=self._cancelled)
        except Exception as second:  # the outcome is what matters
            return f"; and it could not be copied to FAILED_PREFIX: {_reason(raw.track.key, second)}"
        return ""


def _reason(key: str, error: Exception) -> str:
    """Nobody has looked through a library's texts for secrets, and this one goes to other people's tables."""
    if isinstance(error, AudioCompressorError):
        return str(error)
    log.exception("%s: unexpected error", key, exc_info=error)
    return f"unexpected {type(error).__name__}; the log of the run says more"
