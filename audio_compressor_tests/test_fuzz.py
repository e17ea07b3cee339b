"""The fuzz targets run, find what is planted, and hold time and memory to their limits."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fuzz.harness import Target, TooMuchError, fuzz, limited

CHECKOUT = Path(__file__).parents[1]


@pytest.mark.parametrize("seconds", ["6"])
def test_all_targets_run_for_as_long_as_they_are_told(seconds: str) -> None:
    started = time.monotonic()
    command = [sys.executable, "-m", "fuzz", "--seconds", seconds]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started >= float(seconds)
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["wav", "xml_metadata", "manifest"]
    for line in done.stdout.splitlines():
        assert int(line.split()[1].replace(",", "")) > 50


# What a careless change would do to each parser; the target must find it.
PLANTED = {
    "wav": (
        "audio/wav.py",
        "    elif declared > present:\n",
        "    elif declared > present + 1000:\n",
    ),
    "xml_metadata": ("xml_metadata.py", "forbid_dtd=True", "forbid_dtd=False, forbid_entities=False"),
    "manifest": (
        "reporting/manifest.py",
        "if reason := why_unusable(value):",
        "if (reason := why_unusable(value)) and len(value) > 1000:",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found(tmp_path: Path, name: str) -> None:
    file, right, wrong = PLANTED[name]
    text = (CHECKOUT / "audio_compressor" / file).read_text()
    assert right in text
    # The whole package, with one file changed, before the checkout on the path.
    package = tmp_path / "audio_compressor"
    for path in (CHECKOUT / "audio_compressor").rglob("*.py"):
        copy = package / path.relative_to(CHECKOUT / "audio_compressor")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    (package / file).write_text(text.replace(right, wrong))
    for other in ("fuzz", "audio_compressor_tests"):
        (tmp_path / other).symlink_to(CHECKOUT / other)
    command = [sys.executable, "-m", f"fuzz.{name}", "--seconds", "60", "--seed", "1"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0, done.stdout
    assert "AssertionError" in done.stderr


@pytest.mark.parametrize("check", [lambda _: time.sleep(60), lambda _: len("x" * 10**12)])
def test_too_much_time_or_memory_is_a_finding(check: Callable[[bytes], object]) -> None:
    with pytest.raises(TooMuchError), limited(most_seconds=0.3):
        check(b"")


def test_a_seed_that_breaks_a_rule_is_a_finding_at_once() -> None:
    def refuse(data: bytes) -> None:
        assert data != b"seed"

    with pytest.raises(AssertionError):
        fuzz(Target("none", [b"seed"], [b"word"], refuse), 0, 1)
