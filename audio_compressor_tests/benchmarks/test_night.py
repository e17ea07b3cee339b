"""The side-by-side benchmark does its work; what it measures is in docs/performance.md."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from audio_compressor_tests.fixtures.studio import CHECKOUT
from benchmarks.night import OURS, PLAIN, Scenario


@pytest.mark.long
@pytest.mark.usefixtures("openssh_server")  # skipped where there is none to measure with
def test_one_small_round(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks.night", "--rounds", "1", "--json", str(results), "2x0.5:wav"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [result] = json.loads(results.read_text())["results"]
    assert result["scenario"] == {"count": 2, "megabytes": 0.5, "audio_format": "wav"}
    for name in (OURS, PLAIN):
        [measured] = result["measurements"][name]
        assert name in done.stdout
        assert 0.1 < measured["wall_seconds"] < 100
        assert 0.1 < measured["cpu_seconds"] < 100
        assert measured["peak_memory_mb"] > 20


def test_a_scenario_is_count_size_and_format() -> None:
    assert Scenario.parse("400x1:wav") == Scenario(400, 1, "wav")
    assert str(Scenario.parse("2x0.5:opus")) == "2 × 0.5 MB to opus"


@pytest.mark.parametrize(
    "text", ["", "40x23", "40:wav", "x23:wav", "40x23:ogg", "4.5x23:wav", "40x23:wav,opus", "-1x2:wav"]
)
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not COUNTxMEGABYTES:FORMAT with a format of wav, opus"):
        Scenario.parse(text)
