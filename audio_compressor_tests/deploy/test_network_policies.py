"""Who may speak to whom: everything that is needed, and nothing else."""

from collections.abc import Iterable

import pytest

from audio_compressor_tests.deploy.launching import launched_job
from audio_compressor_tests.deploy.network import Peer, accepts, is_open, peer, pods_of, selects
from audio_compressor_tests.deploy.rendered import ALL, WITH_LIBRARY, WITH_TRACKS, Rendered, render

DNS = peer("DNS", "kube-system", **{"k8s-app": "kube-dns"})
NODE_DNS = Peer("DNS of the node", address="169.254.20.10")
INGRESS = peer("ingress controller", "ingress-nginx", app="ingress-nginx")
STRANGER = peer("stranger", "default", app="stranger")
IN_OUR_NAMESPACE = peer("somebody without a role", "audio-compressor", app="debug")
OTHER_SFTP = peer("SFTP server of others", "sftp-server", app="sftp-server")
AWS = Peer("AWS", address="52.94.133.131")
METADATA = Peer("metadata of the node", address="169.254.169.254")
METADATA_6 = Peer("metadata of the node, IPv6", address="fd00:ec2::254")
KUBERNETES_API = Peer("Kubernetes API", address="10.96.0.1")
DATABASE = Peer("database", address="10.20.30.40")
DATABASE_172 = Peer("database in 172", address="172.31.0.5")
DATABASE_192 = Peer("database in 192", address="192.168.1.5")
INTERNET = Peer("anywhere", address="203.0.113.7")
_ADDRESSES = (
    NODE_DNS, AWS, METADATA, METADATA_6, KUBERNETES_API, DATABASE, DATABASE_172, DATABASE_192, INTERNET
)  # fmt: skip
OUTSIDE = (DNS, INGRESS, STRANGER, IN_OUR_NAMESPACE, OTHER_SFTP, *_ADDRESSES)
PORTS = (22, 53, 80, 443, 2222, 3000, 3306, 4000, 5432, 6443, 8443)

_METADATA = {NODE_DNS, METADATA, METADATA_6}  # link-local, and Amazon's for the same
_EVERYWHERE_HTTPS = {(each.name, 443) for each in _ADDRESSES if each not in _METADATA}
_API = {(each.name, port) for each in _ADDRESSES for port in (443, 6443, 8443)}
_DNS = {(DNS.name, 53), (NODE_DNS.name, 53)}
_SFTP = {(OTHER_SFTP.name, 22), (OTHER_SFTP.name, 2222)}


def connections(rendered: Rendered, pods: Iterable[Peer]) -> dict[str, set[tuple[str, int]]]:
    """By name of a pod: to whom and to which port it gets."""
    policies = rendered.of_kind("NetworkPolicy")
    peers = [*pods, *OUTSIDE]
    return {
        source.name: {
            (target.name, port)
            for target in peers
            for port in PORTS
            if target != source
            and is_open(policies, source, target, port)
            and (target.namespace != source.namespace or target in pods)
        }
        for source in peers
    }


def of_overlay(name: str) -> tuple[Rendered, list[Peer], dict[str, set[tuple[str, int]]]]:
    rendered = render(name)
    pods = pods_of(rendered, launched_job(rendered)["spec"]["template"])
    return rendered, pods, connections(rendered, pods)


def test_in_the_overlay_local() -> None:
    _, _, found = of_overlay("local")
    sftp = {("Deployment/sftp-server", 2222)}
    postgres = {("StatefulSet/postgres", 5432)}
    control = {("Deployment/code-server", 4000), *_API}
    assert found["run"] == {*_DNS, *sftp, *postgres}
    assert found["Deployment/code-server"] == {*_DNS, *sftp, *postgres}
    assert found["Deployment/webserver"] == {*_DNS, *postgres, *control}
    assert found["Deployment/daemon"] == {*_DNS, *postgres, *control}
    assert found["Job/dagster-migration"] == {*_DNS, *postgres}
    assert found["StatefulSet/postgres"] == _DNS
    assert found["Deployment/sftp-server"] == set()
    assert found[INGRESS.name] & {(pod, port) for pod in found for port in PORTS if "/" in pod or pod == "run"} == {
        ("Deployment/webserver", 3000)
    }


