"""When is a disk full? From how much of it was free, night by night.

The rate is the median of the slopes between nights one to two weeks apart: Theil and Sen's estimator, without the pairs
that lie close together or far apart. A clean-up, or a disk made larger, falls into few of these pairs, so it changes
where the forecast begins and not its slope; and a week holds the quiet days as well as the busy ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import combinations
from statistics import median, quantiles
from typing import Literal

HISTORY = timedelta(days=90)
LEAST_DAYS = 7
_MOST_PAIR_DAYS = 14
_DAY = timedelta(days=1)
# What is further away than that is no forecast.
_HORIZON_DAYS = 3652.5


@dataclass(frozen=True)
class Night:
    """What a report has found. ``free_bytes`` is by what lies on the disk; the sums are None where not all was seen."""

    at: datetime
    total_bytes: int | None = None
    original_bytes: int | None = None
    free_bytes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Forecast:
    """``full_at`` is there where the disk fills up within ten years. It is full between ``earliest`` and ``latest`` if
    it goes on as in the busiest, or the quietest, quarter of the weeks; ``latest`` is None where that is never.
    """

    verdict: Literal["too little history", "shrinking", "steady", "filling"]
    days: int
    bytes_per_day: float | None = None
    full_at: datetime | None = None
    earliest: datetime | None = None
    latest: datetime | None = None

    @property
    def sentence(self) -> str:
        if self.bytes_per_day is None:
            return f"too little history for a forecast: {self.days} of {LEAST_DAYS} days"
        if self.verdict == "shrinking":
            return f"shrinking by {_per_day(-self.bytes_per_day)}; it does not fill up"
        if self.verdict == "steady":
            return "neither growing nor shrinking; it does not fill up"
        if self.full_at is None:
            return f"growing by {_per_day(self.bytes_per_day)}; not full within ten years"
        first = f"{self.earliest:%Y-%m-%d}" if self.earliest else ""
        last = f"{self.latest:%Y-%m-%d}" if self.latest else "much later"
        return f"full around {self.full_at:%Y-%m-%d} ({first} to {last}), growing by {_per_day(self.bytes_per_day)}"


def forecast(now: datetime, free: Iterable[tuple[datetime, int]]) -> Forecast:
    """From free bytes at times, in any order; those of the last 90 days count, and of each day (UTC) the last one."""
    nights = _one_a_day((at, size) for at, size in free if now - HISTORY <= at <= now)
    days = (nights[-1][0].date() - nights[0][0].date()).days if nights else 0
    if days < LEAST_DAYS:
        return Forecast("too little history", days)
    slow, usual, fast = _growth(nights, days)
    if usual <= 0:
        return Forecast("shrinking" if usual < 0 else "steady", days, usual)
    free_bytes = nights[-1][1]
    return Forecast(
        "filling",
        days,
        usual,
        full_at=(full_at := _full_at(now, free_bytes, usual)),
        earliest=_full_at(now, free_bytes, fast) if full_at else None,
        latest=_full_at(now, free_bytes, slow) if full_at else None,
    )


def _growth(nights: Sequence[tuple[datetime, int]], days: int) -> tuple[float, float, float]:
    """Bytes a day: lower quartile, median and upper quartile over the weeks."""
    least_days = min(LEAST_DAYS, days // 2)
    slopes: list[float] = []
    distant: list[float] = []
    for (at, free), (later, free_later) in combinations(nights, 2):
        apart_days = (later.date() - at.date()).days
        if apart_days >= least_days:
            near = apart_days <= _MOST_PAIR_DAYS
            (slopes if near else distant).append((free - free_later) / ((later - at) / _DAY))
    slopes = slopes or distant
    if len(slopes) == 1:
        return slopes[0], slopes[0], slopes[0]
    lower, _, upper = quantiles(slopes, n=4, method="inclusive")
    return lower, median(slopes), upper


def _one_a_day(free: Iterable[tuple[datetime, int]]) -> list[tuple[datetime, int]]:
    by_day = {at.astimezone(UTC).date(): (at.astimezone(UTC), size) for at, size in sorted(free)}
    return [by_day[day] for day in sorted(by_day)]


def _full_at(now: datetime, free_bytes: int, bytes_per_day: float) -> datetime | None:
    if bytes_per_day <= 0 or free_bytes / bytes_per_day > _HORIZON_DAYS:
        return None
    return now + _DAY * (free_bytes / bytes_per_day)


def _per_day(bytes_per_day: float) -> str:
    return f"{bytes_per_day / 1e6:,.1f} MB a day"
