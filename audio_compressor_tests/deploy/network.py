"""Which pod may speak to which, as NetworkPolicies say.

https://kubernetes.io/docs/concepts/services-networking/network-policies/: a pod that no policy selects for a direction
is open in it, one that some select has what any of them allows, and a connection needs both ends.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audio_compressor_tests.deploy.rendered import Object, Rendered


@dataclass(frozen=True)
class Peer:
    """A pod, or with an ``address`` something outside of the cluster."""

    name: str
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    address: str = ""


def peer(name: str, namespace: str, **labels: str) -> Peer:
    return Peer(name, namespace, tuple(labels.items()))


def pods_of(rendered: Rendered, launched: Object | None = None) -> list[Peer]:
    """Of the workloads, and with ``launched`` (the template of a run) those that the launcher makes."""
    templates = dict(rendered.pod_templates())
    if launched is not None:
        templates["run"] = {**launched, "metadata": {**launched["metadata"], "namespace": "audio-compressor"}}
    return [
        Peer(name, template["metadata"]["namespace"], tuple(template["metadata"]["labels"].items()))
        for name, template in templates.items()
    ]


def is_open(policies: Sequence[Object], source: Peer, target: Peer, port: int, protocol: str = "TCP") -> bool:
    return _allows(policies, "Egress", source, target, port, protocol) and accepts(
        policies, source, target, port, protocol
    )


def accepts(policies: Sequence[Object], source: Peer, target: Peer, port: int, protocol: str = "TCP") -> bool:
    """Whether ``target`` would be open if the other end were."""
    return _allows(policies, "Ingress", target, source, port, protocol)


def _allows(policies: Sequence[Object], direction: str, pod: Peer, other: Peer, port: int, protocol: str) -> bool:
    if pod.address:
        return True  # what is outside has no policies of ours
    selecting = [each for each in policies if direction in each["spec"]["policyTypes"] and selects(each, pod)]
    if not selecting:
        return True
    rules = [rule for each in selecting for rule in each["spec"].get(direction.lower(), [])]
    peers = "to" if direction == "Egress" else "from"
    return any(
        _has_port(rule, port, protocol) and (peers not in rule or any(_is(each, other, pod) for each in rule[peers]))
        for rule in rules
    )


def selects(policy: Object, pod: Peer) -> bool:
    return policy["metadata"]["namespace"] == pod.namespace and matches(policy["spec"]["podSelector"], dict(pod.labels))


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In", expression
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return True


def _has_port(rule: Object, port: int, protocol: str) -> bool:
    return "ports" not in rule or any(
        each["port"] == port and each.get("protocol", "TCP") == protocol for each in rule["ports"]
    )


def _is(described: Object, other: Peer, pod: Peer) -> bool:
    if "ipBlock" in described:
        return bool(other.address) and _is_in(described["ipBlock"], other.address)
    if other.address:
        return False
    if "namespaceSelector" in described:
        if not matches(described["namespaceSelector"], {"kubernetes.io/metadata.name": other.namespace}):
            return False
    elif other.namespace != pod.namespace:
        return False
    return matches(described.get("podSelector", {}), dict(other.labels))


def _is_in(block: Object, address: str) -> bool:
    found = ipaddress.ip_address(address)
    inside = found in ipaddress.ip_network(block["cidr"])
    return inside and not any(found in ipaddress.ip_network(each) for each in block.get("except", []))
