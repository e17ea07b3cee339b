"""Pod Security Standards, level `restricted`, and the little more that this project promises.

https://kubernetes.io/docs/concepts/security/pod-security-standards/ (as of Kubernetes 1.37), for pods of Linux.
"""

from collections.abc import Iterator
from typing import Any

from audio_compressor_tests.deploy.rendered import Object, containers

_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}
_SELINUX_TYPES = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
_PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def violations(template: Object) -> list[str]:
    """Of ``restricted``: what the admission of the namespace would refuse."""
    return [*_of_pod(template), *(found for each in containers(template) for found in _of_container(template, each))]


def laxities(template: Object) -> list[str]:
    """What ``restricted`` allows, and this project does not need."""
    spec = template["spec"]
    found = [f"{each['name']}: writable root file system" for each in containers(template) if not _is_read_only(each)]
    if spec.get("enableServiceLinks") is not False:
        found.append("services in the environment, whose names may be those of settings")
    if spec.get("securityContext", {}).get("runAsUser", 0) < 100:
        found.append("no numeric user of its own")
    if not isinstance(spec.get("automountServiceAccountToken"), bool):
        found.append("says nothing about a token")
    return found


def _is_read_only(container: Object) -> bool:
    return container.get("securityContext", {}).get("readOnlyRootFilesystem") is True


def _of_pod(template: Object) -> Iterator[str]:
    spec, context = template["spec"], template["spec"].get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield field
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield "hostProcess"
    for volume in spec.get("volumes", []):
        kinds = set(volume) - {"name"}
        if not kinds <= _VOLUMES:
            yield f"volume {volume['name']}: {', '.join(sorted(kinds))}"
    for sysctl in context.get("sysctls", []):
        if sysctl["name"] not in _SYSCTLS:
            yield f"sysctl {sysctl['name']}"
    for name, value in template["metadata"].get("annotations", {}).items():
        if name.startswith("container.apparmor.security.beta.kubernetes.io/") and value == "unconfined":
            yield f"{name}: {value}"
    if context.get("runAsUser") == 0:
        yield "runAsUser 0"
    yield from (f"pod: {found}" for found in _of_either(context))


def _of_container(template: Object, container: Object) -> Iterator[str]:
    name = container["name"]
    pod, context = template["spec"].get("securityContext", {}), container.get("securityContext", {})
    if context.get("privileged"):
        yield f"{name}: privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation"
    capabilities = context.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield f"{name}: keeps capabilities"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"{name}: adds capabilities"
    if context.get("procMount", "Default") != "Default":
        yield f"{name}: procMount"
    if (context.get("runAsNonRoot", pod.get("runAsNonRoot"))) is not True:
        yield f"{name}: may be root"
    if context.get("runAsUser") == 0:
        yield f"{name}: runAsUser 0"
    seccomp = context.get("seccompProfile", pod.get("seccompProfile", {})).get("type")
    if seccomp not in {"RuntimeDefault", "Localhost"}:
        yield f"{name}: seccompProfile"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield f"{name}: hostPort"
    for handler in [container.get(probe, {}) for probe in _PROBES] + list(container.get("lifecycle", {}).values()):
        if any(handler.get(kind, {}).get("host") for kind in ("httpGet", "tcpSocket")):
            yield f"{name}: a probe of another host"
    yield from (f"{name}: {found}" for found in _of_either(context))


def _of_either(context: dict[str, Any]) -> Iterator[str]:
    if context.get("appArmorProfile", {}).get("type") == "Unconfined":
        yield "AppArmor unconfined"
    options = context.get("seLinuxOptions", {})
    if options.get("type") not in _SELINUX_TYPES or options.get("user") or options.get("role"):
        yield "SELinux options"
    if context.get("seccompProfile", {}).get("type") == "Unconfined":
        yield "seccomp unconfined"
