"""K8sRunLauncher with our configuration: what it creates is what the manifests promise, and all that it asks for is
what its Role allows. The API is a stand-in that records and refuses; launcher and client are the real ones.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import kubernetes
import pytest
from dagster import DagsterRunStatus
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.launcher.base import WorkerStatus

from audio_compressor_tests.deploy.kubernetes_api import kubernetes_api, rights_of
from audio_compressor_tests.deploy.launching import IMAGE, Launching, launching
from audio_compressor_tests.deploy.rendered import ALL, HELM_COMPANION, NAMESPACE, OVERLAYS, render


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Launching]:
    with launching(render("production"), tmp_path) as found:
        yield found


def begin(ours: Launching, run_id: str) -> None:
    """As the process of the run tells it."""
    for kind in (DagsterEventType.PIPELINE_STARTING, DagsterEventType.PIPELINE_START):
        ours.instance.report_dagster_event(DagsterEvent(kind.value, "compression_job"), run_id)


def test_the_job_of_a_run(ours: Launching) -> None:
    run = ours.launch()
    job = ours.job_of(run)
    spec, template = job["spec"], job["spec"]["template"]
    pod = template["spec"]
    [container] = pod["containers"]

    assert (spec["backoffLimit"], spec["ttlSecondsAfterFinished"]) == (0, 86_400)
    assert pod["restartPolicy"] == "Never"
    for labels in (job["metadata"]["labels"], template["metadata"]["labels"]):
        assert labels["audio-compressor/role"] == "run"
        assert labels["app.kubernetes.io/part-of"] == "audio-compressor"
        assert labels["dagster/run-id"] == run.run_id
        assert labels["dagster/job"] == "compression_job"
    assert template["metadata"]["annotations"] == {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "karpenter.sh/do-not-disrupt": "true",
    }

    assert (container["image"], container["imagePullPolicy"]) == (IMAGE, "IfNotPresent")
    assert container["args"][:3] == ["dagster", "api", "execute_run"]
    arguments = json.loads(container["args"][3])
    assert arguments["pipeline_run_id"] == run.run_id
    assert arguments["set_exit_code_on_failure"] is True, "kubectl would tell that a failed run is complete"
    assert "command" not in container
    assert container["resources"] == {
        "requests": {"cpu": "500m", "memory": "512Mi", "ephemeral-storage": "10Gi"},
        "limits": {"cpu": "2", "memory": "2Gi"},
    }
    assert container["envFrom"] == [
        {"configMapRef": {"name": "run-settings"}},
        {"configMapRef": {"name": "run-database"}},
        {"secretRef": {"name": "sftp-credentials"}},
    ]
    environment = {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}
    assert environment == {
        "DAGSTER_RUN_JOB_NAME": "compression_job",
        "DAGSTER_HOME": "/var/lib/audio-compressor",
        "DAGSTER_PG_PASSWORD": {"secretKeyRef": {"name": "dagster-postgresql", "key": "postgresql-password"}},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("audio-compressor", False)
    assert (pod["enableServiceLinks"], pod["terminationGracePeriodSeconds"]) == (False, 120)
    assert {
        mount["mountPath"]: (mount["name"], mount.get("readOnly", False)) for mount in container["volumeMounts"]
    } == {
        "/data/compressed": ("compressed-audio", False),
        "/tmp": ("tmp", False),
        "/var/lib/audio-compressor": ("home", False),
        "/etc/audio-compressor": ("known-hosts", True),
        "/etc/sftp-key": ("sftp-key", True),
    }
    assert pod["volumes"] == [
        {"name": "compressed-audio", "persistentVolumeClaim": {"claimName": "audio-compressed-pvc"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "10Gi"}},
        {"name": "home", "emptyDir": {"sizeLimit": "100Mi"}},
        {"name": "known-hosts", "configMap": {"name": "run-known-hosts"}},
        {"name": "sftp-key", "secret": {"secretName": "sftp-private-key", "optional": True, "defaultMode": 0o440}},
    ]
    assert run.tags["dagster/image"] == IMAGE


def test_no_secret_is_in_the_job(ours: Launching) -> None:
    """The instance comes with the arguments, which anybody may read who may look at pods."""
    database = json.loads(ours.job_of(ours.launch())["spec"]["template"]["spec"]["containers"][0]["args"][3])
    assert "password" not in json.dumps(database).replace("DAGSTER_PG_PASSWORD", "").replace(
        "postgres_password_secret", ""
    )


def test_who_starts_a_run_may_choose_its_size_and_nothing_else(ours: Launching) -> None:
    large = {"container_config": {"resources": {"limits": {"memory": "8Gi"}}}}
    job = ours.job_of(ours.launch(tags={"dagster-k8s/config": json.dumps(large)}))
    limits = job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"cpu": "2", "memory": "8Gi"}

    for greedy in (
        {"container_config": {"image": "somebody/elses"}},
        {"container_config": {"env": [{"name": "SFTP_HOST", "value": "elsewhere"}]}},
        {"container_config": {"security_context": {"privileged": True}}},
        {"pod_spec_config": {"service_account_name": "dagster", "automount_service_account_token": True}},
        {"pod_spec_config": {"volumes": [{"name": "token", "secret": {"secret_name": "aws-credentials"}}]}},
        {"job_spec_config": {"ttl_seconds_after_finished": 1_000_000}},
    ):
        before = len(ours.cluster.jobs)
        with pytest.raises(Exception, match="violated the allowed list"):
            ours.launch(tags={"dagster-k8s/config": json.dumps(greedy)})
        assert len(ours.cluster.jobs) == before


def test_all_that_it_asks_for_is_allowed_and_all_that_is_allowed_it_asks_for(ours: Launching) -> None:
    """Started, looked at while it runs and after it failed, ended, and looked at again when it is gone."""
    launcher, cluster = ours.launcher, ours.cluster
    run = ours.launch()
    begin(ours, run.run_id)
    name = f"dagster-run-{run.run_id}"
    pod = cluster.start_pod(name)
    cluster.events.append(
        {
            "metadata": {"name": "an-event", "namespace": NAMESPACE},
            "involvedObject": {"kind": "Pod", "name": pod["metadata"]["name"]},
            "type": "Warning",
            "reason": "BackOff",
            "message": "Back-off pulling image",
            "count": 3,
        }
    )
    started = ours.instance.get_run_by_id(run.run_id)
    assert started is not None
    assert launcher.check_run_worker_health(started).status is WorkerStatus.RUNNING
    told = launcher.get_run_worker_debug_info(started) or ""
    assert "a line of the run" in told
    assert "BackOff: Back-off pulling image (x3)" in told

    assert launcher.terminate(run.run_id) is True
    assert (cluster.jobs, cluster.pods) == ({}, {})
    canceling = ours.instance.get_run_by_id(run.run_id)
    assert canceling is not None
    assert canceling.status is DagsterRunStatus.CANCELING
    assert launcher.check_run_worker_health(canceling).status is WorkerStatus.UNKNOWN
    assert "Could not find job" in (launcher.get_run_worker_debug_info(canceling) or "")

    lost = ours.launch()
    begin(ours, lost.run_id)
    cluster.end_job(f"dagster-run-{lost.run_id}", succeeded=False)
    gone = ours.instance.get_run_by_id(lost.run_id)
    assert gone is not None
    assert launcher.check_run_worker_health(gone).status is WorkerStatus.FAILED

    assert cluster.refused == []
    assert {call.namespace for call in cluster.calls} == {NAMESPACE}
    assert cluster.used_rights() == cluster.rights


@pytest.mark.parametrize("name", [name for name in ALL if not name.startswith("cronjob")])
def test_nobody_else_has_rights(name: str) -> None:
    rendered = render(name)
    accounts = {each["metadata"]["name"] for each in rendered.of_kind("ServiceAccount")}
    assert accounts == {"audio-compressor", "dagster"}
    assert rights_of(rendered, "audio-compressor") == frozenset()
    assert rendered.of_kind("ClusterRole", "ClusterRoleBinding") == []
    assert rights_of(rendered, "dagster") == rights_of(render("production"), "dagster")
    account = rendered.get("ServiceAccount", "audio-compressor")
    assert account["automountServiceAccountToken"] is False


def test_without_a_right_it_fails(tmp_path: Path) -> None:
    """Or the tests above would pass whatever the Role says."""
    with kubernetes_api(frozenset({("batch", "jobs", "list")}), tmp_path / "kubeconfig") as cluster:
        kubernetes.config.load_kube_config(str(tmp_path / "kubeconfig"))
        with kubernetes.client.ApiClient() as client:
            api = kubernetes.client.BatchV1Api(client)
            assert api.list_namespaced_job(NAMESPACE, field_selector="metadata.name=x").items == []
            with pytest.raises(kubernetes.client.exceptions.ApiException, match="403"):
                api.delete_namespaced_job("x", NAMESPACE)
    assert [call.right() for call in cluster.refused] == [("batch", "jobs", "delete")]


@pytest.mark.parametrize("name", OVERLAYS)
def test_each_overlay_launches(name: str, tmp_path: Path) -> None:
    with launching(render(name), tmp_path) as found:
        job = found.job_of(found.launch())
    launcher = render(name).instance["run_launcher"]["config"]
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == launcher["resources"]
    assert job["spec"]["template"]["spec"]["volumes"] == launcher["volumes"]


def test_the_helm_companion_has_what_runs_refer_to() -> None:
    launcher = render("production").instance["run_launcher"]["config"]
    companion = render(HELM_COMPANION)
    for config_map in launcher["env_config_maps"]:
        assert companion.get("ConfigMap", config_map)["data"]
