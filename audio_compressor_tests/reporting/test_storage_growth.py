"""The forecast on made-up histories: what they grow by is known, so the date is."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from audio_compressor.reporting.storage_growth import Forecast, forecast

NOW = datetime(2026, 3, 1, 5, 0, tzinfo=UTC)
GB = 1_000_000_000


def history(days: int, free_gb: Callable[[int], float]) -> list[tuple[datetime, int]]:
    """One for each night; ``free_gb`` of the day, of which the last one is ``days``."""
    return [(NOW - timedelta(days=days - day), round(free_gb(day) * GB)) for day in range(days + 1)]


def days_until(at: datetime | None) -> float:
    assert at is not None
    return (at - NOW) / timedelta(days=1)


def test_steady_growth_gives_the_day() -> None:
    found = forecast(NOW, history(60, lambda day: 200 - 2 * day))
    assert (found.verdict, found.bytes_per_day) == ("filling", 2 * GB)
    assert [days_until(at) for at in (found.earliest, found.full_at, found.latest)] == [40, 40, 40]
    assert found.sentence == "full around 2026-04-10 (2026-04-10 to 2026-04-10), growing by 2,000.0 MB a day"


@pytest.mark.parametrize("days", [0, 1, 6])
def test_too_little_history(days: int) -> None:
    found = forecast(NOW, history(days, lambda day: 200 - 2 * day))
    assert found == Forecast("too little history", days)
    assert found.sentence == f"too little history for a forecast: {days} of 7 days"
    assert forecast(NOW, []).verdict == "too little history"


def test_a_week_is_enough() -> None:
    assert days_until(forecast(NOW, history(7, lambda day: 100 - day)).full_at) == pytest.approx(93)


def test_many_reports_on_one_day_are_one() -> None:
    often = [(NOW - timedelta(minutes=each), 100 * GB) for each in range(1000)]
    assert forecast(NOW, often).verdict == "too little history"
    earlier_that_day = (NOW - timedelta(hours=1), 7 * GB)
    found = forecast(NOW, [*history(8, lambda day: 108 - day), earlier_that_day])
    assert days_until(found.full_at) == pytest.approx(100)


@pytest.mark.parametrize("day_of_cleanup", [20, 45, 60, 85])
def test_a_clean_up_that_halves_it_changes_the_beginning_and_not_the_slope(day_of_cleanup: int) -> None:
    """1 GB a day on a disk of 1 TB that had 400 GB; then a clean-up removes half of what there is."""
    used_gb = 400 + day_of_cleanup

    def free_gb(day: int) -> float:
        return 1000 - (400 + day) + (used_gb / 2 if day >= day_of_cleanup else 0)

    found = forecast(NOW, history(90, free_gb))
    assert found.bytes_per_day == pytest.approx(GB)
    assert days_until(found.full_at) == pytest.approx(510 + used_gb / 2)


def test_a_disk_that_was_made_larger() -> None:
    found = forecast(NOW, history(90, lambda day: 100 - day + (500 if day > 50 else 0)))
    assert days_until(found.full_at) == pytest.approx(510)


def test_what_only_grows_on_mondays() -> None:
    """The median of what one night adds would be nothing, and pairs close together would make the range wide."""
    found = forecast(NOW, history(84, lambda day: 500 - 7 * (day // 7)))
    assert found.bytes_per_day == pytest.approx(GB)
    assert (days_until(found.earliest), days_until(found.latest)) == pytest.approx((357, 535), abs=1)


def test_noise_gives_a_range_that_holds_the_truth() -> None:
    noise = random.Random(7)  # noqa: S311
    found = forecast(NOW, history(90, lambda day: 400 - 2 * day + noise.uniform(-6, 6)))
    assert found.earliest is not None
    assert found.latest is not None
    assert days_until(found.earliest) < 110 < days_until(found.latest)
    assert days_until(found.full_at) == pytest.approx(110, rel=0.1)


def test_quiet_weeks_in_which_nothing_grows_have_no_latest_day() -> None:
    found = forecast(NOW, history(80, lambda day: 500 - 4 * max(0, day - 30)))
    assert found.full_at is not None
    assert found.latest is None
    assert "to much later)" in found.sentence


def test_shrinking_and_steady_never_fill_up() -> None:
    shrinking = forecast(NOW, history(30, lambda day: 100 + day))
    assert (shrinking.verdict, shrinking.full_at) == ("shrinking", None)
    assert shrinking.sentence == "shrinking by 1,000.0 MB a day; it does not fill up"
    steady = forecast(NOW, history(30, lambda _: 100))
    assert (steady.verdict, steady.full_at) == ("steady", None)


def test_what_lies_further_away_than_ten_years_is_no_forecast() -> None:
    found = forecast(NOW, history(30, lambda day: 1e6 - 1e-6 * day))
    assert (found.verdict, found.full_at, found.earliest, found.latest) == ("filling", None, None, None)
    assert found.sentence == "growing by 0.0 MB a day; not full within ten years"


def test_a_full_disk_is_full_now() -> None:
    assert days_until(forecast(NOW, history(30, lambda day: 30 - day)).full_at) == 0


def test_what_is_old_or_in_the_future_does_not_count() -> None:
    long_ago = [(at - timedelta(days=120), free) for at, free in history(30, lambda day: 100 - 3 * day)]
    ahead = [(NOW + timedelta(days=day), 5 * GB) for day in range(1, 30)]
    assert forecast(NOW, [*long_ago, *ahead]).verdict == "too little history"


def test_nights_that_are_missing_and_time_zones() -> None:
    sparse = [each for index, each in enumerate(history(84, lambda day: 200 - day)) if index % 28 == 0]
    berlin = timezone(timedelta(hours=1))
    assert forecast(NOW, [(at.astimezone(berlin), free) for at, free in reversed(sparse)]).bytes_per_day == GB
