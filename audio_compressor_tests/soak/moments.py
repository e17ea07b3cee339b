"""When in a night a fault strikes, by how long nights take on this machine."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Moment:
    """When a fault is to strike: so long after the start of the night, or after its first run began to work."""

    seconds: float = 0.0
    from_work_on: bool = False

    def has_come(self, seconds: float, working_at_seconds: float) -> bool:
        if self.from_work_on:
            return bool(working_at_seconds) and seconds >= working_at_seconds + self.seconds
        return seconds >= self.seconds


@dataclass(frozen=True)
class Length:
    """Of a quiet night: when its first run began to work, and how long it went on from then, for each recording."""

    working_at_seconds: float = 0.0
    recording_seconds: float = 0.0

    def shorter(self) -> "Length":
        """After a night that was over before its moment came: the machine was busier when the length was taken."""
        return Length(0.8 * self.working_at_seconds, 0.8 * self.recording_seconds)

    def moment(self, random: Random, outstanding: int) -> Moment:
        """Anywhere in a night with so many recordings, and more often in its working hours."""
        if random.random() < 0.25:
            return Moment(random.uniform(0.0, self.working_at_seconds))
        return Moment(random.uniform(0.0, outstanding * self.recording_seconds), from_work_on=True)
