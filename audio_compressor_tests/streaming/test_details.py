"""metadata.json is read as it may be: ours, another version's, or written by hand."""

from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

import pytest

from audio_compressor.streaming.details import part, told_checks, told_loudness


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"loudness": None, "checks": {}},
        {"loudness": [], "checks": ["passed"]},
        {"loudness": {"before": -14, "after": {"high": "loud"}, "warnings": "none", "gain_db": "6", "mode": 1}},
        {"loudness": {"after": {"low": {"integrated_lufs": -14.0}}}, "checks": [{"name": "x"}]},
    ],
)
def test_what_is_not_there_is_not_known(details: Mapping[str, Any]) -> None:
    assert set(astuple(told_loudness(details))) == {None}
    assert told_checks(details) == ()
    assert part(details, "renditions", "high") == {}
