"""How often and after how long something that may pass by itself is tried again."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random

from audio_compressor.errors import CancelledError, TransientError

log = logging.getLogger(__name__)
Result = TypeVar("Result")

# A server that restarts is back within a minute; a longer wait only holds up the other recordings.
LONGEST_DELAY_SECONDS = 60.0


@dataclass(frozen=True)
class Retry:
    """``attempts`` in all; ``delay_seconds`` and up to half of it more before the second one, doubled each time."""

    attempts: int
    delay_seconds: float

    def call(
        self,
        function: Callable[[], Result],
        *,
        what: str,
        cancel: threading.Event | None = None,
    ) -> Result:
        """Call ``function`` until it succeeds, fails for good, or the attempts are used up; then its error is raised.

        Raises:
            CancelledError: ``cancel`` was set before an attempt or during a wait.
        """
        cancel = cancel or threading.Event()

        def before_sleep(state: RetryCallState) -> None:
            reason = state.outcome.exception() if state.outcome else None
            log.warning("%s: attempt %d of %d failed: %s", what, state.attempt_number, self.attempts, reason)

        def before(state: RetryCallState) -> None:
            if cancel.is_set():
                raise CancelledError(f"{what}: stopped before attempt {state.attempt_number}")

        def sleep(seconds: float) -> None:
            cancel.wait(seconds)

        longest = max(self.delay_seconds, LONGEST_DELAY_SECONDS)
        retrying = Retrying(
            stop=stop_after_attempt(self.attempts),
            wait=wait_exponential(multiplier=self.delay_seconds, max=longest) + wait_random(0, self.delay_seconds / 2),
            retry=retry_if_exception_type(TransientError),
            before=before,
            before_sleep=before_sleep,
            sleep=sleep,
            reraise=True,
        )
        return retrying(function)
