"""A file is taken once it has stopped changing, whatever the clocks say."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audio_compressor.intake.settling import Look, looks_from_json, looks_to_json, settle
from audio_compressor.recording import Fingerprint
from audio_compressor_tests.intake import strategies

NOW = strategies.NOW_SECONDS
ages_seconds = st.floats(-100_000, 100_000)
settle_times = st.floats(0, 10_000)
json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


def written(seconds_ago: float, size_bytes: int = 1000) -> Fingerprint:
    return Fingerprint(size_bytes, int(NOW - seconds_ago))


def test_an_old_file_has_settled_at_the_first_look() -> None:
    settling = settle(written(60), None, NOW, 60)
    assert settling.is_settled
    assert settling.reason == "unchanged for 60 s"


def test_a_new_file_is_waited_for_and_its_look_remembered() -> None:
    settling = settle(written(20), None, NOW, 60)
    assert not settling.is_settled
    assert settling.look == Look(written(20), NOW)
    assert settling.reason == "is new (1,000 bytes); 40 s until settled"


def test_an_upload_that_goes_on_is_waited_for() -> None:
    growing = settle(written(1, 2000), Look(written(31), NOW - 30), NOW, 60)
    assert not growing.is_settled
    assert growing.look == Look(written(1, 2000), NOW)
    assert growing.reason == "has just changed (2,000 bytes); 59 s until settled"


def test_a_server_whose_clock_is_ahead_is_told_by_two_equal_looks() -> None:
    ahead = written(-3600)
    first = settle(ahead, None, NOW, 60)
    assert not first.is_settled
    assert first.reason.endswith("60 s until settled")
    second = settle(ahead, first.look, NOW + 30, 60)
    assert not second.is_settled
    assert second.reason == "may still be written (1,000 bytes); 30 s until settled"
    assert second.look == first.look
    third = settle(ahead, second.look, NOW + 60, 60)
    assert third.is_settled
    assert third.reason == "watched unchanged for 60 s"


def test_with_no_time_to_wait_one_look_is_enough() -> None:
    assert settle(written(0), None, NOW, 0).is_settled


@given(strategies.fingerprints, st.none() | st.builds(Look, strategies.fingerprints, st.just(NOW - 30)), settle_times)
@settings(deadline=None)
@example(Fingerprint(1000, int(NOW) + 5), Look(Fingerprint(1000, int(NOW) + 5), NOW), 0.0)
def test_only_what_did_not_change_for_long_enough_settles(
    fingerprint: Fingerprint, previous: Look | None, settle_seconds: float
) -> None:
    settling = settle(fingerprint, previous, NOW, settle_seconds)
    is_old = NOW - fingerprint.modified_at_seconds >= settle_seconds
    was_watched = (
        previous is not None
        and previous.fingerprint == fingerprint
        and NOW - previous.first_seen_at_seconds >= settle_seconds
    )
    assert settling.is_settled == (is_old or was_watched or settle_seconds == 0)
    assert settling.look.fingerprint == fingerprint


@given(ages_seconds, settle_times, st.lists(st.floats(0.1, 1000), min_size=1, max_size=20))
@settings(deadline=None)
def test_a_file_that_stays_settles_when_it_was_said_to(
    age_seconds: float, settle_seconds: float, pauses: list[float]
) -> None:
    fingerprint, look, now, settled = written(age_seconds), None, NOW, False
    for pause_seconds in [0.0, *pauses]:
        now += pause_seconds
        settling = settle(fingerprint, look, now, settle_seconds)
        assert settling.is_settled or not settled, "once settled, a file that stays is settled for good"
        settled, look = settling.is_settled, settling.look
        assert look.first_seen_at_seconds == NOW
    if now - NOW >= settle_seconds and pauses:
        assert settled


@given(strategies.looks)
@settings(deadline=None)
def test_looks_survive_the_cursor(looks: dict[str, Look]) -> None:
    assert looks_from_json(json.loads(json.dumps(looks_to_json(looks)))) == looks


@given(json_values)
@settings(deadline=None)
@example({"a": ["1-2", 10**400]})
@example({"a": [1, 2]})
def test_any_other_cursor_is_forgotten(value: object) -> None:
    found = looks_from_json(json.loads(json.dumps(value)))
    assert all(isinstance(look, Look) for look in found.values())


@pytest.mark.parametrize("spoilt", [None, "", [], ["1-2"], ["1-2", "soon"], ["no", 1.0], [None, 1.0], 5])
def test_one_spoilt_look_does_not_cost_the_others(spoilt: object) -> None:
    assert looks_from_json({"bad": spoilt, "good": ["1-2", 3.0]}) == {"good": Look(Fingerprint(1, 2), 3.0)}
