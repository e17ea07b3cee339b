"""What containers ask for, and what an overlay can change of runs: size, image, settings."""

import re
from typing import Any

import pytest
import yaml

from audio_compressor.settings import load_settings
from audio_compressor_tests.deploy.rendered import (
    ALL,
    COMBINATIONS,
    NAMESPACE,
    WITH_DAGSTER,
    Combination,
    Object,
    Rendered,
    containers,
    render,
    render_combination,
)


@pytest.mark.parametrize("name", ALL)
def test_every_container_says_what_it_needs(name: str) -> None:
    for template_name, template in render(name).pod_templates().items():
        for container in containers(template):
            resources: dict[str, Any] = container["resources"]
            assert {"cpu", "memory", "ephemeral-storage"} == set(resources["requests"]), template_name
            assert {"cpu", "memory"} <= set(resources["limits"]), template_name
            for kind, limit in resources["limits"].items():
                assert quantity(resources["requests"][kind]) <= quantity(limit), template_name
            assert not container["image"].endswith(":latest"), template_name
            assert container["imagePullPolicy"] == "IfNotPresent", template_name
        for volume in template["spec"].get("volumes", []):
            if "emptyDir" in volume:
                assert quantity(volume["emptyDir"]["sizeLimit"]) > 0, template_name
                assert "medium" not in volume["emptyDir"], "in memory, it counts against the limit"


@pytest.mark.parametrize("name", ALL)
def test_staging_has_room_for_what_a_run_holds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As docs/operations.md says: a recording for each encoder and one more, and two outputs for each encoder."""
    rendered = render(name)
    for role, settings_map, staging, cpu in run_sizes(rendered):
        for variable, value in rendered.get("ConfigMap", settings_map)["data"].items():
            monkeypatch.setenv(variable, value)
        settings = load_settings()
        output_share = 2 * 16_000 / (4 * 44_100)  # of CD stereo, by the default format
        held = settings.encode_workers + 1 + 2 * settings.encode_workers * output_share
        assert held * settings.max_file_size_bytes < staging, role
        assert settings.encode_workers == cpu, f"{role}: by itself it would count the CPUs of its node"


def run_sizes(rendered: Rendered) -> list[tuple[str, str, float, float]]:
    """Role, its settings, bytes for staging and CPUs of whatever processes recordings."""
    found = []
    if rendered.find("ConfigMap", "dagster-instance"):
        launcher = rendered.instance["run_launcher"]["config"]
        [staging] = [volume for volume in launcher["volumes"] if volume["name"] == "tmp"]
        size = staging["emptyDir"]["sizeLimit"]
        assert launcher["resources"]["requests"]["ephemeral-storage"] == size
        found.append(("run", "run-settings", quantity(size), quantity(launcher["resources"]["limits"]["cpu"])))
    for template in rendered.pod_templates().values():
        if template["metadata"]["labels"]["audio-compressor/role"] == "run":
            [container] = template["spec"]["containers"]
            [staging] = [volume for volume in template["spec"]["volumes"] if volume["name"] == "tmp"]
            size = staging["emptyDir"]["sizeLimit"]
            assert container["resources"]["requests"]["ephemeral-storage"] == size
            cpu = container["resources"]["limits"]["cpu"]
            found.append(("CronJob", "settings", quantity(size), quantity(cpu)))
    return found


def quantity(text: str) -> float:
    """https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/"""
    match = re.fullmatch(r"(?P<number>[0-9.]+)(?P<unit>m|[KMG]i?)?", str(text))
    assert match, text
    units = {None: 1, "m": 0.001, "K": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    return float(match["number"]) * units[match["unit"]]


def test_an_overlay_changes_the_size_and_image_of_runs() -> None:
    """All of it at once, and nothing else: the transformer finds its values by their place."""
    combination = COMBINATIONS["dagster+postgres+plain-secrets"]
    more = yaml.safe_dump(
        {
            "images": [{"name": "audio-compressor", "newName": "registry.example/audio", "newTag": "v7"}],
            "configMapGenerator": [
                {
                    "name": "run-pods",
                    "namespace": NAMESPACE,
                    "behavior": "merge",
                    "literals": [
                        "cpu-request=1500m",
                        "memory-request=1Gi",
                        "cpu-limit=7",
                        "memory-limit=3Gi",
                        "staging-size=77Gi",
                    ],
                },
                {
                    "name": "settings",
                    "namespace": NAMESPACE,
                    "behavior": "merge",
                    "literals": ["BATCH_SIZE=3"],
                },
            ],
        }
    )
    changed = render_combination(
        Combination("changed", combination.resources, combination.components, combination.transformers, more)
    )
    before = render(combination.name).instance
    expected = before["run_launcher"]["config"]
    expected["resources"] = {
        "requests": {"cpu": "1500m", "memory": "1Gi", "ephemeral-storage": "77Gi"},
        "limits": {"cpu": "7", "memory": "3Gi"},
    }
    [tmp] = [volume for volume in expected["volumes"] if volume["name"] == "tmp"]
    tmp["emptyDir"]["sizeLimit"] = "77Gi"
    assert changed.instance == before
    assert changed.get("ConfigMap", "run-settings")["data"]["BATCH_SIZE"] == "3"

    images = {image_of(each) for each in changed.pod_templates().values()}
    assert images == {"registry.example/audio:v7", "docker.io/library/postgres:17.11-bookworm"}
    assert current_image(changed) == "registry.example/audio:v7"


def image_of(template: Object) -> str:
    [image] = {container["image"] for container in containers(template)}
    assert isinstance(image, str)
    return image


def current_image(rendered: Rendered) -> str:
    [container] = rendered.get("Deployment", "code-server")["spec"]["template"]["spec"]["containers"]
    [value] = [entry["value"] for entry in container["env"] if entry["name"] == "DAGSTER_CURRENT_IMAGE"]
    assert isinstance(value, str)
    return value


@pytest.mark.parametrize("name", WITH_DAGSTER)
def test_runs_have_the_image_and_configuration_of_the_code_server(name: str) -> None:
    rendered = render(name)
    template = rendered.pod_templates()["Deployment/code-server"]
    assert current_image(rendered) == image_of(template)
    for copy, original in (
        ("run-settings", "settings"),
        ("run-known-hosts", "known-hosts"),
        ("run-database", "database"),
    ):
        assert rendered.get("ConfigMap", copy)["data"] == rendered.get("ConfigMap", original)["data"]


@pytest.mark.parametrize("name", WITH_DAGSTER)
def test_a_change_of_configuration_starts_the_services_anew(name: str) -> None:
    """By the hash in the names of the ConfigMaps, whatever mounts or reads them."""
    rendered = render(name)
    for template_name, template in rendered.pod_templates().items():
        if template_name.startswith("Deployment/") and template["metadata"]["namespace"] == NAMESPACE:
            referred = re.findall(r"'(?:configMap|configMapRef)': \{'name': '([^']+)'\}", str(template))
            assert len(referred) >= 3
            assert all(re.search("-[a-z0-9]{10}$", each) for each in referred), referred
