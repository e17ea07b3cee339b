"""Child processes that never outlive us: each runs in a process group of its own, under a time limit, and all of them
can be killed from another thread. What a child is and what its output means belongs to the caller. When we are killed
ourselves, the kernel kills them where it can be told to; elsewhere they are ended with our staging (see staging.py).
"""

import contextlib
import os
import resource
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import cache

from audio_compressor.errors import CancelledError, TimedOutError

# A damaged file can make FFmpeg print without end. The end of stderr is what tells, the start of stdout is what counts;
# beyond these sizes output is read, so that the child does not block, and dropped.
MAX_STDOUT_BYTES = 16 * 1024 * 1024
MAX_STDERR_BYTES = 1024 * 1024
_READ_BYTES = 64 * 1024
# After the child has ended and its group is killed, its pipes can only be held by a process that left the group.
_DRAIN_SECONDS = 1.0
# More than is left in two pipes when a child ends; Linux makes them 64 KiB each, and 1 MiB at most.
_MOST_LEFT_BYTES = 4 * 1024 * 1024
# The main thread waits in steps of this length. A signal that arrives between Python's look for signals and the system
# call that blocks does not end that call: in one of some hundred tests the main thread slept on for minutes.
INTERRUPTIBLE_SECONDS = 0.2


@dataclass(frozen=True)
class Finished:
    """How a child ended; ``returncode`` is negative for a signal.

    ``stdout`` is at most its first 16 MiB, and empty when somebody else took it; ``stderr`` at most its last 1 MiB.
    """

    returncode: int
    stdout: bytes
    stderr: str


@dataclass(frozen=True)
class Limits:
    """What the kernel lets a child have: memory that it may write to, and the size of a file, if that is limited.

    Beyond the first, its requests for memory fail; beyond the second, it is killed by SIGXFSZ.
    """

    memory_bytes: int
    file_bytes: int | None = None


TakeOutput = Callable[[bytes], None]


class _Kept:
    """The start of stdout and the end of stderr."""

    def __init__(self) -> None:
        self.stdout, self.stderr = bytearray(), bytearray()

    def add_stdout(self, data: bytes) -> None:
        self.stdout += data[: MAX_STDOUT_BYTES - len(self.stdout)]

    def add_stderr(self, data: bytes) -> None:
        self.stderr += data
        if len(self.stderr) > 2 * MAX_STDERR_BYTES:
            del self.stderr[:-MAX_STDERR_BYTES]


@dataclass(eq=False)
class _Job:
    """One call of `run`: its process while there is one, and whether it must not have one any more."""

    limits: Limits | None
    process: "subprocess.Popen[bytes] | None" = None
    is_abandoned: bool = False


