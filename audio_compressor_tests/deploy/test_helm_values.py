"""The values for Dagster's chart give what overlays/production gives.

Helm and the chart cannot be had here: what the chart makes of its values was read in its templates, and is done again
below for the parts that matter.
"""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.run_coordinator import QueuedRunCoordinator

from audio_compressor_tests.deploy.pod_security import violations
from audio_compressor_tests.deploy.rendered import HELM, HELM_COMPANION, Object, containers, documents, render

[VALUES] = documents(HELM / "values.yaml")
[CODE_SERVER] = VALUES["dagster-user-deployments"]["deployments"]
ROLES: dict[str, Object] = {
    "code-server": CODE_SERVER,
    "webserver": VALUES["dagsterWebserver"],
    "daemon": VALUES["dagsterDaemon"],
}
# The chart's own ConfigMap of dagster.yaml: the name of the release, and this.
CHARTS_INSTANCE = "dagster-instance"
# Of the chart's values.schema.json, which refuses others.
_KEYS = {
    "dagsterWebserver", "dagster-user-deployments", "postgresql", "generatePostgresqlPasswordSecret",
    "computeLogManager", "scheduler", "runLauncher", "pythonLogs", "dagsterDaemon", "migrate", "telemetry",
    "serviceAccount", "global", "retention", "additionalInstanceConfig", "rbacEnabled",
}  # fmt: skip
_WEBSERVER_KEYS = {
    "replicaCount", "image", "service", "workspace", "envConfigMaps", "labels", "podSecurityContext", "securityContext",
    "resources", "readinessProbe", "livenessProbe", "startupProbe", "volumeMounts", "volumes",
}  # fmt: skip
_DAEMON_KEYS = {
    "enabled", "image", "runCoordinator", "envConfigMaps", "labels", "podSecurityContext", "securityContext",
    "resources", "livenessProbe", "startupProbe", "runMonitoring", "runRetries", "sensors", "schedules",
    "volumeMounts", "volumes",
}  # fmt: skip
_USER_DEPLOYMENT_KEYS = {
    "name", "image", "dagsterApiGrpcArgs", "includeConfigInLaunchedRuns", "port", "envConfigMaps", "envSecrets",
    "podSecurityContext", "securityContext", "resources", "labels", "volumeMounts", "volumes", "startupProbe",
    "livenessProbe",
}  # fmt: skip


def chart_instance() -> dict[str, Any]:
    """templates/configmap-instance.yaml, without the storage, which is of three parts there."""
    launcher, scheduler = VALUES["runLauncher"], VALUES["scheduler"]
    assert (launcher["type"], scheduler["type"]) == ("CustomRunLauncher", "CustomScheduler")
    assert VALUES["computeLogManager"]["type"] == "NoOpComputeLogManager"
    daemon = VALUES["dagsterDaemon"]
    coordinator = daemon["runCoordinator"]
    assert (coordinator["enabled"], coordinator["type"]) == (True, "CustomRunCoordinator")
    assert not any(daemon[part]["enabled"] for part in ("runMonitoring", "runRetries"))
    assert not any(daemon[part]["useThreads"] for part in ("sensors", "schedules"))
    retention = {
        name: {"purge_after_days": VALUES["retention"][name]["purgeAfterDays"]} for name in ("schedule", "sensor")
    }
    return {
        "run_launcher": launcher["config"]["customRunLauncher"],
        "run_coordinator": coordinator["config"]["customRunCoordinator"],
        "scheduler": scheduler["config"]["customScheduler"],
        "compute_logs": {
            "module": "dagster.core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
        },
        "telemetry": VALUES["telemetry"],
        "python_logs": {"managed_python_loggers": VALUES["pythonLogs"]["managedPythonLoggers"]},
        "retention": retention,
        **VALUES["additionalInstanceConfig"],
    }


def chart_template(role: str) -> Object:
    """The pod of a role, with the init containers that the chart adds."""
    values = ROLES[role]
    container = {
        "name": role,
        "securityContext": values["securityContext"],
        "resources": values["resources"],
        "volumeMounts": values["volumeMounts"],
    }
    waiting = [
        {"name": "check-db-ready", "securityContext": values["securityContext"]},
        {"name": "init-user-deployment", "securityContext": values["securityContext"]},
    ]
    spec = {
        "securityContext": values["podSecurityContext"],
        "containers": [container],
        "initContainers": [] if role == "code-server" else waiting,
        "volumes": values["volumes"],
    }
    return {"metadata": {"labels": values["labels"], "annotations": {}}, "spec": spec}


