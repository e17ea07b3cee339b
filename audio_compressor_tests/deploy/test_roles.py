"""The overlay `local` as processes: SFTP server, migration, code server, webserver and daemon with the command lines,
environments and files of its manifests, on PostgreSQL from Debian's package; their probes; and one night, whose runs
are executed as their Jobs say.
"""

import json
import signal
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audio_compressor_tests.deploy.kubernetes_api import Cluster, kubernetes_api, rights_of
from audio_compressor_tests.deploy.local_pods import Container, Machine, Running, secret_data
from audio_compressor_tests.deploy.postgres_server import postgres_server
from audio_compressor_tests.deploy.rendered import Rendered, render

SERVICES = ("code-server", "webserver", "daemon")
SFTP_HOST = "sftp-service.sftp-server.svc.cluster.local"
SAMPLES = ("10-17-25", "10-17-25-01", "10-18-25", "10-20-25", "10-21-25", "10-21-25-01")
_PATIENCE_SECONDS = 180.0


@dataclass
class Deployment:
    """What runs, and the API in which it wants to start more."""

    machine: Machine
    api: Cluster
    services: dict[str, Running]
    started_seconds: dict[str, float]
    migrations: list[int]
    sftp_server: Running

    def container(self, template_name: str, *, index: int = 0) -> Container:
        template = self.machine.rendered.pod_templates()[template_name]
        return Container(self.machine, template, template["spec"]["containers"][index], template_name.replace("/", "-"))

    def query(self, text: str, **variables: object) -> Any:
        """As the UI asks the webserver."""
        body = json.dumps({"query": text, "variables": variables}).encode()
        url = f"http://127.0.0.1:{self.machine.port(3000)}/graphql"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            told = json.load(answer)
        assert "errors" not in told, told
        return told["data"]

    def job(self, *, without: set[str]) -> str:
        """The name of the next Job that is not one of these."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if names := sorted(set(self.api.jobs) - without):
                return names[0]
            time.sleep(0.5)
        raise AssertionError(f"no Job was created; the daemon says: {self.services['daemon'].tail()}")

    def wait_for_status(self, run_id: str, status: str) -> None:
        text = "query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (now := self.query(text, id=run_id)["runOrError"]["status"]) != status:
            assert time.monotonic() < deadline, f"{run_id} is {now}, not {status}"
            time.sleep(0.5)

    def pod(self, job_name: str) -> Container:
        template = self.api.jobs[job_name]["spec"]["template"]
        return Container(self.machine, template, template["spec"]["containers"][0], job_name)


def pod_of(machine: Machine, name: str, *, init: bool = False) -> Container:
    template = machine.rendered.pod_templates()[name]
    container = template["spec"]["initContainers" if init else "containers"][0]
    return Container(machine, template, container, f"{name.replace('/', '-')}{'-init' if init else ''}")


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    rendered = render("local")
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        directory.chmod(0o755)  # PostgreSQL's user goes through it
        with deployed(rendered, directory) as found:
            yield found


@contextmanager
def deployed(rendered: Rendered, directory: Path) -> Iterator[Deployment]:
    database = rendered.get("ConfigMap", "database")["data"]
    password = secret_data(rendered.get("Secret", "dagster-postgresql"))["postgresql-password"]
    with ExitStack() as stack:
        postgres = postgres_server(
            directory / "postgres",
            user=database["DAGSTER_PG_USERNAME"],
            password=password,
            database=database["DAGSTER_PG_DB"],
        )
        machine = Machine(rendered, directory, ports={5432: stack.enter_context(postgres)})
        api = stack.enter_context(kubernetes_api(rights_of(rendered, "dagster"), directory / "kubeconfig"))
        describe(machine, directory / "kubeconfig")

        assert pod_of(machine, "Deployment/sftp-server", init=True).run() == 0
        sftp_server = stack.enter_context(pod_of(machine, "Deployment/sftp-server").running())
        sftp_server.wait_until_started()
        migrations = [pod_of(machine, "Job/dagster-migration").run() for _ in range(2)]
        services, started_seconds = {}, {}
        for name in SERVICES:
            services[name] = stack.enter_context(pod_of(machine, f"Deployment/{name}").running())
            started_seconds[name] = services[name].wait_until_started()
        yield Deployment(machine, api, services, started_seconds, migrations, sftp_server)


def describe(machine: Machine, kubeconfig: Path) -> None:
    """What is elsewhere on this machine than in a cluster."""
    for port in (2222, 3000, 4000):
        machine.port(port)
    machine.ports[22] = machine.port(2222)
    machine.hosts.update({SFTP_HOST: "127.0.0.1", "postgres": "127.0.0.1"})
    machine.texts.update(
        {
            f"{SFTP_HOST} ssh-": f"[127.0.0.1]:{machine.port(2222)} ssh-",
            "host: code-server": "host: 127.0.0.1",
            "port: 4000": f"port: {machine.port(4000)}",
            "hostname: {env: DAGSTER_PG_HOST}": f"hostname: {{env: DAGSTER_PG_HOST}}\n      port: {machine.port(5432)}",
            # In a cluster, the address of the API and a token are in the pod.
            "    job_namespace: ": f"    load_incluster_config: false\n    kubeconfig_file: {kubeconfig}\n"
            "    job_namespace: ",
        }
    )


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_night(deployment: Deployment) -> None:
    """One story, since everything together takes a minute to start."""
    assert deployment.migrations == [0, 0], "it makes the tables, and may be repeated"
    every_probe_answers(deployment)
    the_webserver_knows_what_the_code_server_tells(deployment)
    what_is_on_the_server_becomes_green(deployment)
    a_run_that_is_ended_in_the_ui_stops_in_time(deployment)
    every_service_stops_cleanly_in_its_grace_period(deployment)


def every_probe_answers(deployment: Deployment) -> None:
    for name, service in deployment.services.items():
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            if kind in service.container.spec:
                assert service.container.probe(kind), f"{kind} of {name}"
        print(f"{name}: started after {deployment.started_seconds[name]:.1f} s, all probes answer")


def the_webserver_knows_what_the_code_server_tells(deployment: Deployment) -> None:
    told = deployment.query("{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus } } } }")
    assert told["workspaceOrError"]["locationEntries"] == [{"name": "audio_compressor", "loadStatus": "LOADED"}]


def what_is_on_the_server_becomes_green(deployment: Deployment) -> None:
    """The sensor finds what is on the SFTP server, its run becomes a Job, and what the Job says makes it green."""
    name = deployment.job(without=set())
    pod = deployment.pod(name)
    assert not [variable for variable in pod.environment if variable.startswith(("KUBERNETES", "AWS"))]
    deployment.api.start_pod(name)
    assert pod.run() == 0, pod.log.read_text()[-3000:]
    deployment.api.end_job(name, succeeded=True)

    run_id = name.removeprefix("dagster-run-")
    told = deployment.query(
        "query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status jobName tags { key value } } } }", id=run_id
    )
    assert told["runOrError"]["status"] == "SUCCESS"
    tags = {tag["key"]: tag["value"] for tag in told["runOrError"]["tags"]}
    assert tags["dagster/image"] == "audio-compressor:local"
    states = deployment.query(
        'query { assetNodeOrError(assetKey: {path: ["compressed_audio"]}) { ... on AssetNode {'
        " assetPartitionStatuses { ... on DefaultPartitionStatuses { materializedPartitions } } } } }"
    )
    done = states["assetNodeOrError"]["assetPartitionStatuses"]["materializedPartitions"]
    compressed = {path.name for path in deployment.machine.claim("audio-compressor", "audio-compressed-pvc").iterdir()}
    assert set(done) == set(SAMPLES)
    assert {f"{sample}_compressed.wav" for sample in SAMPLES} <= compressed
    assert [leftover for leftover in (pod.root / "tmp/audio-processing").rglob("*") if leftover.is_dir()] == []


def a_run_that_is_ended_in_the_ui_stops_in_time(deployment: Deployment) -> None:
    """The launcher deletes Job and pod, the kubelet sends SIGTERM, and the run, which waits for a silent server, cleans
    up and says how it ended before it would be killed.
    """
    before = set(deployment.api.jobs)
    deployment.sftp_server.process.send_signal(signal.SIGSTOP)
    try:
        launched = deployment.query(
            """mutation Launch($tags: [ExecutionTag!]!) { launchRun(executionParams: {
              selector: {repositoryLocationName: "audio_compressor", repositoryName: "__repository__",
                         jobName: "compression_job"},
              executionMetadata: {tags: $tags}}) {
              __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
            tags=[{"key": "dagster/partition", "value": SAMPLES[0]}],
        )
        run_id = launched["launchRun"]["run"]["runId"]
        name = f"dagster-run-{run_id}"
        while deployment.job(without=before) != name:  # the processing report may come first
            before.add(deployment.job(without=before))
        deployment.api.start_pod(name)
        grace_seconds = deployment.api.jobs[name]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        pod = deployment.pod(name)
        with pod.running() as running:
            deployment.wait_for_status(run_id, "STARTED")
            calls = len(deployment.api.calls)
            told = deployment.query("mutation End($id: String!) { terminateRun(runId: $id) { __typename } }", id=run_id)
            assert told["terminateRun"]["__typename"] == "TerminateRunSuccess"
            verbs = {(call.verb, call.resource) for call in deployment.api.calls[calls:]}
            # Run monitoring may have looked meanwhile.
            assert verbs >= {("list", "pods"), ("delete", "jobs"), ("delete", "pods")}
            running.stop(grace_seconds)
        deployment.wait_for_status(run_id, "CANCELED")
        staging = pod.root / "tmp/audio-processing"
        assert [leftover for leftover in staging.rglob("*") if leftover.is_dir()] == []
    finally:
        deployment.sftp_server.process.send_signal(signal.SIGCONT)
    assert deployment.api.refused == []


def every_service_stops_cleanly_in_its_grace_period(deployment: Deployment) -> None:
    """Nothing runs afterwards."""
    for name in reversed(SERVICES):
        service = deployment.services[name]
        template = deployment.machine.rendered.pod_templates()[f"Deployment/{name}"]
        assert service.stop(template["spec"]["terminationGracePeriodSeconds"]) in {0, -15, 143}, service.tail()
