"""Where tracks are cut."""

from fractions import Fraction
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_compressor.errors import EncodingError
from audio_compressor.hls.plan import MOST_SEGMENTS, plan_segments

RATES_HZ = (22050, 32000, 44100, 48000)


@pytest.mark.parametrize(
    ("frames", "seconds", "expected", "target_seconds"),
    [
        (28079, 10, (431,) * 65 + (64,), 10),  # 652 s
        (28079, 6, (258,) * 108 + (215,), 6),
        (862, 10, (431, 431), 10),
        (431, 10, (431,), 10),
        (130, 10, (130,), 3),  # shorter than a segment
        (1, 10, (1,), 1),
        (431 + 5, 10, (436,), 10),  # 0.1 s would be left
        (431 + 21, 10, (452,), 10),  # 10.495 s still rounds to 10
        (431 + 22, 10, (431, 22), 10),  # 10.519 s would not
        (862 + 1, 10, (431, 432), 10),
    ],
)
def test_whole_segments_and_what_is_left(
    frames: int, seconds: float, expected: tuple[int, ...], target_seconds: int
) -> None:
    plan = plan_segments(frames, 44100, seconds)
    assert plan.frames == expected
    assert plan.target_duration_seconds == target_seconds
    assert plan.cuts[-1] == frames


@settings(deadline=None)  # a busy machine, not the code, decides how long an example takes
@given(
    frames=st.integers(1, 100_000),
    sample_rate_hz=st.sampled_from(RATES_HZ),
    seconds=st.floats(0.5, 60),
    last=st.integers(1, 1024),
)
def test_every_plan_keeps_the_rules(frames: int, sample_rate_hz: int, seconds: float, last: int) -> None:
    plan = plan_segments(frames, sample_rate_hz, max(seconds, frames / 2_000_000), last_frame_samples=last)
    assert sum(plan.frames) == frames
    assert min(plan.frames) > 0
    assert len(set(plan.frames[:-1])) <= 1
    # RFC 8216, 4.3.3.1: rounded to the nearest integer, no duration is above the target, and one is equal to it.
    seconds_each = [Fraction(duration, 1_000_000) for duration in plan.durations_microseconds]
    assert max(1, int(max(seconds_each) + Fraction(1, 2))) == plan.target_duration_seconds
    # No boundary is further from its place than it is rounded, however many there are.
    exact = Fraction((frames - 1) * 1024 + last, sample_rate_hz)
    assert abs(sum(seconds_each) - exact) <= Fraction(1, 2_000_000)
    for cut, told in zip(plan.cuts[:-1], accumulate(plan.durations_microseconds), strict=False):
        assert abs(Fraction(told, 1_000_000) - Fraction(cut * 1024, sample_rate_hz)) <= Fraction(1, 2_000_000)


def test_half_a_second_is_rounded_up() -> None:
    """64 frames and 614 samples are 1.5 s."""
    plan = plan_segments(65, 44100, 10, last_frame_samples=614)
    assert plan.durations_microseconds == (1_500_000,)
    assert plan.target_duration_seconds == 2


def test_nothing_cannot_be_cut() -> None:
    with pytest.raises(EncodingError, match="not one AAC frame"):
        plan_segments(0, 44100, 10)


def test_more_segments_than_an_argument_can_tell_are_refused() -> None:
    longest = plan_segments(MOST_SEGMENTS * 43, 44100, 1)
    assert len(",".join(map(str, longest.cuts))) < 128 * 1024
    with pytest.raises(EncodingError, match="raise SEGMENT_DURATION"):
        plan_segments(MOST_SEGMENTS * 43 + 43, 44100, 1)
