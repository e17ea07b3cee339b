"""Every overlay and combination renders, fits the API of the newest versions of Kubernetes, and says the same as the
rest of the project.
"""

from pathlib import Path

import pytest
from kubernetes_validate import utils as kubernetes_validate

from audio_compressor_tests.deploy.rendered import (
    ALL,
    KUBERNETES,
    NAMESPACE,
    OVERLAYS,
    WITH_DAGSTER,
    documents,
    is_custom,
    render,
    unique,
)
from audio_compressor_tests.fixtures.studio import CHECKOUT

# The newest that the package has schemas of; three minor versions are maintained at a time.
VERSIONS = sorted(
    {version for version in kubernetes_validate.all_versions() if version.endswith(".0")},
    key=lambda version: [int(part) for part in version.split(".")],
)[-3:]


@pytest.mark.parametrize("name", ALL)
def test_renders_without_duplicates(name: str) -> None:
    objects = render(name).objects
    identities = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects]
    assert len(identities) > 10
    assert len(identities) == len(set(identities))


def problems(version: str) -> list[str]:
    found = []
    for name, each in unique([render(name) for name in ALL]).values():
        if not is_custom(each):
            try:
                kubernetes_validate.validate(each, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                found.append(f"{name}: {each['kind']}/{each['metadata']['name']}: {error.message}")
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_fits_the_api_of_this_version(version: str) -> None:
    assert problems(version) == []


def test_the_schemas_are_strict() -> None:
    """Or the test above would pass whatever a field is called."""
    webserver = render("local").get("Deployment", "webserver")
    spec = {**webserver["spec"], "replica": 2}
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate({**webserver, "spec": spec}, VERSIONS[-1], strict=True)


def test_no_file_is_left_out() -> None:
    """Each YAML file below deploy/kubernetes is reached from some kustomization."""
    listed: set[Path] = set()
    for path in KUBERNETES.rglob("kustomization.yaml"):
        [kustomization] = documents(path)
        names = [*kustomization.get("resources", []), *kustomization.get("components", [])]
        names += kustomization.get("transformers", [])
        for changes in (kustomization.get("patches", []), kustomization.get("replacements", [])):
            names += [change["path"] for change in changes if "path" in change]
        for generator in [*kustomization.get("configMapGenerator", []), *kustomization.get("secretGenerator", [])]:
            names += [*generator.get("files", []), *generator.get("envs", [])]
        listed.update((path.parent / name).resolve() for name in names)
    files = {path for path in KUBERNETES.rglob("*") if path.is_file() and path.name != "kustomization.yaml"}
    assert {path for path in files if path not in listed and not path.name.startswith(".")} == set()


def test_what_is_not_about_kubernetes_is_as_on_one_machine() -> None:
    ours = render("production").instance
    [theirs] = documents(CHECKOUT / "dagster.yaml")
    for section in ("telemetry", "nux", "scheduler", "run_retries", "retention", "python_logs"):
        assert ours[section] == theirs[section], section
    assert ours["concurrency"]["pools"] == theirs["concurrency"]["pools"]
    monitoring = ours["run_monitoring"]
    assert theirs["run_monitoring"] == {
        **{name: monitoring[name] for name in theirs["run_monitoring"]},
        "start_timeout_seconds": 300,
    }
    assert set(ours) - set(theirs) == {"run_launcher", "compute_logs"}
    # Only runs that the code server starts wait for it.
    assert set(theirs) - set(ours) == {"run_queue"}


@pytest.mark.parametrize("name", WITH_DAGSTER)
def test_a_run_that_is_ended_is_given_less_time_than_dagster_waits(name: str) -> None:
    instance = render(name).instance
    pod_spec = instance["run_launcher"]["config"]["run_k8s_config"]["pod_spec_config"]
    assert 60 <= pod_spec["terminationGracePeriodSeconds"] < instance["run_monitoring"]["cancel_timeout_seconds"]


@pytest.mark.parametrize("name", WITH_DAGSTER)
def test_services(name: str) -> None:
    rendered = render(name)
    daemon = rendered.get("Deployment", "daemon")["spec"]
    assert daemon["replicas"] == 1
    assert daemon["strategy"] == {"type": "Recreate"}
    for service in ("code-server", "webserver", "daemon"):
        template = rendered.pod_templates()[f"Deployment/{service}"]
        [container] = template["spec"]["containers"]
        assert {"startupProbe", "livenessProbe"} <= set(container)
        assert ("readinessProbe" in container) == (rendered.find("Service", service) is not None)
        startup = container["startupProbe"]
        assert startup["failureThreshold"] * startup["periodSeconds"] >= 120, "a cold node, and others that start"
        assert container["livenessProbe"]["failureThreshold"] >= 3
        assert container["livenessProbe"]["timeoutSeconds"] >= (30 if "exec" in container["livenessProbe"] else 5)
        assert template["spec"]["terminationGracePeriodSeconds"] >= 30


@pytest.mark.parametrize("name", WITH_DAGSTER)
def test_the_migration_waits_for_the_database_and_goes(name: str) -> None:
    spec = render(name).get("Job", "dagster-migration")["spec"]
    assert spec["template"]["spec"]["containers"][0]["args"] == ["dagster", "instance", "migrate"]
    assert spec["backoffLimit"] >= 6
    assert spec["ttlSecondsAfterFinished"] > 0


@pytest.mark.parametrize("name", WITH_DAGSTER)
def test_the_cluster_decides_how_many_runs_there_are_and_when_they_begin(name: str) -> None:
    instance = render(name).instance
    assert instance["concurrency"]["runs"] == {"max_concurrent_runs": -1}
    monitoring = instance["run_monitoring"]
    assert monitoring["enabled"] is True
    assert monitoring["start_timeout_seconds"] >= 600, "a node that has to be started first"


@pytest.mark.parametrize("name", OVERLAYS)
def test_one_export_is_mounted_to_write_here_and_to_read_at_the_sftp_server(name: str) -> None:
    rendered = render(name)
    write = rendered.get("PersistentVolume", "audio-compressed", None)["spec"]
    read = rendered.get("PersistentVolume", "audio-compressed-read-only", None)["spec"]
    place = "hostPath" if name == "local" else "nfs"
    assert write[place]["path"] == read[place]["path"]
    assert write[place].get("server") == read[place].get("server")
    assert (write["accessModes"], read["accessModes"]) == (["ReadWriteMany"], ["ReadOnlyMany"])
    assert (write["claimRef"]["namespace"], read["claimRef"]["namespace"]) == (NAMESPACE, "sftp-server")
    assert {write["persistentVolumeReclaimPolicy"], read["persistentVolumeReclaimPolicy"]} == {"Retain"}
    if place == "nfs":
        assert read["nfs"]["readOnly"] is True
        assert not write["nfs"].get("readOnly")
        # `soft` loses what was written.
        assert {"hard", "ro"} <= set(read["mountOptions"])
        assert "hard" in write["mountOptions"]
        assert "ro" not in write["mountOptions"]


def test_the_sftp_server_shows_originals_and_results_to_be_read_only() -> None:
    template = render("local").pod_templates()["Deployment/sftp-server"]
    [server] = template["spec"]["containers"]
    mounts = {mount["mountPath"]: mount for mount in server["volumeMounts"]}
    assert mounts["/data/audio"] == {"name": "originals", "mountPath": "/data/audio", "readOnly": True}
    assert mounts["/data/compressed"] == {
        "name": "compressed-audio",
        "mountPath": "/data/compressed",
        "readOnly": True,
    }
    assert server["args"][:4] == ["python", "-m", "audio_compressor.demo.server", "/data"]
    assert "Namespace" not in {
        each["kind"] for each in documents(KUBERNETES / "components/sftp-claim/compressed-audio.yaml")
    }


def test_production_can_lose_a_node() -> None:
    production = render("production")
    webserver = production.get("Deployment", "webserver")["spec"]
    budget = production.get("PodDisruptionBudget", "webserver")["spec"]
    assert budget["selector"] == webserver["selector"]
    assert webserver["replicas"] > budget["maxUnavailable"] > 0
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
