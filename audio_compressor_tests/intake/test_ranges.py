"""Ranges hold exactly the wanted keys, in the fewest ranges that the limit allows."""

import math
from collections.abc import Sequence
from itertools import groupby, pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audio_compressor.intake.ranges import KeyOrder, KeyRange, contiguous_ranges

keys_in_order = st.lists(st.text("abcdef0123", min_size=1, max_size=4), unique=True, max_size=40)
# A key is wanted more often than not, so that there are runs longer than the limit.
keys_and_wanted = keys_in_order.flatmap(
    lambda keys: st.tuples(
        st.just(keys),
        st.lists(st.sampled_from([True, True, False]), min_size=len(keys), max_size=len(keys)).map(
            lambda flags: {key for key, flag in zip(keys, flags, strict=True) if flag}
        ),
    )
)


def fewest(keys: Sequence[str], wanted: set[str], most: int) -> int:
    """By dynamic programming over every way to cut: the fewest ranges that cover the wanted keys and no other."""
    best: list[float] = [0]
    for end in range(1, len(keys) + 1):
        skipped = [] if keys[end - 1] in wanted else [best[end - 1]]
        starts = [start for start in range(max(end - most, 0), end) if wanted.issuperset(keys[start:end])]
        best.append(min([*skipped, *(best[start] + 1 for start in starts)], default=math.inf))
    return int(best[-1])


@given(keys_and_wanted, st.integers(1, 8))
@settings(deadline=None)
@example((["a", "b", "c", "d"], {"a", "b", "d"}), 1)
@example((["a", "b", "c"], {"a", "b", "c"}), 3)
def test_exactly_the_wanted_keys_in_order_within_the_limit(drawn: tuple[list[str], set[str]], most: int) -> None:
    keys, wanted = drawn
    ranges = contiguous_ranges(keys, wanted, most)
    assert [key for found in ranges for key in found.keys] == [key for key in keys if key in wanted]
    assert all(1 <= len(found.keys) <= most for found in ranges)
    for found in ranges:
        start = keys.index(found.first)
        assert tuple(keys[start : start + len(found.keys)]) == found.keys
        assert tuple(KeyOrder(keys).between(found.first, found.last)) == found.keys


@given(keys_and_wanted, st.integers(1, 8))
@settings(deadline=None)
def test_there_is_no_way_with_fewer_ranges(drawn: tuple[list[str], set[str]], most: int) -> None:
    keys, wanted = drawn
    assert len(contiguous_ranges(keys, wanted, most)) == fewest(keys, wanted, most)


@given(keys_and_wanted)
@settings(deadline=None)
def test_without_a_limit_that_matters_there_is_one_range_for_each_run_of_wanted_keys(
    drawn: tuple[list[str], set[str]],
) -> None:
    keys, wanted = drawn
    runs = [tuple(run) for is_wanted, run in groupby(keys, key=lambda key: key in wanted) if is_wanted]
    assert [found.keys for found in contiguous_ranges(keys, wanted, 1000)] == runs


@given(keys_in_order, st.integers(0, 39), st.integers(0, 39))
@settings(deadline=None)
def test_what_is_between_two_keys_is_the_slice(keys: list[str], first: int, last: int) -> None:
    found = KeyOrder(keys).between(*(keys[i] if i < len(keys) else "not there" for i in (first, last)))
    expected = keys[first : last + 1] if max(first, last) < len(keys) else []
    assert list(found) == expected
    assert all(keys.index(one) + 1 == keys.index(other) for one, other in pairwise(found))


def test_a_finished_key_splits_a_range() -> None:
    ranges = contiguous_ranges(["a", "b", "c", "d", "e"], {"a", "b", "d", "e"}, 25)
    assert ranges == [KeyRange(("a", "b")), KeyRange(("d", "e"))]
    assert [(found.first, found.last) for found in ranges] == [("a", "b"), ("d", "e")]


@pytest.mark.parametrize("keys", [[], ["a", "b"]])
def test_nothing_wanted_is_no_range(keys: list[str]) -> None:
    assert contiguous_ranges(keys, set(), 25) == []
