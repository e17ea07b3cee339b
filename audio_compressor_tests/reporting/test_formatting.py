import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_compressor.reporting.formatting import duration, gigabytes, megabytes, ratio, rounded, to_mb


def test_a_megabyte_is_a_million_bytes() -> None:
    assert to_mb(156_300_000) == 156.3


@pytest.mark.parametrize(
    ("size_mb", "text"),
    [
        (156.34, "156.3"),
        (1204, "1,204.0"),
        (1, "1.0"),
        (0.9996, "1.0"),
        (0.9994, "0.999"),
        (0.0841, "0.084"),
        (0.000_044, "0.001"),
        (0, "0.0"),
        (-2.25, "-2.2"),
        (-0.0001, "-0.001"),
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_sizes(size_mb: float | None, text: str) -> None:
    assert megabytes(size_mb) == text
    assert gigabytes(size_mb) == text


@pytest.mark.parametrize(
    ("value", "text"), [(5.4523, "5.5×"), (19, "19.0×"), (0.04, "0.040×"), (None, "–"), (math.inf, "–")]
)
def test_ratios(value: float | None, text: str) -> None:
    assert ratio(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3723, "1:02:03"),
        (59.6, "0:01:00"),
        (0.02, "0:00:01"),
        (0, "0:00:00"),
        (360_000, "100:00:00"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_rounding_is_stable_and_never_makes_nothing_of_something(value: float) -> None:
    once = rounded(value)
    assert rounded(once) == once
    assert (once == 0) == (value == 0)
    assert once == 0 or math.copysign(1, once) == math.copysign(1, value)