def test_the_chart_knows_every_key() -> None:
    assert set(VALUES) - _KEYS == set()
    assert set(ROLES["webserver"]) - _WEBSERVER_KEYS == set()
    assert set(ROLES["daemon"]) - _DAEMON_KEYS == set()
    assert set(CODE_SERVER) - _USER_DEPLOYMENT_KEYS == set()


def test_the_instance_is_that_of_production() -> None:
    ours = render("production").instance
    theirs = chart_instance()
    database = render("production").get("ConfigMap", "database")["data"]
    del ours["storage"]
    # Ours is Dagster's default; the chart's would be one without a queue.
    assert "run_coordinator" not in ours
    coordinator = theirs.pop("run_coordinator")
    assert coordinator == {"module": "dagster.core.run_coordinator", "class": "QueuedRunCoordinator", "config": {}}
    assert theirs == ours
    assert VALUES["global"]["dagsterHome"] == ours["run_launcher"]["config"]["dagster_home"]
    assert VALUES["global"]["postgresqlSecretName"] == ours["run_launcher"]["config"]["postgres_password_secret"]
    assert {
        "DAGSTER_PG_HOST": VALUES["postgresql"]["postgresqlHost"],
        "DAGSTER_PG_DB": VALUES["postgresql"]["postgresqlDatabase"],
        "DAGSTER_PG_USERNAME": VALUES["postgresql"]["postgresqlUsername"],
    } == database
    assert render(HELM_COMPANION).get("ConfigMap", "run-database")["data"] == database


def test_dagster_accepts_its_instance(tmp_path: Path) -> None:
    """With everything but the database and the launcher, which wants a cluster."""
    theirs = chart_instance()
    del theirs["run_launcher"]
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(theirs))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert type(instance.run_coordinator) is QueuedRunCoordinator
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 4


def test_the_chart_deploys_dagster_and_nothing_that_is_there_already() -> None:
    switched_on = (VALUES["dagster-user-deployments"], VALUES["dagsterDaemon"], VALUES["migrate"], VALUES["retention"])
    assert all(each["enabled"] is True for each in switched_on)
    assert VALUES["dagster-user-deployments"]["enableSubchart"] is True
    assert VALUES["rbacEnabled"] is False
    assert VALUES["dagster-user-deployments"]["rbacEnabled"] is False, "by default, for the account of runs"
    assert VALUES["generatePostgresqlPasswordSecret"] is False
    assert VALUES["postgresql"]["enabled"] is False
    accounts = (VALUES["serviceAccount"], VALUES["dagster-user-deployments"]["serviceAccount"])
    assert [each["create"] for each in accounts] == [False, False]


def test_images_of_the_charts_init_containers() -> None:
    """It writes REGISTRY/REPOSITORY:TAG for PostgreSQL's. Busybox stays its own: nslookup of later ones fails for a
    name that is found in one search domain and not in the next.
    """
    image = VALUES["postgresql"]["image"]
    [container] = render("staging").pod_templates()["StatefulSet/postgres"]["spec"]["containers"]
    assert f"{image['registry']}/{image['repository']}:{image['tag']}" == container["image"]
    assert "busybox" not in VALUES


def test_the_companion_has_productions_volumes_and_settings() -> None:
    companion, production = render(HELM_COMPANION), render("production")
    for kind in ("PersistentVolume", "PersistentVolumeClaim"):
        assert companion.of_kind(kind) == production.of_kind(kind)
    for copied in ("run-settings", "run-known-hosts", "run-database"):
        assert companion.get("ConfigMap", copied)["data"] == production.get("ConfigMap", copied)["data"]


def test_network_policies_fit_the_charts_pods() -> None:
    policies, productions = (
        {each["metadata"]["name"]: each["spec"] for each in render(name).of_kind("NetworkPolicy")}
        for name in (HELM_COMPANION, "production")
    )
    assert {name: spec for name, spec in policies.items() if name != "chart-migration"} == productions
    # RELEASE-dagster-webserver-instance-migrate, of templates/helpers/_helpers.tpl.
    assert policies["chart-migration"]["podSelector"] == {
        "matchLabels": {"batch.kubernetes.io/job-name": "dagster-dagster-webserver-instance-migrate"}
    }
    assert policies["chart-migration"]["egress"] == policies["to-postgres"]["egress"]
    [rule] = policies["webserver"]["ingress"]
    assert [port["port"] for port in rule["ports"]] == [VALUES["dagsterWebserver"]["service"]["port"]]
    [rule] = policies["code-server"]["ingress"]
    assert [port["port"] for port in rule["ports"]] == [CODE_SERVER["port"]]


