"""Several requests at once, in threads that never go on behind the back of the caller."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from audio_compressor.errors import CancelledError
from audio_compressor.processes import INTERRUPTIBLE_SECONDS

Result = TypeVar("Result")
Task = Callable[[threading.Event], Result]


class _Stop(threading.Event):
    """Is set as soon as ``cancel`` is; who waits for it is woken a moment later, by `side_by_side`."""

    def __init__(self, cancel: threading.Event) -> None:
        super().__init__()
        self._cancel = cancel

    def is_set(self) -> bool:
        return super().is_set() or self._cancel.is_set()


def side_by_side(tasks: Sequence[Task[Result]], workers: int, cancel: threading.Event, what: str) -> list[Result]:
    """The results of all tasks, in their order. After the first error, or when ``cancel`` is set, the event that each
    task was given is set, none is started any more, and those that run are waited for: they must end soon, and nothing
    is written any more after this function has raised.

    Raises:
        CancelledError: ``cancel`` was set.
        Exception: the first one of a task.
    """
    stop = _Stop(cancel)
    errors: list[BaseException] = []

    def run(task: Task[Result]) -> Result:
        if stop.is_set():
            raise CancelledError(f"{what}: the run is being stopped")
        try:
            return task(stop)
        except BaseException as error:
            # Here, and not where it is waited for: until that wakes up, this thread would start one task after another.
            errors.append(error)
            stop.set()
            raise

    with ThreadPoolExecutor(workers, "side-by-side") as pool:
        futures = [pool.submit(run, task) for task in tasks]
        try:
            pending: set[Future[Result]] = set(futures)
            while pending:  # in steps, so that a signal is noticed
                if cancel.is_set():
                    raise CancelledError(f"{what}: the run is being stopped")
                done, pending = wait(pending, INTERRUPTIBLE_SECONDS, FIRST_EXCEPTION)
                for future in done:
                    if error := future.exception():
                        raise errors[0] if errors else error
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [future.result() for future in futures]
