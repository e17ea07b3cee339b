"""Requests side by side: all results, or the first error and nothing afterwards."""

import threading
from collections.abc import Callable

import pytest

from audio_compressor.errors import CancelledError, StorageError
from audio_compressor.retries import Retry
from audio_compressor.storage.side_by_side import side_by_side

NEVER = threading.Event()


def test_results_are_in_the_order_of_the_tasks() -> None:
    """Though the first ends last."""
    later = threading.Event()

    def first(_: threading.Event) -> int:
        assert later.wait(10)
        return 1

    def second(_: threading.Event) -> int:
        later.set()
        return 2

    assert side_by_side([first, second], 2, NEVER, "x") == [1, 2]


def test_nothing_to_do() -> None:
    assert side_by_side([], 3, NEVER, "x") == []


def test_the_first_error_ends_all_others_before_it_is_raised() -> None:
    started, ended = threading.Event(), threading.Event()
    begun: list[int] = []

    def long(stop: threading.Event) -> None:
        started.set()
        assert stop.wait(10)
        ended.set()
        raise CancelledError("stopped")

    def failing(_: threading.Event) -> None:
        assert started.wait(10)
        raise StorageError("the disk")

    def later(number: int) -> Callable[[threading.Event], None]:
        return lambda _: begun.append(number)

    with pytest.raises(StorageError, match="the disk"):
        side_by_side([long, failing, *(later(number) for number in range(50))], 2, NEVER, "x")
    assert ended.is_set()
    assert begun == []


def test_a_run_that_is_stopped_wakes_who_waits() -> None:
    """A task in the delay before its next attempt ends at once, not in a minute."""
    cancel, waiting = threading.Event(), threading.Event()

    def attempt() -> None:
        waiting.set()
        raise StorageError("busy")

    def task(stop: threading.Event) -> None:
        Retry(3, 60).call(attempt, what="x", cancel=stop)

    def stop_it() -> None:
        assert waiting.wait(10)
        cancel.set()

    stopper = threading.Thread(target=stop_it)
    stopper.start()
    with pytest.raises(CancelledError):
        side_by_side([task], 1, cancel, "x")
    stopper.join()


def test_a_task_sees_at_once_that_the_run_is_stopped() -> None:
    cancel = threading.Event()

    def task(stop: threading.Event) -> bool:
        cancel.set()
        return stop.is_set()

    seen: list[bool] = []
    with pytest.raises(CancelledError):
        side_by_side([lambda stop: seen.append(task(stop)), lambda stop: stop.wait(10)], 1, cancel, "x")
    assert seen == [True]