def test_in_the_overlay_production() -> None:
    _, _, found = of_overlay("production")
    database = {(each.name, 5432) for each in (DATABASE, DATABASE_172, DATABASE_192, KUBERNETES_API)}
    assert found["run"] == {*_DNS, *_SFTP, *database, *_EVERYWHERE_HTTPS}
    assert found["Deployment/code-server"] == found["run"]
    assert found["Deployment/webserver"] == {*_DNS, *database, *_API, ("Deployment/code-server", 4000)}
    assert found["Deployment/daemon"] == found["Deployment/webserver"]
    assert found["Job/dagster-migration"] == {*_DNS, *database}


def test_runs_reach_the_database_of_uploads_and_its_bucket_and_the_services_do_not() -> None:
    _, _, found = of_overlay(WITH_TRACKS)
    private = (DATABASE, DATABASE_172, DATABASE_192, KUBERNETES_API)
    catalog = {(each.name, port) for each in private for port in (3306, 5432)}
    assert found["run"] == {*_DNS, *_SFTP, *_EVERYWHERE_HTTPS, ("StatefulSet/postgres", 5432), *catalog}
    assert found["Deployment/code-server"] == found["run"]
    assert found["Deployment/webserver"].isdisjoint(catalog)
    assert found["Deployment/daemon"].isdisjoint(catalog)


def test_runs_reach_cold_storage_and_the_services_do_not() -> None:
    """And nothing else is opened for a library: its export is mounted by the node."""
    _, _, found = of_overlay(WITH_LIBRARY)
    assert found["run"] == {*_DNS, *_SFTP, *_EVERYWHERE_HTTPS, ("StatefulSet/postgres", 5432)}
    assert found["Deployment/code-server"] == found["run"]
    control = {("Deployment/code-server", 4000), ("StatefulSet/postgres", 5432), *_API}
    assert found["Deployment/webserver"] == found["Deployment/daemon"] == {*_DNS, *control}


@pytest.mark.parametrize("name", ALL)
def test_from_outside_only_the_ingress_controller_gets_in_and_only_to_the_webserver(name: str) -> None:
    rendered = render(name)
    pods = pods_of(rendered)
    policies = rendered.of_kind("NetworkPolicy")
    for pod in pods:
        for source in (INGRESS, STRANGER, IN_OUR_NAMESPACE, OTHER_SFTP, INTERNET):
            allowed = {port for port in PORTS if accepts(policies, source, pod, port)}
            expected = {3000} if (source, pod.name) == (INGRESS, "Deployment/webserver") else set()
            assert allowed == expected, (source.name, pod.name)


@pytest.mark.parametrize("name", ALL)
def test_every_pod_is_closed_unless_a_policy_opens_it(name: str) -> None:
    rendered = render(name)
    for namespace in {pod.namespace for pod in pods_of(rendered)}:
        [default] = [
            each["spec"]
            for each in rendered.of_kind("NetworkPolicy")
            if each["metadata"]["namespace"] == namespace and each["metadata"]["name"] == "default-deny"
        ]
        assert default == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("name", ALL)
def test_names_are_asked_with_udp_too(name: str) -> None:
    rendered = render(name)
    policies = rendered.of_kind("NetworkPolicy")
    for pod in pods_of(rendered):
        if pod.namespace == "audio-compressor":
            assert is_open(policies, pod, DNS, 53, "UDP"), pod.name
            assert is_open(policies, pod, NODE_DNS, 53, "UDP"), pod.name


@pytest.mark.parametrize("name", ["local", "staging", "production"])
def test_every_policy_is_for_somebody(name: str) -> None:
    rendered = render(name)
    pods = pods_of(rendered, launched_job(rendered)["spec"]["template"])
    for policy in rendered.of_kind("NetworkPolicy"):
        assert any(selects(policy, pod) for pod in pods), policy["metadata"]["name"]
