"""The fuzz targets run, find what is planted, and hold time and memory to their limits."""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fuzz.harness import Finding, Target, TooMuchError, fuzz, limited

CHECKOUT = Path(__file__).parents[1]


def test_every_target_runs_for_as_long_as_it_is_told() -> None:
    seconds, started = 3.0, time.monotonic()
    command = [sys.executable, "-m", "fuzz", "--seconds", str(seconds), "--seed", "5"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - started >= seconds
    lines = done.stdout.splitlines()
    assert lines[::2] == [f"{name}: from seed 5" for name in PLANTED]
    for name, line in zip(PLANTED, lines[1::2], strict=True):
        assert line.startswith(f"{name}: ")
        assert int(line.split()[1].replace(",", "")) > 30


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
def test_a_planted_mistake_is_found_kept_and_found_again(tmp_path: Path, name: str) -> None:
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
    found = fuzz_in(tmp_path, tmp_path, name, "--seconds", "60", "--seed", "1")
    assert found.returncode == 1, found.stdout
    assert "AssertionError" in found.stderr
    kept = re.search(r"the input is in (\S+),", found.stdout)
    assert kept is not None, found.stdout
    assert fuzz_in(tmp_path, tmp_path, name, "--input", kept[1]).returncode == 1
    assert fuzz_in(CHECKOUT, tmp_path, name, "--input", kept[1]).returncode == 0
    seed = re.search(r"--seed (\d+) finds it again", found.stdout)
    if seed is not None:  # else one of the target's own seeds broke the rule, and every round begins with those
        again = fuzz_in(tmp_path, tmp_path, name, "--seconds", "20", "--seed", seed[1])
        assert (again.returncode, kept[1] in again.stdout) == (1, True), again.stdout
        assert f"from seed {seed[1]}" in again.stdout


def fuzz_in(directory: Path, kept: Path, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A target with the package that is in ``directory``; what it finds is kept in ``kept``."""
    return subprocess.run(
        [sys.executable, "-m", f"fuzz.{name}", *arguments],
        cwd=directory,
        env={"PYTHONPATH": str(directory), "TMPDIR": str(kept)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_one_finding_is_the_exit_code_of_all(tmp_path: Path) -> None:
    """Also where a target does not say what it is: one is killed here by the system, before it says anything."""
    for name in ("command", "harness", "__init__", "__main__", "wav", "manifest"):
        copy = tmp_path / "fuzz" / f"{name}.py"
        copy.parent.mkdir(exist_ok=True)
        copy.write_text((CHECKOUT / "fuzz" / f"{name}.py").read_text())
    (tmp_path / "fuzz" / "xml_metadata.py").write_text("import os; os.abort()")
    done = subprocess.run(
        [sys.executable, "-m", "fuzz", "--seconds", "0.1"],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{CHECKOUT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip() == "Found something in: xml_metadata (exit code -6)"
    assert done.stdout.count("nothing found") == 2


@pytest.mark.parametrize("check", [lambda _: time.sleep(60), lambda _: len("x" * 10**12)])
def test_too_much_time_or_memory_is_a_finding(check: Callable[[bytes], object]) -> None:
    with pytest.raises(TooMuchError), limited(most_seconds=0.3):
        check(b"")


def test_a_seed_that_breaks_a_rule_is_a_finding_at_once() -> None:
    def refuse(data: bytes) -> None:
        assert data != b"seed"

    found = fuzz(Target("none", [b"seed"], [b"word"], refuse), 0, 1)
    assert isinstance(found, Finding)
    assert (found.data, found.seed) == (b"seed", None)


def test_a_finding_of_the_last_moment_is_one() -> None:
    """The time is over while what was found is tried again."""
    slow = [2.0]

    def refuse(data: bytes) -> None:
        if data != b"seed":
            time.sleep(slow.pop() if slow else 0)
            raise ValueError("not the seed")

    found = fuzz(Target("none", [b"seed"], [b"word"], refuse), 2.0, 1)
    assert isinstance(found, Finding)
    assert isinstance(found.error, ValueError)  # and not hypothesis's, about a check that fails only at times
    assert found.seed == 1
