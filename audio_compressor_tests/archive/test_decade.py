"""Ten years of a policy over ten thousand recordings: nothing is lost, and nothing is done too early or twice."""

from audio_compressor_tests.archive.decade import simulate


def test_ten_years_over_ten_thousand_recordings() -> None:
    """Every eight weeks; each week with ``python -m audio_compressor_tests.archive.decade``."""
    tally = simulate(seed=7, days_between=56)
    assert tally.recordings == 10_000
    assert tally.plans == 66
    # All of what a simulation is for has happened.
    assert set(tally.verdicts) == {"due", "done", "kept", "held", "waiting", "refused", "doubt"}
    assert set(tally.actions) == {"opus", "cold", "delete"}
    assert min(tally.actions.values()) > 5_000
    assert min(tally.failed, tally.refused, tally.holds) > 10
    assert tally.checks > 300_000
