"""A stand-in for the Kubernetes API: a real HTTP server that keeps jobs, records each request, and lets nobody do what
a Role does not allow.

Only the calls that the launcher makes have an answer; any other one is an error of the test.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from audio_compressor_tests.deploy.rendered import NAMESPACE, Object, Rendered

TOKEN = "token-of-the-service-account"


@dataclass(frozen=True)
class Call:
    """A request as RBAC sees it; ``group`` is empty for the core API, ``resource`` includes the subresource."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str = ""

    def right(self) -> tuple[str, str, str]:
        return self.group, self.resource, self.verb


@dataclass
class Cluster:
    """What is there, and who asked for what."""

    rights: frozenset[tuple[str, str, str]]
    jobs: dict[str, Object] = field(default_factory=dict)
    pods: dict[str, Object] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    events: list[Object] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    refused: list[Call] = field(default_factory=list)

    def used_rights(self) -> set[tuple[str, str, str]]:
        return {call.right() for call in self.calls}

    def start_pod(self, job_name: str) -> Object:
        """As the Job controller and a kubelet would."""
        template = self.jobs[job_name]["spec"]["template"]
        name = f"{job_name}-x7k2p"
        labels = {**template["metadata"]["labels"], "job-name": job_name}
        state = {"running": {"startedAt": "2026-01-01T02:00:00Z"}}
        container = template["spec"]["containers"][0]["name"]
        status = {"name": container, "image": "", "imageID": "", "ready": True, "restartCount": 0, "state": state}
        self.pods[name] = {
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
            "spec": template["spec"],
            "status": {"phase": "Running", "containerStatuses": [status]},
        }
        self.jobs[job_name]["status"] = {"active": 1, "startTime": "2026-01-01T02:00:00Z"}
        self.logs[name] = "a line of the run\n"
        return self.pods[name]

    def end_job(self, job_name: str, *, succeeded: bool) -> None:
        status = {"succeeded": 1} if succeeded else {"failed": 1}
        self.jobs[job_name]["status"] = {**status, "startTime": "2026-01-01T02:00:00Z"}

    def answer(self, call: Call, query: Mapping[str, list[str]], body: Object | None) -> tuple[int, Any]:
        match call.right():
            case ("batch", "jobs", "create"):
                assert body is not None
                self.jobs[body["metadata"]["name"]] = body
                return 201, body
            case ("batch", "jobs", "delete"):
                return (200, _success()) if self.jobs.pop(call.name, None) else (404, _failure("not found", 404))
            case ("batch", "jobs", "list"):
                return 200, _list(self.jobs, query)
            case ("batch", "jobs/status", "get"):
                return (200, self.jobs[call.name]) if call.name in self.jobs else (404, _failure("not found", 404))
            case ("", "pods", "list"):
                return 200, _list(self.pods, query)
            case ("", "pods", "delete"):
                return (200, self.pods.pop(call.name)) if call.name in self.pods else (404, _failure("not found", 404))
            case ("", "pods/log", "get"):
                return 200, self.logs[call.name]
            case ("", "events", "list"):
                return 200, {"kind": "EventList", "items": self.events}
        return 501, _failure(f"nobody thought of {call}", 501)


def rights_of(rendered: Rendered, service_account: str, namespace: str = NAMESPACE) -> frozenset[tuple[str, str, str]]:
    """Group, resource and verb of all that its Roles allow in this namespace."""
    found: set[tuple[str, str, str]] = set()
    for binding in rendered.of_kind("RoleBinding", "ClusterRoleBinding"):
        subjects = [(each["kind"], each["name"], each.get("namespace")) for each in binding["subjects"]]
        if ("ServiceAccount", service_account, namespace) not in subjects:
            continue
        for rule in rendered.get(binding["roleRef"]["kind"], binding["roleRef"]["name"])["rules"]:
            found.update(
                (group, resource, verb)
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
            )
    return frozenset(found)


@contextmanager
def kubernetes_api(rights: frozenset[tuple[str, str, str]], kubeconfig: Path) -> Iterator[Cluster]:
    """Serves on the loopback interface; ``kubeconfig`` is written for its clients."""
    cluster = Cluster(rights)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            url = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            call = _call(self.command, url.path)
            answer: Any
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                status, answer = 401, _failure("who is there?", 401)
            elif call.right() not in cluster.rights:
                cluster.refused.append(call)
                status, answer = 403, _failure(f"{call} is not allowed", 403)
            else:
                cluster.calls.append(call)
                status, answer = cluster.answer(call, parse_qs(url.query), body)
            is_text = isinstance(answer, str)
            data = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if is_text else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = respond  # noqa: N815

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    kubeconfig.write_text(yaml.safe_dump(_kubeconfig(server.server_port)))
    try:
        yield cluster
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _call(method: str, path: str) -> Call:
    """As in https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb."""
    parts = path.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    assert rest[0] == "namespaces", path
    namespace, kind, *names = rest[1:]
    verb = {"GET": "get" if names else "list", "POST": "create", "DELETE": "delete", "PUT": "update", "PATCH": "patch"}
    return Call(verb[method], group, "/".join([kind, *names[1:]]), namespace, names[0] if names else "")


def _list(objects: Mapping[str, Object], query: Mapping[str, list[str]]) -> Object:
    """By one label, or by name."""
    [(kind, [selector])] = ((kind, query[kind]) for kind in ("labelSelector", "fieldSelector") if kind in query)
    key, _, value = selector.partition("=")
    if kind == "fieldSelector":
        assert key == "metadata.name"
        found = [each for name, each in objects.items() if name == value]
    else:
        found = [each for each in objects.values() if each["metadata"]["labels"].get(key) == value]
    return {"kind": "List", "items": found}


def _kubeconfig(port: int) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "stand-in", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "dagster", "user": {"token": TOKEN}}],
        "contexts": [{"name": "stand-in", "context": {"cluster": "stand-in", "user": "dagster"}}],
        "current-context": "stand-in",
    }


def _success() -> Object:
    return {"kind": "Status", "status": "Success"}


def _failure(message: str, code: int) -> Object:
    return {"kind": "Status", "status": "Failure", "message": message, "code": code}
