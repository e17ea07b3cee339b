"""Pod Security `restricted` for every pod of every rendering, for what the launcher creates, and in the namespaces."""

import copy
from collections.abc import Callable

import pytest

from audio_compressor_tests.deploy.launching import launched_job
from audio_compressor_tests.deploy.pod_security import laxities, violations
from audio_compressor_tests.deploy.rendered import ALL, OVERLAYS, Object, render

# Pods with a token: they start and end those of runs.
LAUNCHERS = {"Deployment/webserver", "Deployment/daemon"}
_CLEAN = "Deployment/webserver"


@pytest.mark.parametrize("name", ALL)
def test_every_pod_is_restricted(name: str) -> None:
    found = {
        template_name: [*violations(template), *laxities(template)]
        for template_name, template in render(name).pod_templates().items()
    }
    assert {template_name: problems for template_name, problems in found.items() if problems} == {}


@pytest.mark.parametrize("name", ALL)
def test_only_who_launches_has_a_token(name: str) -> None:
    with_token = {
        template_name
        for template_name, template in render(name).pod_templates().items()
        if template["spec"]["automountServiceAccountToken"] or template["spec"].get("serviceAccountName") == "dagster"
    }
    assert with_token <= LAUNCHERS


@pytest.mark.parametrize("name", ALL)
def test_volumes_are_made_writable_for_their_user(name: str) -> None:
    """A disk that was formatted for a claim belongs to root."""
    rendered = render(name)
    for template_name, template in rendered.pod_templates().items():
        context = template["spec"]["securityContext"]
        assert context["fsGroup"] == context["runAsGroup"] == context["runAsUser"], template_name
        # On a volume with many files, everything else would take minutes at each start.
        assert context["fsGroupChangePolicy"] == "OnRootMismatch", template_name


@pytest.mark.parametrize("name", ALL)
def test_the_namespaces_say_so(name: str) -> None:
    namespaces = {each["metadata"]["name"]: each["metadata"]["labels"] for each in render(name).of_kind("Namespace")}
    assert "audio-compressor" in namespaces
    for labels in namespaces.values():
        for mode in ("enforce", "audit", "warn"):
            assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
            assert labels[f"pod-security.kubernetes.io/{mode}-version"] == "latest"


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_pod_of_a_run_is_restricted_and_has_no_token(name: str) -> None:
    template = launched_job(render(name))["spec"]["template"]
    assert [*violations(template), *laxities(template)] == []
    assert template["spec"]["automountServiceAccountToken"] is False
    # Nobody gave it a volume with one either.
    assert all("projected" not in volume for volume in template["spec"]["volumes"])


def _set(*path: str | int, value: object) -> Callable[[Object], None]:
    def change(template: Object) -> None:
        place = template["spec"]
        for step in path[:-1]:
            place = place[step] if isinstance(step, int) else place.setdefault(step, {})
        place[path[-1]] = value

    return change


def _delete(*path: str | int) -> Callable[[Object], None]:
    def change(template: Object) -> None:
        place = template["spec"]
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("hostNetwork", value=True),
        _set("hostPID", value=True),
        _set("securityContext", "windowsOptions", value={"hostProcess": True}),
        _set("volumes", value=[{"name": "host", "hostPath": {"path": "/"}}]),
        _set("volumes", value=[{"name": "nfs", "nfs": {"server": "elsewhere", "path": "/"}}]),
        _set("securityContext", "sysctls", value=[{"name": "kernel.msgmax", "value": "1"}]),
        _set("securityContext", "runAsUser", value=0),
        _set("securityContext", "seccompProfile", value={"type": "Unconfined"}),
        _delete("securityContext", "seccompProfile"),
        _delete("securityContext", "runAsNonRoot"),
        _set("containers", 0, "securityContext", "runAsNonRoot", value=False),
        _set("containers", 0, "securityContext", "runAsUser", value=0),
        _set("containers", 0, "securityContext", "privileged", value=True),
        _set("containers", 0, "securityContext", "procMount", value="Unmasked"),
        _set("containers", 0, "securityContext", "appArmorProfile", value={"type": "Unconfined"}),
        _set("containers", 0, "securityContext", "seLinuxOptions", value={"role": "sysadm_r"}),
        _set("containers", 0, "securityContext", "capabilities", value={"drop": ["NET_RAW"]}),
        _set("containers", 0, "securityContext", "capabilities", value={"drop": ["ALL"], "add": ["SYS_PTRACE"]}),
        _delete("containers", 0, "securityContext", "allowPrivilegeEscalation"),
        _set("containers", 0, "ports", value=[{"containerPort": 3000, "hostPort": 3000}]),
        _set("containers", 0, "livenessProbe", value={"httpGet": {"port": 80, "host": "169.254.169.254"}}),
        _set("initContainers", value=[{"name": "first", "image": "busybox"}]),
    ],
)
def test_what_is_not_restricted_is_found(change: Callable[[Object], None]) -> None:
    """Or the tests above would pass whatever a pod may do."""
    template = copy.deepcopy(render("local").pod_templates()[_CLEAN])
    assert violations(template) == []
    change(template)
    assert violations(template) != []


@pytest.mark.parametrize(
    "change",
    [
        _delete("containers", 0, "securityContext", "readOnlyRootFilesystem"),
        _delete("enableServiceLinks"),
        _delete("automountServiceAccountToken"),
        _delete("securityContext", "runAsUser"),
    ],
)
def test_what_is_not_needed_is_found(change: Callable[[Object], None]) -> None:
    template = copy.deepcopy(render("local").pod_templates()[_CLEAN])
    change(template)
    assert violations(template) == []
    assert laxities(template) != []
