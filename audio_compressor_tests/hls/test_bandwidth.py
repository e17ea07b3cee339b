"""Bit rates as RFC 8216, 4.1 defines them."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_compressor.hls.bandwidth import Measured, average_bits_per_second, peak_bits_per_second


def segments(*of: tuple[int, float]) -> list[Measured]:
    return [Measured(size_bytes, round(seconds * 1_000_000)) for size_bytes, seconds in of]


@pytest.mark.parametrize(
    ("measured", "peak", "average"),
    [
        (segments((10_000, 10)), 8_000, 8_000),
        (segments((10_000, 10), (20_000, 10)), 16_000, 12_000),
        (segments((10_000, 10), (10_000, 4.9)), 10_739, 10_739),  # too short alone, and 14.9 s together
        (segments((10_000, 10), (10_000, 5)), 16_000, 10_667),  # half a target duration counts by itself
        (segments((10_000, 10), (10_000, 6), (1_000, 1)), 13_334, 9_883),
        (segments((1_000, 2)), 4_000, 4_000),  # nothing is long enough, so all counts
        (segments((10_001, 10)), 8_001, 8_001),  # rounded up: 8000.8
    ],
)
def test_by_hand(measured: list[Measured], peak: int, average: int) -> None:
    assert peak_bits_per_second(measured, 10) == peak
    assert average_bits_per_second(measured) == average


@settings(deadline=None)  # a busy machine, not the code, decides how long an example takes
@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 15 * 10**6)), min_size=1, max_size=12),
    st.integers(1, 12),
)
def test_by_definition(of: list[tuple[int, int]], target_seconds: int) -> None:
    measured = [Measured(*each) for each in of]
    rates = []
    for first in range(len(of)):
        for last in range(first, len(of)):
            size_bytes = sum(each for each, _ in of[first : last + 1])
            seconds = Fraction(sum(each for _, each in of[first : last + 1]), 1_000_000)
            if Fraction(target_seconds, 2) <= seconds <= Fraction(3 * target_seconds, 2):
                rates.append(ceil(8 * size_bytes / seconds))
    average = ceil(8 * sum(each for each, _ in of) / Fraction(sum(each for _, each in of), 1_000_000))
    assert average_bits_per_second(measured) == average
    assert peak_bits_per_second(measured, target_seconds) == max(rates, default=average)
