"""How much of a piece of work is done, put together from its parts; for a bar that a person looks at."""

import threading
from collections.abc import Callable

Report = Callable[[float], None]


def no_progress(_fraction: float) -> None:
    """For when nobody looks."""


class Progress:
    """Tells ``report`` the fraction that is done, 0 to 1, never less than before; from the threads that do the work."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._done: list[float] = []
        self._told = 0.0

    def part(self, share: float) -> Report:
        """A part that is ``share`` of the whole; it is told its own fraction, 0 to 1."""
        with self._lock:
            index = len(self._done)
            self._done.append(0.0)

        def report(fraction: float) -> None:
            with self._lock:
                self._done[index] = max(self._done[index], share * min(1.0, fraction))
                done = min(1.0, sum(self._done))
                if done > self._told:
                    self._told = done
                    self._report(done)

        return report
