"""To what pods refer, and whether it is there.

Secrets may also come from an ExternalSecret.
"""

from collections.abc import Iterator

from audio_compressor_tests.deploy.launching import launched_job
from audio_compressor_tests.deploy.rendered import NAMESPACE, Object, Rendered, containers, render


def templates_of(name: str) -> Iterator[tuple[str, Object]]:
    """With that of a run, where there are runs."""
    rendered = render(name)
    yield from rendered.pod_templates().items()
    if rendered.find("ConfigMap", "dagster-instance"):
        template = launched_job(rendered)["spec"]["template"]
        yield "run", {**template, "metadata": {**template["metadata"], "namespace": NAMESPACE}}


def keys_of(rendered: Rendered, kind: str, name: str, namespace: str) -> set[str] | None:
    """Of a ConfigMap or Secret by its whole name; None when there is none."""
    for each in rendered.of_kind(kind):
        if (each["metadata"]["name"], each["metadata"]["namespace"]) == (name, namespace):
            return {*each.get("data", {}), *each.get("stringData", {})}
    for each in rendered.of_kind("ExternalSecret") if kind == "Secret" else []:
        target = each["spec"]["target"]
        if (target["name"], each["metadata"]["namespace"]) == (name, namespace):
            made = target.get("template", {}).get("data") or {entry["secretKey"]: "" for entry in each["spec"]["data"]}
            return set(made)
    return None


def missing_in(rendered: Rendered, template: Object) -> Iterator[str]:
    """What this pod refers to and is not there."""
    namespace, spec = template["metadata"]["namespace"], template["spec"]

    def lacks(kind: str, name: str, key: str | None = None) -> Iterator[str]:
        keys = keys_of(rendered, kind, name, namespace)
        if keys is None:
            yield f"{kind} {namespace}/{name}"
        elif key is not None and key not in keys:
            yield f"{kind} {namespace}/{name}: {key}"

    account = spec.get("serviceAccountName")
    if account:
        found = rendered.find("ServiceAccount", account, namespace)
        if found is None:
            yield f"ServiceAccount {account}"
        for secret in (found or {}).get("imagePullSecrets", []):
            yield from lacks("Secret", secret["name"], ".dockerconfigjson")
    for secret in spec.get("imagePullSecrets", []):
        yield from lacks("Secret", secret["name"], ".dockerconfigjson")

    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    for volume in volumes.values():
        if "configMap" in volume:
            yield from lacks("ConfigMap", volume["configMap"]["name"])
        if "secret" in volume and not volume["secret"].get("optional"):
            yield from lacks("Secret", volume["secret"]["secretName"])
        if "persistentVolumeClaim" in volume:
            claim = volume["persistentVolumeClaim"]["claimName"]
            if rendered.find("PersistentVolumeClaim", claim, namespace) is None:
                yield f"PersistentVolumeClaim {namespace}/{claim}"

    mounted = set()
    for container in containers(template):
        for mount in container.get("volumeMounts", []):
            mounted.add(mount["name"])
            if mount["name"] not in volumes:
                if mount["name"] not in claim_templates(rendered, template):
                    yield f"volume {mount['name']}"
            elif "subPath" in mount:
                yield from lacks("ConfigMap", volumes[mount["name"]]["configMap"]["name"], mount["subPath"])
        for source in container.get("envFrom", []):
            for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if field in source:
                    yield from lacks(kind, source[field]["name"])
        for entry in container.get("env", []):
            for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if reference := entry.get("valueFrom", {}).get(field):
                    yield from lacks(kind, reference["name"], reference["key"])
        ports = {port["name"] for port in container.get("ports", [])}
        ports |= {port["containerPort"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            for kind in ("grpc", "httpGet", "tcpSocket"):
                if (port := container.get(probe, {}).get(kind, {}).get("port")) and port not in ports:
                    yield f"port {port} of {probe}"
    yield from (f"no mount of volume {name}" for name in set(volumes) - mounted)


def claim_templates(rendered: Rendered, template: Object) -> set[str]:
    return {
        claim["metadata"]["name"]
        for each in rendered.of_kind("StatefulSet")
        if each["spec"]["template"]["metadata"]["labels"] == template["metadata"]["labels"]
        for claim in each["spec"].get("volumeClaimTemplates", [])
    }
