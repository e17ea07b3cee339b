"""The plan for a track's loudness: which mode, which gain, and what is said."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_compressor.audio.loudness import Loudness
from audio_compressor.audio.normalization import (
    MOST_GAIN_DB,
    LoudnessPlan,
    LoudnessTarget,
    PeakPolicy,
    plan_loudness,
    within_reach,
)

TARGET = LoudnessTarget()
POLICIES: tuple[PeakPolicy, ...] = ("limit", "lower", "dynamic")


def track(lufs: float | None = -20.0, peak_dbtp: float = -10.0, range_lu: float | None = 6.0) -> Loudness:
    return Loudness(lufs, peak_dbtp, range_lu, 200.0)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("lufs", [-20.0, -14.0, -6.0])
def test_one_exact_gain_where_the_peak_allows_it(policy: PeakPolicy, lufs: float) -> None:
    plan = plan_loudness(track(lufs), TARGET, policy)
    assert (plan.mode, plan.gain_db, plan.goal_lufs, plan.tolerance_lu) == ("gain", -14.0 - lufs, -14.0, 0.1)
    assert plan.warnings == ()


@pytest.mark.parametrize(
    ("gain_db", "reason"), [(6.0, "6.0 dB louder"), (-6.0, "6.0 dB quieter"), (0.04, "as loud as it is")]
)
def test_the_reason_is_in_words(gain_db: float, reason: str) -> None:
    assert plan_loudness(track(-14.0 - gain_db), TARGET, "limit").reason == reason


def test_a_peak_that_just_reaches_the_limit_needs_nothing() -> None:
    assert plan_loudness(track(-20.0, -7.5), TARGET, "limit").mode == "gain"
    assert plan_loudness(track(-20.0, -7.49), TARGET, "limit").mode == "limit"


def test_limit_goes_to_the_target() -> None:
    plan = plan_loudness(track(-20.0, -1.0), TARGET, "limit")
    assert (plan.mode, plan.goal_lufs, plan.tolerance_lu) == ("limit", -14.0, 0.3)
    assert plan.reason == "6.0 dB louder, and peaks limited, which would be 6.5 dB over the limit"


def test_lower_goes_as_far_as_the_peak_allows_and_says_so() -> None:
    plan = plan_loudness(track(-20.0, -1.0), TARGET, "lower")
    assert (plan.mode, plan.gain_db, plan.goal_lufs, plan.tolerance_lu) == ("lower", -0.5, -20.5, 0.1)
    assert plan.reason == "0.5 dB quieter, which is what the true peak allows"
    assert plan.warnings == ("it stays 6.5 LU below the target, for its peaks stand so high above its loudness",)


def test_dynamic_is_for_peaks_and_for_ranges_that_do_not_fit() -> None:
    over = plan_loudness(track(-20.0, -1.0), TARGET, "dynamic")
    wide = plan_loudness(track(range_lu=11.5), TARGET, "dynamic")
    assert (over.mode, wide.mode) == ("dynamic", "dynamic")
    assert "6.5 dB over the limit" in over.reason
    assert "range is too wide" in wide.reason
    assert wide.warnings == ()


@pytest.mark.parametrize("policy", ["limit", "lower"])
def test_a_wide_range_is_left_as_it_is_and_said(policy: PeakPolicy) -> None:
    plan = plan_loudness(track(range_lu=11.5), TARGET, policy)
    assert plan.mode == "gain"
    assert "11.5 LU is wider than 11.0" in plan.warnings[0]
    assert plan_loudness(track(range_lu=11.0), TARGET, policy).warnings == ()
    assert plan_loudness(track(range_lu=None), TARGET, policy).warnings == ()


def test_an_absurd_gain_is_capped_and_said() -> None:
    plan = plan_loudness(track(-65.0, -60.0), TARGET, "limit")
    assert (plan.mode, plan.gain_db, plan.goal_lufs) == ("gain", MOST_GAIN_DB, -35.0)
    assert plan.warnings[0].startswith("-65.0 LUFS is so quiet that 51.0 dB would be needed; it gets 30")


@pytest.mark.parametrize("policy", POLICIES)
def test_silence_is_left_as_it_is(policy: PeakPolicy) -> None:
    plan = plan_loudness(Loudness(None, -80.0, None, 60.0), TARGET, policy)
    assert (plan.mode, plan.gain_db, plan.goal_lufs) == ("unchanged", 0.0, None)
    assert plan.reason == "silence: nothing in it is louder than -70 LUFS; left as it is"


def test_clicks_in_silence_keep_to_the_limit() -> None:
    plan = plan_loudness(Loudness(None, 0.5, None, 60.0), TARGET, "limit")
    assert (plan.mode, plan.gain_db, plan.goal_lufs) == ("lower", -2.0, None)
    assert "its peak is over the limit" in plan.reason


def test_too_short_for_a_loudness() -> None:
    plan = plan_loudness(Loudness(None, -6.0, None, 0.3), TARGET, "limit")
    assert (plan.mode, plan.gain_db) == ("unchanged", 0.0)
    assert plan.reason == "300 ms are too short to have a loudness; left as it is"


def test_a_goal_out_of_the_limiters_reach_comes_down() -> None:
    plan = plan_loudness(track(-28.0, 0.0), TARGET, "limit")
    assert within_reach(plan, -13.9) is plan
    lowered = within_reach(plan, -20.0)
    assert lowered.goal_lufs == -20.0
    assert lowered.reason == "8.0 dB louder, with peaks limited by 12 dB: more would be heard as distortion"
    assert lowered.warnings == ("it stays 6.0 LU below the target, for its peaks stand so high above its loudness",)


@pytest.mark.parametrize(
    ("lufs", "is_met"), [(-14.1, True), (-13.9, True), (-14.101, False), (-13.899, False), (None, False)]
)
def test_a_result_within_the_tolerance_meets_the_plan(lufs: float | None, is_met: bool) -> None:
    assert plan_loudness(track(), TARGET, "limit").is_met_by(track(lufs)) is is_met


def test_where_there_is_no_loudness_any_result_meets_the_plan() -> None:
    plan = plan_loudness(Loudness(None, -80.0, None, 60.0), TARGET, "limit")
    assert plan.is_met_by(track(None))
    assert plan.is_met_by(track(-69.0))


@given(
    lufs=st.floats(-69.9, 5.0),
    peak_dbtp=st.floats(-60.0, 20.0),
    range_lu=st.one_of(st.none(), st.floats(0.0, 40.0)),
    policy=st.sampled_from(POLICIES),
    target_lufs=st.floats(-40.0, -5.0),
    limit_dbtp=st.floats(-9.0, 0.0),
)
def test_no_plan_without_a_limiter_goes_over_the_limit(
    lufs: float, peak_dbtp: float, range_lu: float | None, policy: PeakPolicy, target_lufs: float, limit_dbtp: float
) -> None:
    target = LoudnessTarget(target_lufs, limit_dbtp, 11.0)
    plan = plan_loudness(track(lufs, peak_dbtp, range_lu), target, policy)
    assert isinstance(plan, LoudnessPlan)
    assert plan.gain_db <= MOST_GAIN_DB
    if plan.mode in {"gain", "lower"}:
        assert peak_dbtp + plan.gain_db <= limit_dbtp + 1e-9
        assert plan.goal_lufs is not None
        assert math.isclose(plan.goal_lufs, lufs + plan.gain_db, abs_tol=1e-9)
        assert plan.goal_lufs <= target_lufs + 1e-9
    else:
        assert plan.mode == policy