@pytest.mark.parametrize("role", ROLES)
def test_pods_are_those_of_production(role: str) -> None:
    values = ROLES[role]
    theirs = render("production").pod_templates()[f"Deployment/{role}"]
    [container] = theirs["spec"]["containers"]
    assert values["podSecurityContext"] == theirs["spec"]["securityContext"]
    assert values["securityContext"] == container["securityContext"]
    assert values["resources"] == container["resources"]
    assert values["labels"] == theirs["metadata"]["labels"]
    assert f"{values['image']['repository']}:{values['image']['tag']}" == container["image"]
    assert {"startupProbe", "livenessProbe"} <= set(values)
    assert values["startupProbe"]["enabled"] is True
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if probe in values and role != "code-server":  # for which the chart has a command of its own
            expected = yaml.safe_load(yaml.safe_dump(container[probe]).replace("port: http", "port: 3000"))
            assert {name: value for name, value in values[probe].items() if name != "enabled"} == expected
    scratch = [
        {volume["name"]: volume["emptyDir"] for volume in volumes if "emptyDir" in volume}
        for volumes in (values["volumes"], theirs["spec"]["volumes"])
    ]
    assert scratch[0] == scratch[1]
    # The chart mounts dagster.yaml and workspace.yaml itself.
    given = {mount["mountPath"] for mount in values["volumeMounts"]}
    assert {mount["mountPath"] for mount in container["volumeMounts"]} - given <= {
        "/var/lib/audio-compressor/dagster.yaml",
        "/etc/audio-compressor",
    }


@pytest.mark.parametrize("role", ROLES)
def test_pods_are_restricted(role: str) -> None:
    template = chart_template(role)
    assert violations(template) == []
    assert len(containers(template)) == (1 if role == "code-server" else 3)


@pytest.mark.parametrize("role", ROLES)
def test_pods_refer_to_what_the_companion_has(role: str) -> None:
    companion, values = render(HELM_COMPANION), ROLES[role]
    for reference in values["envConfigMaps"]:
        assert companion.get("ConfigMap", reference["name"])["data"]
    secrets = {each["spec"]["target"]["name"] for each in companion.of_kind("ExternalSecret")}
    assert {reference["name"] for reference in values.get("envSecrets", [])} <= secrets
    for volume in values["volumes"]:
        if "configMap" in volume and volume["configMap"]["name"] != CHARTS_INSTANCE:
            assert companion.get("ConfigMap", volume["configMap"]["name"])["data"]
        if "persistentVolumeClaim" in volume:
            assert companion.get("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
    accounts = {VALUES["serviceAccount"]["name"], VALUES["dagster-user-deployments"]["serviceAccount"]["name"]}
    assert accounts == {each["metadata"]["name"] for each in companion.of_kind("ServiceAccount")}


def test_the_code_server_is_the_same() -> None:
    """The chart's line is `dagster api grpc -h 0.0.0.0 -p PORT` and these arguments."""
    [container] = render("production").pod_templates()["Deployment/code-server"]["spec"]["containers"]
    assert container["args"][:4] == ["dagster", "api", "grpc", "--host"]
    assert ["--port", str(CODE_SERVER["port"]), *CODE_SERVER["dagsterApiGrpcArgs"]] == container["args"][5:]
    workspace = yaml.safe_load(render("production").get("ConfigMap", "dagster-workspace")["data"]["workspace.yaml"])
    [server] = VALUES["dagsterWebserver"]["workspace"]["servers"]
    assert workspace["load_from"] == [
        {"grpc_server": {"host": server["host"], "port": server["port"], "location_name": server["name"]}}
    ]
    assert server["host"] == CODE_SERVER["name"]  # its Service is called after it
    # Else its own volumes and variables would be added to those of runs, and the launcher refuse every run.
    assert CODE_SERVER["includeConfigInLaunchedRuns"] == {"enabled": False}