class ChildProcesses:
    """Runs children and can kill all of them; safe to use from many threads."""

    def __init__(self) -> None:
        # Reentrant, so that `kill_all` may also be called from a signal handler.
        self._lock = threading.RLock()
        self._jobs: set[_Job] = set()
        self._cancelled = False

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_seconds: float,
        take_stdout: TakeOutput | None = None,
        limits: Limits | None = None,
    ) -> Finished:
        """Run ``argv`` without standard input and wait for its end, or kill its whole process group.

        ``take_stdout`` is given what the child prints, piece by piece, instead of keeping it. A child with ``limits``
        leaves no core dump either.

        Raises:
            TimedOutError: it ran for longer than ``timeout_seconds``.
            CancelledError: `kill_all` was called before or meanwhile.
            OSError: it could not be started, or the kernel refused to limit it.
        """
        job = _Job(limits)
        if threading.current_thread() is not threading.main_thread():
            return self._run(job, argv, timeout_seconds, take_stdout)
        # Signal handlers raise in the main thread, and in the midst of starting a process its id would be lost (seen
        # in the tests). So the main thread only waits, where it can be interrupted without harm.
        result: Future[Finished] = Future()
        arguments = (result, job, argv, timeout_seconds, take_stdout)
        worker = threading.Thread(target=self._run_into, args=arguments, name="child")
        try:
            worker.start()
            while not wait([result], timeout=INTERRUPTIBLE_SECONDS).done:
                pass
            return result.result()
        except BaseException:
            self._abandon(job)
            raise

    def kill_all(self) -> None:
        """Kill every child with its process group; every `run`, current or later, raises CancelledError."""
        with self._lock:
            self._cancelled = True
            for job in self._jobs:
                self._abandon(job)

    def _run_into(
        self,
        result: "Future[Finished]",
        job: _Job,
        argv: Sequence[str],
        timeout_seconds: float,
        take_stdout: TakeOutput | None,
    ) -> None:
        try:
            result.set_result(self._run(job, argv, timeout_seconds, take_stdout))
        except BaseException as error:
            result.set_exception(error)

    def _run(self, job: _Job, argv: Sequence[str], timeout_seconds: float, take_stdout: TakeOutput | None) -> Finished:
        deadline = time.monotonic() + timeout_seconds
        kept = _Kept()
        process = self._start(job, argv)
        try:
            ended = _communicate(process, deadline, take_stdout or kept.add_stdout, kept.add_stderr)
        finally:
            returncode = self._end(job, process)
        if self._cancelled:
            raise CancelledError(f"{argv[0]} was stopped because the run is being cancelled")
        if not ended:
            raise TimedOutError(f"{argv[0]} was stopped after its time limit of {timeout_seconds:.0f} s")
        return Finished(returncode, bytes(kept.stdout), kept.stderr[-MAX_STDERR_BYTES:].decode(errors="replace"))

    def _start(self, job: _Job, argv: Sequence[str]) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._cancelled or job.is_abandoned:
                raise CancelledError(f"{argv[0]} was not started because the run is being cancelled")
            process = job.process = subprocess.Popen(
                [*_dying_with_us(), *argv] if shutil.which(argv[0]) else list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            self._jobs.add(job)
        try:
            if job.limits is not None:
                _limit(process.pid, job.limits)
        except BaseException:
            self._end(job, process)
            raise
        return process

    def _end(self, job: _Job, process: "subprocess.Popen[bytes]") -> int:
        """Kill what is left of the group, then reap: in this order, for an unreaped leader keeps its id from reuse."""
        with self._lock:
            _kill_group(process)
            job.process = None
            self._jobs.discard(job)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        return process.wait()

    def _abandon(self, job: _Job) -> None:
        with self._lock:
            job.is_abandoned = True
            if job.process is not None:
                _kill_group(job.process)


@cache
def _dying_with_us() -> tuple[str, ...]:
    """What starts a child that the kernel kills when we are killed (prctl(2), PR_SET_PDEATHSIG): util-linux's setpriv,
    which every Debian has and which becomes the child itself. Nothing where it is not there, or cannot do that.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return ()
    start = (setpriv, "--pdeathsig", "KILL", "--")
    tried = subprocess.run([*start, "true"], capture_output=True, check=False)
    return start if tried.returncode == 0 else ()


def _limit(pid: int, limits: Limits) -> None:
    """From outside, right after the start: code that runs between fork and exec (``preexec_fn``) may deadlock in a
    program with threads. The child cannot raise a hard limit again, nor can we raise one that we were started with.

    RLIMIT_DATA counts what can be written to (getrlimit(2), since Linux 4.7). RLIMIT_AS counts what is only reserved,
    too: 1,600 MB where 320 could be written to.
    """
    for kind, wanted in (
        (resource.RLIMIT_DATA, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, resource.RLIM_INFINITY if limits.file_bytes is None else limits.file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ProcessLookupError):
            allowed = min(wanted, *resource.prlimit(pid, kind), key=_as_unsigned)
            resource.prlimit(pid, kind, (allowed, allowed))


def _as_unsigned(limit: int) -> int:
    """RLIM_INFINITY is -1 in Python and the largest number for the kernel."""
    return limit % (1 << 64)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    # The child is the leader of its group, so the group's id is its own. A group that is gone already is fine.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _communicate(
    process: subprocess.Popen[bytes], deadline: float, take_stdout: TakeOutput, take_stderr: TakeOutput
) -> bool:
    """Read both pipes until the child has ended; False when the deadline came first."""
    exited = False
    left_bytes = _MOST_LEFT_BYTES
    pidfd = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(pidfd, selectors.EVENT_READ)
            for pipe, take in ((process.stdout, take_stdout), (process.stderr, take_stderr)):
                if pipe is not None:
                    selector.register(pipe, selectors.EVENT_READ, take)
            while selector.get_map():
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                for key, _ in ready:
                    if key.fd == pidfd:
                        exited = True
                        selector.unregister(pidfd)
                        _kill_group(process)
                        deadline = time.monotonic() + _DRAIN_SECONDS
                    elif data := os.read(key.fd, _READ_BYTES):
                        left_bytes -= len(data) if exited else 0
                        key.data(data)
                    else:
                        selector.unregister(key.fileobj)
                if time.monotonic() >= deadline and not (exited and ready and left_bytes > 0):
                    return exited
    finally:
        os.close(pidfd)
    return True
