"""What kustomize makes of deploy/kubernetes: every overlay, and the combinations of components that one may choose.

Rendering needs `kustomize`, or a `kubectl` that has it, and is done once for each combination.
"""

import functools
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from audio_compressor_tests.fixtures.studio import CHECKOUT

Object = dict[str, Any]

KUBERNETES = CHECKOUT / "deploy" / "kubernetes"
HELM = CHECKOUT / "deploy" / "helm"
OVERLAYS = ("local", "staging", "production")
NAMESPACE = "audio-compressor"
WITH_TRACKS = "dagster+tracks"
WITH_LIBRARY = "dagster+library"
# The digits of a hash in kustomize: sixteen, without vowels, so that they make no words.
_HASH = re.compile("-[2456789bcdfghkmt]{10}$")


@dataclass(frozen=True)
class Combination:
    """A kustomization as an operator would write it, by what is above deploy/kubernetes."""

    name: str
    resources: tuple[str, ...]
    components: tuple[str, ...] = ()
    transformers: tuple[str, ...] = ()
    more: str = ""

    def text(self, directory: Path) -> str:
        """The kustomization.yaml for this directory: kustomize takes relative paths only."""
        lists = {"resources": self.resources, "components": self.components, "transformers": self.transformers}
        paths = {
            kind: [os.path.relpath(KUBERNETES / name, directory.resolve()) for name in names]
            for kind, names in lists.items()
            if names
        }
        return yaml.safe_dump({"apiVersion": "kustomize.config.k8s.io/v1beta1", **paths}) + self.more


def _combinations() -> Iterator[Combination]:
    """Whatever may be chosen in place of each other: Dagster or the CronJob, the database, the secrets, the server."""
    for secrets in ("plain-secrets", "external-secrets"):
        for server in ((), ("sftp-claim",), ("sftp-server",), ("sftp-server", "sftp-claim")):
            for more in ((), ("aws",) if secrets == "plain-secrets" else ("aws", "external-secrets-registry")):
                chosen = (f"components/{secrets}", *(f"components/{name}" for name in (*server, *more)))
                name = "+".join((secrets, *server, *more))
                yield Combination(f"cronjob+{name}", ("base",), ("components/cronjob", *chosen))
                if secrets == "external-secrets":
                    chosen = (*chosen, "components/external-secrets-database")
                for database in ("postgres", "external-postgres"):
                    yield Combination(
                        f"dagster+{database}+{name}",
                        ("base", "dagster"),
                        (f"components/{database}", *chosen),
                        ("transformers/run-pods",),
                    )
    of_tracks = ("postgres", "external-secrets", "external-secrets-database", "aws", "tracks")
    yield Combination(
        WITH_TRACKS,
        ("base", "dagster"),
        tuple(f"components/{name}" for name in of_tracks),
        ("transformers/run-pods",),
    )
    of_a_library = ("postgres", "plain-secrets", "aws", "library")
    yield Combination(
        WITH_LIBRARY,
        ("base", "dagster"),
        tuple(f"components/{name}" for name in of_a_library),
        ("transformers/run-pods",),
    )


COMBINATIONS = {each.name: each for each in _combinations()}
HELM_COMPANION = "helm"
ALL = (*OVERLAYS, HELM_COMPANION, *COMBINATIONS)
WITH_DAGSTER = (*OVERLAYS, *(name for name in COMBINATIONS if not name.startswith("cronjob")))


@functools.cache
def render(name: str) -> "Rendered":
    """An overlay, the companion of the Helm chart, or a combination, by its name."""
    if name in OVERLAYS:
        return Rendered(name, _kustomize(KUBERNETES / "overlays" / name))
    if name == HELM_COMPANION:
        return Rendered(name, _kustomize(HELM))
    return render_combination(COMBINATIONS[name])


def render_combination(combination: Combination) -> "Rendered":
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        (directory / "kustomization.yaml").write_text(combination.text(directory))
        return Rendered(combination.name, _kustomize(directory))


@dataclass(frozen=True)
class Rendered:
    """The objects of one kustomization."""

    name: str
    objects: tuple[Object, ...]

    def of_kind(self, *kinds: str) -> list[Object]:
        return [each for each in self.objects if each["kind"] in kinds]

    def find(self, kind: str, name: str, namespace: str | None = NAMESPACE) -> Object | None:
        """By the name that is in the files: a hash that kustomize appended does not count."""
        for each in self.of_kind(kind):
            metadata = each["metadata"]
            is_same = metadata["name"] == name or _without_hash(metadata["name"]) == name
            if is_same and metadata.get("namespace") == namespace:
                return each
        return None

    def get(self, kind: str, name: str, namespace: str | None = NAMESPACE) -> Object:
        found = self.find(kind, name, namespace)
        assert found is not None, f"{self.name} has no {kind} {namespace}/{name}"
        return found

    @property
    def instance(self) -> dict[str, Any]:
        """dagster.yaml."""
        config = yaml.safe_load(self.get("ConfigMap", "dagster-instance")["data"]["dagster.yaml"])
        assert isinstance(config, dict)
        return config

    def pod_templates(self) -> dict[str, Object]:
        """By kind and name of what makes the pods; ``metadata`` has the namespace too."""
        found = {}
        for each in self.objects:
            template = _template_of(each)
            if template is not None:
                metadata = {**template.get("metadata", {}), "namespace": each["metadata"]["namespace"]}
                found[f"{each['kind']}/{each['metadata']['name']}"] = {**template, "metadata": metadata}
        return found


def containers(template: Object) -> list[Object]:
    """Init containers too."""
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def is_custom(each: Object) -> bool:
    """Whether an operator must be installed that brings this kind."""
    group = each["apiVersion"].rpartition("/")[0]
    return "." in group and not group.endswith(".k8s.io")


def documents(path: Path) -> list[Object]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def unique(renderings: Sequence[Rendered]) -> dict[str, tuple[str, Object]]:
    """Every different object once, with the rendering in which it was found first."""
    found: dict[str, tuple[str, Object]] = {}
    for rendering in renderings:
        for each in rendering.objects:
            found.setdefault(json.dumps(each, sort_keys=True), (rendering.name, each))
    return found


def _template_of(each: Mapping[str, Any]) -> Object | None:
    spec = each.get("spec") or {}
    if each["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    if each["kind"] in {"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"}:
        template: Object = spec["template"]
        return template
    return None


def _without_hash(name: str) -> str:
    return _HASH.sub("", name)


def render_directory(name: str, directory: Path) -> "Rendered":
    return Rendered(name, _kustomize(directory))


def _kustomize(directory: Path) -> tuple[Object, ...]:
    command = [*_kustomize_command(), str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return tuple(each for each in yaml.safe_load_all(done.stdout) if each)


@functools.cache
def _kustomize_command() -> tuple[str, ...]:
    if kustomize := shutil.which("kustomize"):
        return (kustomize, "build")
    if kubectl := shutil.which("kubectl"):
        return (kubectl, "kustomize")
    message = "neither kustomize nor kubectl is installed"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{message}, and in CI these tests must not be skipped")
    pytest.skip(message)
