"""The component `cronjob`: a night without Dagster's services, one after the other, with a memory."""

import pytest

from audio_compressor_tests.deploy.rendered import ALL, Object, Rendered, render

NIGHTS = [name for name in ALL if name.startswith("cronjob")]
_DAY_SECONDS = 86_400


@pytest.mark.parametrize("name", NIGHTS)
def test_it_runs_each_night_and_ends_with_its_exit_code(name: str) -> None:
    rendered = render(name)
    spec = rendered.get("CronJob", "audio-compressor")["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("0 2 * * *", "Etc/UTC", "Forbid")
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    template = rendered.pod_templates()["CronJob/audio-compressor"]
    assert template["spec"]["restartPolicy"] == "Never"
    assert template["spec"]["containers"][0]["args"] == ["audio-compressor", "run"]
    # No services of Dagster, and no database for them.
    assert rendered.of_kind("Deployment", "StatefulSet", "Role") == (
        [rendered.get("Deployment", "sftp-server", "sftp-server")] if "sftp-server" in name else []
    )


@pytest.mark.parametrize("name", NIGHTS)
def test_a_night_that_hangs_or_is_missed_costs_no_other(name: str) -> None:
    spec = render(name).get("CronJob", "audio-compressor")["spec"]
    job = spec["jobTemplate"]["spec"]
    grace_seconds = job["template"]["spec"]["terminationGracePeriodSeconds"]
    assert job["activeDeadlineSeconds"] + grace_seconds < _DAY_SECONDS
    assert spec["startingDeadlineSeconds"] >= 3600


@pytest.mark.parametrize("name", NIGHTS)
def test_it_remembers_what_was_done_and_who_did_it(name: str) -> None:
    """Its history is on a volume that stays, of its user, and a night that was killed is known by the name of the host
    (audio_compressor/defs/dead_runs.py).
    """
    rendered = render(name)
    pod = rendered.pod_templates()["CronJob/audio-compressor"]["spec"]
    [container] = pod["containers"]
    [home] = [entry["value"] for entry in container["env"] if entry["name"] == "DAGSTER_HOME"]
    [volume] = [mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == home]
    [source] = [each for each in pod["volumes"] if each["name"] == volume]
    claim = rendered.get("PersistentVolumeClaim", source["persistentVolumeClaim"]["claimName"])["spec"]
    assert claim["accessModes"] == ["ReadWriteOnce"]
    assert "volumeName" not in claim
    assert pod["hostname"] == "audio-compressor"


def test_its_pod_is_like_that_of_a_run() -> None:
    ours = pod_of(render(NIGHTS[0]))
    launcher = render("production").instance["run_launcher"]["config"]
    [staging] = [volume["emptyDir"] for volume in launcher["volumes"] if volume["name"] == "tmp"]
    run = launcher["run_k8s_config"]
    assert ours == {
        "resources": launcher["resources"],
        "staging": staging,
        "grace": run["pod_spec_config"]["terminationGracePeriodSeconds"],
        "annotations": run["pod_template_spec_metadata"]["annotations"],
    }


def pod_of(rendered: Rendered) -> Object:
    template = rendered.pod_templates()["CronJob/audio-compressor"]
    pod = template["spec"]
    [staging] = [volume["emptyDir"] for volume in pod["volumes"] if volume["name"] == "tmp"]
    return {
        "resources": pod["containers"][0]["resources"],
        "staging": staging,
        "grace": pod["terminationGracePeriodSeconds"],
        "annotations": template["metadata"]["annotations"],
    }
