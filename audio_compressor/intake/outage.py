"""An outage of the source: it is waited out with growing pauses, and never taken for an empty listing."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

LONGEST_PAUSE_SECONDS = 900


@dataclass(frozen=True)
class Outage:
    """Failed looks in a row. Times are seconds since the epoch."""

    since_seconds: float
    attempts: int
    next_look_at_seconds: float
    reason: str

    @classmethod
    def after(cls, previous: "Outage | None", reason: str, now_seconds: float, interval_seconds: float) -> "Outage":
        """The outage after one more failed look; the pause doubles each time, up to a quarter of an hour."""
        attempts = previous.attempts + 1 if previous else 1
        pause_seconds = min(interval_seconds * 2 ** min(attempts - 1, 16), LONGEST_PAUSE_SECONDS)
        since_seconds = previous.since_seconds if previous else now_seconds
        return cls(since_seconds, attempts, now_seconds + pause_seconds, reason)

    def is_pause(self, now_seconds: float) -> bool:
        # A clock that was set back must not make a pause of days.
        return now_seconds < self.next_look_at_seconds <= now_seconds + LONGEST_PAUSE_SECONDS

    def explain(self, now_seconds: float, what: str) -> str:
        since = datetime.fromtimestamp(self.since_seconds, UTC)
        attempts = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        pause_seconds = max(self.next_look_at_seconds - now_seconds, 0)
        return f"{what} since {since:%Y-%m-%dT%H:%M:%SZ} ({attempts}, the next in {pause_seconds:.0f} s): {self.reason}"

    def to_json(self) -> list[Any]:
        return [self.since_seconds, self.attempts, self.next_look_at_seconds, self.reason]

    @classmethod
    def from_json(cls, value: object) -> "Outage | None":
        """The inverse of ``to_json``; None for anything else."""
        if not isinstance(value, list) or len(value) != 4:
            return None
        try:
            return cls(float(value[0]), int(value[1]), float(value[2]), str(value[3]))
        except (TypeError, ValueError, OverflowError):
            return None
