"""Every name that one object gives another exists, in every rendering, and for the pods of runs too.

Secrets may also come from an ExternalSecret; `aws-credentials` from deploy/kubernetes/sops, which is applied by itself.
"""

import base64
import json
import re
from typing import Any

import pytest
import yaml

from audio_compressor_tests.deploy.local_pods import secret_data
from audio_compressor_tests.deploy.network import matches
from audio_compressor_tests.deploy.references import missing_in, templates_of
from audio_compressor_tests.deploy.rendered import (
    ALL,
    HELM_COMPANION,
    KUBERNETES,
    NAMESPACE,
    OVERLAYS,
    documents,
    render,
)


@pytest.mark.parametrize("name", ALL)
def test_pods_refer_to_what_exists(name: str) -> None:
    rendered = render(name)
    found = {each: list(missing_in(rendered, template)) for each, template in templates_of(name)}
    assert {each: missing for each, missing in found.items() if missing} == {}


@pytest.mark.parametrize("name", ALL)
def test_services_and_selectors_find_their_pods(name: str) -> None:
    rendered = render(name)
    templates = list(rendered.pod_templates().values())
    for service in rendered.of_kind("Service"):
        found = [
            template
            for template in templates
            if template["metadata"]["namespace"] == service["metadata"]["namespace"]
            and matches({"matchLabels": service["spec"]["selector"]}, template["metadata"]["labels"])
        ]
        assert len(found) == 1, service["metadata"]["name"]
        ports = {port["name"] for container in found[0]["spec"]["containers"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for workload in rendered.of_kind("Deployment", "StatefulSet", "PodDisruptionBudget"):
        selected = [
            template for template in templates if matches(workload["spec"]["selector"], template["metadata"]["labels"])
        ]
        assert len(selected) == 1, workload["metadata"]["name"]
    for workload in rendered.of_kind("StatefulSet"):
        assert rendered.find("Service", workload["spec"]["serviceName"], workload["metadata"]["namespace"])
    for template in templates:
        spread = template["spec"].get("topologySpreadConstraints", [])
        assert all(matches(each["labelSelector"], template["metadata"]["labels"]) for each in spread)


@pytest.mark.parametrize("name", ALL)
def test_claims_and_volumes_belong_together(name: str) -> None:
    rendered = render(name)
    for volume in rendered.of_kind("PersistentVolume"):
        reference, spec = volume["spec"]["claimRef"], volume["spec"]
        claim = rendered.get("PersistentVolumeClaim", reference["name"], reference["namespace"])["spec"]
        assert claim["volumeName"] == volume["metadata"]["name"]
        assert claim["storageClassName"] == spec["storageClassName"] == ""
        assert set(claim["accessModes"]) <= set(spec["accessModes"])
        assert claim["resources"]["requests"]["storage"] == spec["capacity"]["storage"]
    volumes = {each["metadata"]["name"] for each in rendered.of_kind("PersistentVolume")}
    bound = {each["spec"].get("volumeName") for each in rendered.of_kind("PersistentVolumeClaim")} - {None}
    assert bound == volumes


@pytest.mark.parametrize("name", [name for name in ALL if not name.startswith("cronjob")])
def test_roles_and_their_subjects(name: str) -> None:
    rendered = render(name)
    for binding in rendered.of_kind("RoleBinding"):
        namespace = binding["metadata"]["namespace"]
        assert rendered.find(binding["roleRef"]["kind"], binding["roleRef"]["name"], namespace)
        for subject in binding["subjects"]:
            assert rendered.find(subject["kind"], subject["name"], subject["namespace"])


@pytest.mark.parametrize(
    "name", [name for name in ALL if "external-secrets" in name or name in ("staging", "production")]
)
def test_external_secrets(name: str) -> None:
    rendered = render(name)
    elsewhere = {
        (each["metadata"]["namespace"], each["metadata"]["name"]): secret_data(each)
        for each in documents(KUBERNETES / "sops/aws-credentials.yaml")
    }
    for secret in rendered.of_kind("ExternalSecret"):
        store = secret["spec"]["secretStoreRef"]
        assert rendered.find(store["kind"], store["name"], secret["metadata"]["namespace"])
        made = {entry["secretKey"] for entry in secret["spec"]["data"]}
        template = secret["spec"]["target"].get("template", {}).get("data", {})
        used = set(re.findall(r"\.(\w+)", " ".join(re.findall(r"{{(.*?)}}", str(template)))))
        assert used <= made
        assert secret["spec"]["target"]["creationPolicy"] == "Owner"
        assert secret["spec"]["refreshInterval"] == "1h"
    for store in rendered.of_kind("SecretStore"):
        assert store["spec"]["provider"]["aws"]["service"] == "SecretsManager"
        for reference in store["spec"]["provider"]["aws"]["auth"]["secretRef"].values():
            assert reference["key"] in elsewhere[store["metadata"]["namespace"], reference["name"]]
    # The document's secrets, and one for the database; none that nobody reads, whose absence in AWS would be an error.
    references = [entry["remoteRef"] for each in rendered.of_kind("ExternalSecret") for entry in each["spec"]["data"]]
    expected = {("sftp/audio-server", "username"), ("sftp/audio-server", "password")}
    if rendered.find("ConfigMap", "database"):
        expected.add(("audio-compressor/postgresql", "password"))
    if any("imagePullSecrets" in account for account in rendered.of_kind("ServiceAccount")):
        expected |= {("dockerhub/credentials", "username"), ("dockerhub/credentials", "password")}
    assert {(each["key"], each["property"]) for each in references} == expected


def test_every_account_may_pull_with_the_registrys_credentials() -> None:
    """As kubelets know Docker Hub, and with what kubectl create secret docker-registry would have written."""
    rendered = render("production")
    target = rendered.get("ExternalSecret", "dockerhub-credentials-secret")["spec"]["target"]
    for account in rendered.of_kind("ServiceAccount"):
        assert account["imagePullSecrets"] == [{"name": target["name"]}], account["metadata"]["name"]
    assert target["template"]["type"] == "kubernetes.io/dockerconfigjson"
    values = {
        ".username | toJson": "me",
        ".password | toJson": 'p"w',
        'printf "%s:%s" .username .password | b64enc | toJson': base64.b64encode(b'me:p"w').decode(),
    }
    text = target["template"]["data"][".dockerconfigjson"]
    made = json.loads(re.sub("{{ (.*?) }}", lambda match: json.dumps(values[match[1]]), text))
    login = {"username": "me", "password": 'p"w', "auth": "bWU6cCJ3"}
    assert made == {"auths": {"https://index.docker.io/v1/": login}}


@pytest.mark.parametrize("name", ALL)
def test_dagster_finds_its_parts(name: str) -> None:
    rendered = render(name)
    if not rendered.find("ConfigMap", "dagster-workspace"):
        return
    workspace = yaml.safe_load(rendered.get("ConfigMap", "dagster-workspace")["data"]["workspace.yaml"])
    [location] = workspace["load_from"]
    server = location["grpc_server"]
    [port] = rendered.get("Service", server["host"])["spec"]["ports"]
    assert port["port"] == server["port"]
    template = rendered.pod_templates()["Deployment/code-server"]
    arguments = template["spec"]["containers"][0]["args"]
    assert arguments[arguments.index("--location-name") + 1] == server["location_name"]
    for service in ("webserver", "daemon"):
        [container] = rendered.pod_templates()[f"Deployment/{service}"]["spec"]["containers"]
        file = container["args"][container["args"].index("--workspace") + 1]
        assert any(file == f"{mount['mountPath']}/workspace.yaml" for mount in container["volumeMounts"])
    host = rendered.get("ConfigMap", "database")["data"]["DAGSTER_PG_HOST"]
    is_inside = rendered.find("StatefulSet", "postgres") is not None
    assert (rendered.find("Service", host) is not None) == is_inside or "external-postgres" in name


@pytest.mark.parametrize("name", [*OVERLAYS, HELM_COMPANION])
def test_no_name_is_written_in_two_ways(name: str) -> None:
    """Objects of ours are in our namespaces; whatever is not, is the cluster's."""
    places: dict[Any, set[str]] = {}
    for each in render(name).objects:
        places.setdefault(each["metadata"].get("namespace"), set()).add(each["kind"])
    assert set(places) <= {None, NAMESPACE, "sftp-server"}
    assert places[None] <= {"Namespace", "PersistentVolume"}
