"""External Secrets' resources against the types that @kubernetes-models/external-secrets (npm) has generated from the
operator's published definitions: TypeScript refuses fields that they do not know, and misses those that are required.
"""

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from audio_compressor_tests.deploy.node_modules import NODE_MODULES, node_module
from audio_compressor_tests.deploy.rendered import ALL, Object, is_custom, render, unique

_OPTIONS = (
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--target",
    "es2022",
    "--module",
    "esnext",
    "--moduleResolution",
    "bundler",
)


def custom_resources() -> list[Object]:
    return [each for _, each in unique([render(name) for name in ALL]).values() if is_custom(each)]


def compile_types(resources: list[Object], directory: Path) -> str:
    """What the TypeScript compiler says of these; empty when they fit."""
    compiler = node_module("typescript", "bin", "tsc")
    node_module("@kubernetes-models", "external-secrets")
    lines = []
    for number, each in enumerate(resources):
        group, version = each["apiVersion"].split("/")
        module = f"@kubernetes-models/external-secrets/{group}/{version}"
        lines.append(f'import type {{ I{each["kind"]} as T{number} }} from "{module}";')
        lines.append(f"export const object{number}: T{number} = {json.dumps(each)};")
    directory.mkdir(exist_ok=True)
    (directory / "resources.ts").write_text("\n".join(lines))
    if not (directory / "node_modules").exists():
        (directory / "node_modules").symlink_to(NODE_MODULES)
    command = ["node", str(compiler), *_OPTIONS, "resources.ts"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120, check=False)
    assert bool(done.stdout) == bool(done.returncode), done.stderr
    return done.stdout


def test_they_fit_the_operators_definitions(tmp_path: Path) -> None:
    found = custom_resources()
    assert {each["kind"] for each in found} == {"ExternalSecret", "SecretStore"}
    assert {each["apiVersion"] for each in found} == {"external-secrets.io/v1"}
    assert compile_types(found, tmp_path) == ""


def _unknown_field(each: Object) -> None:
    each["spec"]["refreshIntervall"] = "1h"


def _unknown_nested_field(each: Object) -> None:
    each["spec"]["data"][0]["remoteRef"]["propertyName"] = "username"


def _missing_field(each: Object) -> None:
    del each["spec"]["data"][0]["remoteRef"]["key"]


def _wrong_value(each: Object) -> None:
    each["spec"]["target"]["creationPolicy"] = "Mine"


@pytest.mark.parametrize("change", [_unknown_field, _unknown_nested_field, _missing_field, _wrong_value])
def test_what_does_not_fit_is_found(change: Callable[[Object], None], tmp_path: Path) -> None:
    [secret, *_] = [copy.deepcopy(each) for each in custom_resources() if each["kind"] == "ExternalSecret"]
    change(secret)
    assert "error TS" in compile_types([secret], tmp_path)
