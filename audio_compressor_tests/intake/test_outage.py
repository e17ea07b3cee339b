"""An outage is waited out with growing pauses that a wrong clock cannot stretch."""

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from audio_compressor.intake.outage import LONGEST_PAUSE_SECONDS, Outage
from audio_compressor_tests.intake.test_settling import json_values

NOW = 1_760_000_000.0
INTERVAL_SECONDS = 30.0
outages = st.builds(Outage, st.floats(0, 4e9), st.integers(1, 10_000), st.floats(0, 4e9), st.text(max_size=20))


def test_pauses_double_up_to_a_quarter_of_an_hour() -> None:
    outage: Outage | None = None
    now_seconds, pauses = NOW, []
    for _ in range(8):
        outage = Outage.after(outage, "refused", now_seconds, INTERVAL_SECONDS)
        pauses.append(outage.next_look_at_seconds - now_seconds)
        now_seconds = outage.next_look_at_seconds
    assert pauses == [30, 60, 120, 240, 480, 900, 900, 900]
    assert outage is not None
    assert (outage.since_seconds, outage.attempts) == (NOW, 8)


def test_the_latest_reason_and_the_beginning_are_told() -> None:
    first = Outage.after(None, "the connection was refused.", NOW, INTERVAL_SECONDS)
    second = Outage.after(first, "no answer in time.", NOW + 30, INTERVAL_SECONDS)
    assert second.explain(NOW + 40, "The source cannot be listed") == (
        "The source cannot be listed since 2025-10-09T08:53:20Z (2 attempts, the next in 50 s): no answer in time."
    )
    assert "the next in 0 s" in second.explain(NOW + 1000, "The source cannot be listed")


def test_the_pause_ends_on_time() -> None:
    outage = Outage.after(None, "refused", NOW, INTERVAL_SECONDS)
    assert outage.is_pause(NOW)
    assert outage.is_pause(NOW + 29.9)
    assert not outage.is_pause(NOW + 30)


def test_a_clock_that_was_set_back_does_not_pause_for_days() -> None:
    outage = Outage.after(None, "refused", NOW, INTERVAL_SECONDS)
    assert not outage.is_pause(NOW - 86_400)


@given(st.none() | outages, st.floats(0, 4e9), st.floats(0, 86_400))
@settings(deadline=None)
def test_no_pause_is_longer_than_the_longest(previous: Outage | None, now_seconds: float, interval: float) -> None:
    outage = Outage.after(previous, "refused", now_seconds, interval)
    assert now_seconds <= outage.next_look_at_seconds <= now_seconds + LONGEST_PAUSE_SECONDS
    assert outage.attempts == (previous.attempts + 1 if previous else 1)


@given(outages)
@settings(deadline=None)
def test_an_outage_survives_the_cursor(outage: Outage) -> None:
    assert Outage.from_json(json.loads(json.dumps(outage.to_json()))) == outage


@given(json_values)
@settings(deadline=None)
@example([0, float("inf"), 0, ""])
@example([10**400, 1, 0, ""])
@example([0, None, 0, ""])
def test_any_other_cursor_is_no_outage(value: object) -> None:
    outage = Outage.from_json(json.loads(json.dumps(value)))
    assert outage is None or (isinstance(value, list) and len(value) == 4)
