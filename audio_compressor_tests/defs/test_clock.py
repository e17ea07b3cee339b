"""The nightly schedule under Dagster's own scheduler, while clocks change, jump and stand still."""

import logging
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._scheduler.scheduler import ScheduleIterationTimes, launch_scheduled_runs

from audio_compressor_tests.fixtures.studio import CHECKOUT, Studio

BERLIN = ZoneInfo("Europe/Berlin")


class Clock:
    """Runs the scheduler at times of our choice, as the daemon does every few seconds."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        target = WorkspaceFileTarget([str(CHECKOUT / "workspace.yaml")])
        self._instance = instance
        self._workspace = create_test_daemon_workspace_context(target, instance)
        self._known: dict[str, ScheduleIterationTimes] = {}

    def __enter__(self) -> "Clock":
        self._context = self._workspace.__enter__()
        self.at(datetime.now(UTC))  # the schedule is seen for the first time: nights count from now on
        return self

    def __exit__(self, *error: object) -> None:
        self._workspace.__exit__(*error)  # type: ignore[arg-type]

    def at(self, now: datetime) -> None:
        for error in launch_scheduled_runs(self._context, logging.getLogger("clock"), now, self._known):
            assert error is None

    def restart(self) -> None:
        """The daemon knows only what is stored."""
        self._known = {}

    def nights(self) -> Counter[date]:
        """How often each night was evaluated, by the local date."""
        ticks = [
            tick
            for state in self._instance.all_instigator_state()
            if state.instigator_name == "nightly_compression_schedule"
            for tick in self._instance.get_ticks(state.instigator_origin_id, state.selector_id)
        ]
        assert all(tick.status.value in {"SKIPPED", "SUCCESS"} for tick in ticks)
        return Counter(datetime.fromtimestamp(tick.timestamp, BERLIN).date() for tick in ticks)


@pytest.fixture
def clock(studio: Studio, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    monkeypatch.setenv("SCHEDULE_TIMEZONE", "Europe/Berlin")
    monkeypatch.setenv("SCHEDULE", "30 2 * * *")  # there twice in autumn, and not at all in spring
    monkeypatch.setenv("VERIFICATION_DAYS", "0")
    with Clock(instance) as clock:
        yield clock


def next_change(*, to_summer: bool) -> date:
    """The next day on which Berlin's clocks go forward or back."""
    day = datetime.now(BERLIN).date() + timedelta(days=7)
    while True:
        before, after = (datetime(d.year, d.month, d.day, 12, tzinfo=BERLIN) for d in (day - timedelta(1), day))
        change = (after.utcoffset() or timedelta()) - (before.utcoffset() or timedelta())
        if change and (change > timedelta()) == to_summer:
            return day
        day += timedelta(1)


def evening_before(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=BERLIN).astimezone(UTC) - timedelta(hours=3)


@pytest.mark.parametrize("to_summer", [True, False])
def test_the_night_on_which_clocks_change_is_one_night(clock: Clock, *, to_summer: bool) -> None:
    change = next_change(to_summer=to_summer)
    start = evening_before(change)
    clock.at(start)
    for step in range(3 * 33):  # until the morning after the next one
        clock.at(start + timedelta(minutes=20 * step))
    nights = clock.nights()
    assert nights[change] == 1
    assert nights[change + timedelta(1)] == 1
    assert set(nights.values()) == {1}


def test_a_clock_that_goes_back_repeats_no_night(clock: Clock) -> None:
    day = datetime.now(BERLIN).date() + timedelta(days=7)
    start = evening_before(day)
    for minutes in (0, 400, 200, 320, 400, 520):  # past 02:30, two hours back, and past it again
        clock.at(start + timedelta(minutes=minutes))
        clock.restart()
    assert clock.nights()[day] == 1


def test_a_clock_that_jumps_forward_makes_up_for_one_night(clock: Clock) -> None:
    """A night takes everything outstanding, so the ones that were slept through need no run of their own."""
    day = datetime.now(BERLIN).date() + timedelta(days=7)
    start = evening_before(day)
    clock.at(start)
    before = sum(clock.nights().values())
    clock.at(start + timedelta(days=4))
    assert sum(clock.nights().values()) == before + 1
