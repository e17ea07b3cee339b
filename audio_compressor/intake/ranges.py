"""Groups partition keys into the contiguous ranges that one Dagster run can take."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class KeyRange:
    """Keys that follow one another in the order in which the partition set holds them."""

    keys: tuple[str, ...]

    @property
    def first(self) -> str:
        return self.keys[0]

    @property
    def last(self) -> str:
        return self.keys[-1]


def contiguous_ranges(keys_in_order: Sequence[str], wanted: Collection[str], most: int) -> list[KeyRange]:
    """The fewest ranges that hold every wanted key and no other, each at most ``most`` long.

    A key that is not wanted is never in a range: a run that fails would turn a finished recording red.
    """
    wanted = frozenset(wanted)
    ranges: list[KeyRange] = []
    current: list[str] = []
    for key in keys_in_order:
        if key in wanted:
            current.append(key)
        if current and (key not in wanted or len(current) == most):
            ranges.append(KeyRange(tuple(current)))
            current = []
    if current:
        ranges.append(KeyRange(tuple(current)))
    return ranges


class KeyOrder:
    """The order of the keys, for many questions: to search 100,000 keys for the ends of 500 ranges took a second."""

    def __init__(self, keys_in_order: Sequence[str]) -> None:
        self._keys = keys_in_order
        self._positions = {key: position for position, key in enumerate(keys_in_order)}

    def between(self, first: str, last: str) -> Sequence[str]:
        """The keys from ``first`` to ``last``, both included; empty when either is not there."""
        if first not in self._positions or last not in self._positions:
            return ()
        return self._keys[self._positions[first] : self._positions[last] + 1]
