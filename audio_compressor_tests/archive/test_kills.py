"""Processes that archive real recordings are killed; see kills.py, which prints the tally of all of it."""

import pytest

from audio_compressor_tests.archive.kills import SCENARIOS, run

_IN_EVERY_RUN = "next tier"


def test_a_run_is_killed_after_each_of_its_steps() -> None:
    _require_that_nothing_is_lost(_IN_EVERY_RUN, moments=0)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_runs_are_killed_at_any_moment(name: str) -> None:
    _require_that_nothing_is_lost(name, moments=5)


def _require_that_nothing_is_lost(name: str, moments: int) -> None:
    tally = run([name], moments)[name]
    assert not tally.violations
    assert tally.kills_after_steps == len(tally.steps) > 2
