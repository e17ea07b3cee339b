"""What is retried, how often, after how long, and how it is stopped."""

import logging
import threading
import time
from itertools import pairwise

import pytest

from audio_compressor.errors import (
    AuthenticationError,
    CancelledError,
    ConnectionLostError,
    PermanentError,
    TimedOutError,
    TransientError,
)
from audio_compressor.retries import Retry


class Fails:
    """Fails with each of these errors, then succeeds; keeps the time of each call."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.called_at_seconds: list[float] = []

    def __call__(self) -> str:
        self.called_at_seconds.append(time.monotonic())
        if self._errors:
            raise self._errors.pop(0)
        return "done"


def test_what_may_pass_is_tried_again_and_said(caplog: pytest.LogCaptureFixture) -> None:
    function = Fails(ConnectionLostError("dropped"), TimedOutError("silent"))
    result = Retry(3, 0).call(function, what="download of 10-17-25")
    assert result == "done"
    assert len(function.called_at_seconds) == 3
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, "download of 10-17-25: attempt 1 of 3 failed: dropped"),
        (logging.WARNING, "download of 10-17-25: attempt 2 of 3 failed: silent"),
    ]


def test_the_last_error_is_raised_when_the_attempts_are_used_up() -> None:
    function = Fails(*(ConnectionLostError(str(number)) for number in range(5)))
    with pytest.raises(ConnectionLostError, match="2"):
        Retry(3, 0).call(function, what="x")
    assert len(function.called_at_seconds) == 3


@pytest.mark.parametrize(
    "error", [AuthenticationError("no"), PermanentError("no"), CancelledError("no"), ValueError("no")]
)
def test_what_cannot_pass_is_not_tried_again(error: Exception) -> None:
    function = Fails(error)
    with pytest.raises(type(error), match="no"):
        Retry(3, 0).call(function, what="x")
    assert len(function.called_at_seconds) == 1


def test_delays_double_with_jitter_of_at_most_half() -> None:
    function = Fails(TransientError("a"), TransientError("b"), TransientError("c"))
    Retry(4, 0.1).call(function, what="x")
    times = function.called_at_seconds
    first, second, third = (later - earlier for earlier, later in pairwise(times))
    assert 0.1 <= first < 0.15 + 0.2
    assert second >= 0.2
    assert third >= 0.4


def test_cancelling_ends_the_wait_at_once() -> None:
    cancel = threading.Event()
    function = Fails(TransientError("a"))
    timer = threading.Timer(0.1, cancel.set)
    timer.start()
    started = time.monotonic()
    with pytest.raises(CancelledError, match="upload of x"):
        Retry(3, 30).call(function, what="upload of x", cancel=cancel)
    timer.join()
    assert time.monotonic() - started < 5
    assert len(function.called_at_seconds) == 1
    with pytest.raises(CancelledError):
        Retry(3, 0).call(function, what="x", cancel=cancel)
    assert len(function.called_at_seconds) == 1
