"""The component `library`, added to overlays as docs/deployment.md says, and the other ways to deploy a library."""

import json
import os
import re
import shutil
import tempfile
import textwrap
from functools import cache
from pathlib import Path

import boto3
import dagster as dg
import pytest
import yaml
from moto import mock_aws

from audio_compressor.definitions import build_definitions
from audio_compressor.settings import LibrarySettings, Settings, load_settings
from audio_compressor_tests.deploy.launching import launched_job
from audio_compressor_tests.deploy.rendered import (
    HELM,
    HELM_COMPANION,
    KUBERNETES,
    NAMESPACE,
    OVERLAYS,
    WITH_LIBRARY,
    Object,
    Rendered,
    documents,
    render,
    render_directory,
)
from audio_compressor_tests.deploy.test_compose import HERE as COMPOSE_FILES
from audio_compressor_tests.deploy.test_compose import SERVICES
from audio_compressor_tests.deploy.test_variables import KNOWN_VARIABLES, environment_of
from audio_compressor_tests.fixtures.studio import CHECKOUT

COMPONENT = "components/library"
MOUNT = {"name": "library", "mountPath": "/data/library"}
VOLUME = {"name": "library", "persistentVolumeClaim": {"claimName": "audio-library-pvc"}}
DEPLOYMENT_PAGE = (CHECKOUT / "docs" / "deployment.md").read_text()


def documented(start: str) -> str:
    """The indented block of the section on libraries that starts like this."""
    [section] = re.findall(r"^### A library\n(.*?)^### ", DEPLOYMENT_PAGE, re.MULTILINE | re.DOTALL)
    blocks = [textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)]
    [found] = [block for block in blocks if block.startswith(start)]
    return found


@cache
def with_the_library(source: Path, *, has_address: bool = True) -> Rendered:
    """A copy of this kustomization, to whose lists is added what the documentation says."""
    with tempfile.TemporaryDirectory() as temporary:
        copied = Path(temporary).resolve() / "mine"
        shutil.copytree(source, copied)
        [kustomization] = documents(copied / "kustomization.yaml")
        for kind in ("resources", "components", "transformers"):
            kustomization[kind] = [
                os.path.relpath((source / name).resolve(), copied) if name.startswith("..") else name
                for name in kustomization[kind]
            ]
        added = yaml.safe_load(documented("components:"))
        assert [(KUBERNETES / "overlays" / "mine" / name).resolve() for name in added["components"]] == [
            KUBERNETES / COMPONENT
        ]
        if not has_address:
            del added["patches"]
        added["components"] = [os.path.relpath(KUBERNETES / COMPONENT, copied)]
        for key, more in added.items():
            kustomization[key] = [*kustomization.get(key, []), *more]
        (copied / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return render_directory(f"{source.name}+library", copied)


def overlay(name: str) -> Rendered:
    return with_the_library(KUBERNETES / "overlays" / name)


def pods_of(rendered: Rendered) -> dict[str, Object]:
    run = launched_job(rendered)["spec"]["template"]
    return {**rendered.pod_templates(), "run": {**run, "metadata": {**run["metadata"], "namespace": NAMESPACE}}}


@pytest.mark.parametrize("name", [WITH_LIBRARY, "production"])
def test_whoever_runs_our_code_may_write_to_it_and_nobody_else_sees_it(name: str) -> None:
    rendered = render(name) if name == WITH_LIBRARY else overlay(name)
    for pod, template in pods_of(rendered).items():
        spec = template["spec"]
        mounts = [mount for each in spec["containers"] for mount in each.get("volumeMounts", [])]
        is_ours = pod in {"run", "Deployment/code-server"}
        assert [each for each in mounts if each["name"] == "library"] == ([MOUNT] if is_ours else []), pod
        assert [each for each in spec.get("volumes", []) if each["name"] == "library"] == ([VOLUME] if is_ours else [])


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_gives_each_export_its_own_address(name: str) -> None:
    """What ages recordings must never be given the export of the results."""
    places = {each["metadata"]["name"]: each["spec"] for each in overlay(name).of_kind("PersistentVolume")}
    library = places.pop("audio-library")
    assert library["nfs"] == {"server": "nfs.mine.example.internal", "path": "/exports/audio-library"}
    assert places == {each["metadata"]["name"]: each["spec"] for each in render(name).of_kind("PersistentVolume")}


@pytest.mark.parametrize("source", [*(KUBERNETES / "overlays" / name for name in OVERLAYS), HELM])
def test_a_forgotten_address_is_not_that_of_the_results(source: Path) -> None:
    volume = with_the_library(source, has_address=False).get("PersistentVolume", "audio-library", None)
    assert volume["spec"]["nfs"] == {"server": "nfs.example.internal", "path": "/exports/audio-library"}


def test_originals_outlive_the_claim_and_locks_hold_between_nodes() -> None:
    spec = render(WITH_LIBRARY).get("PersistentVolume", "audio-library", None)["spec"]
    assert spec["persistentVolumeReclaimPolicy"] == "Retain"
    assert spec["accessModes"] == ["ReadWriteMany"]
    assert set(spec["mountOptions"]) == {"hard", "nfsvers=4.1"}, "nfsvers=3 has no locks of its own, `soft` loses data"


@pytest.mark.parametrize("name", OVERLAYS)
def test_nothing_else_of_an_overlay_changes(name: str) -> None:
    before, after = render(name).instance, overlay(name).instance
    launcher = after["run_launcher"]["config"]
    assert launcher["volume_mounts"].pop() == MOUNT
    assert launcher["volumes"].pop() == VOLUME
    assert after == before
    unchanged = {each["metadata"]["name"]: each for each in render(name).of_kind("NetworkPolicy", "Secret", "Role")}
    assert {
        each["metadata"]["name"]: each for each in overlay(name).of_kind("NetworkPolicy", "Secret", "Role")
    } == unchanged


@pytest.mark.parametrize("name", OVERLAYS)
def test_code_server_and_runs_have_its_settings_and_its_schedules(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = overlay(name)
    pods = pods_of(rendered)
    for pod in ("Deployment/code-server", "run"):
        [container] = pods[pod]["spec"]["containers"]
        plain, _ = environment_of(rendered, pods[pod], container)
        settings = settings_of(plain, monkeypatch)
        assert (settings.library_dir, settings.trash_days) == ("/data/library/recordings", 14)
        assert (settings.cold_bucket, settings.cold_prefix) == ("cold", "archive/")
        for path in (settings.library_dir, settings.audio_storage_path, settings.archive_policy):
            assert str(Path(path).parent) == MOUNT["mountPath"], pod
        apart = {settings.library_dir, settings.audio_storage_path, settings.output_dir}
        assert not any(Path(one).is_relative_to(other) for one in apart for other in apart - {one})
    schedules = {each.name: each for each in build_definitions(settings).schedules or ()}
    schedule = schedules["archive_schedule"]
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def settings_of(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    for variable in KNOWN_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    return load_settings()


def test_the_services_start_anew_with_it() -> None:
    """By the hash in the names of what they mount."""
    before, after = (
        each.get("ConfigMap", "dagster-instance") for each in (render("production"), overlay("production"))
    )
    assert before["metadata"]["name"] != after["metadata"]["name"]
    template = overlay("production").pod_templates()["Deployment/daemon"]
    assert f"'{after['metadata']['name']}'" in str(template)


def test_with_the_chart_it_brings_what_is_not_in_the_charts_values() -> None:
    before, after = render(HELM_COMPANION), with_the_library(HELM)
    names = {each["metadata"]["name"] for each in after.of_kind("PersistentVolume", "PersistentVolumeClaim")}
    assert {"audio-library", "audio-library-pvc"} <= names
    added = set(after.get("ConfigMap", "run-settings")["data"]) - set(before.get("ConfigMap", "run-settings")["data"])
    assert added == {"LIBRARY_DIR", "AUDIO_STORAGE_PATH", "ARCHIVE_POLICY", "COLD_BUCKET", "TRASH_DAYS"}
    for text in re.findall(r"`(\{name: library, .*?\}+)`", DEPLOYMENT_PAGE):
        assert yaml.safe_load(text) in (MOUNT, VOLUME)
    assert len(re.findall(r"`\{name: library, ", DEPLOYMENT_PAGE)) == 2


def test_directories_of_other_names_are_a_patch() -> None:
    patch = [{"op": "replace", "path": "/data/LIBRARY_DIR", "value": "/data/library/talks"}]
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary).resolve()
        kustomization = {
            "resources": ["base", "dagster"],
            "components": ["components/postgres", "components/plain-secrets", COMPONENT],
            "transformers": ["transformers/run-pods"],
        }
        paths = {
            kind: [os.path.relpath(KUBERNETES / each, directory) for each in names]
            for kind, names in kustomization.items()
        }
        patches = [{"target": {"kind": "ConfigMap", "name": "settings"}, "patch": yaml.safe_dump(patch)}]
        (directory / "kustomization.yaml").write_text(yaml.safe_dump({**paths, "patches": patches}))
        rendered = render_directory("other names", directory)
    for copied in ("settings", "run-settings"):
        assert rendered.get("ConfigMap", copied)["data"]["LIBRARY_DIR"] == "/data/library/talks"


def test_compose_has_a_place_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    [line] = re.findall(r"^#(LIBRARY_DIR=.*)$", (COMPOSE_FILES / ".env.example").read_text(), re.MULTILINE)
    variables = dict([line.split("=", 1)], **SERVICES["code-server"]["environment"], SFTP_HOST="")
    settings = settings_of(variables, monkeypatch)
    mounts = re.findall(r"^ +- (/srv/\S+)$", DEPLOYMENT_PAGE, re.MULTILINE)
    assert {mount.split(":")[1] for mount in mounts} == {settings.library_dir, settings.output_dir}
    apart = {settings.library_dir, settings.audio_storage_path, settings.output_dir}
    assert not any(Path(one).is_relative_to(other) for one in apart for other in apart - {one})


@mock_aws
def test_the_lifecycle_rule_removes_unfinished_uploads_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    command = documented("aws s3api put-bucket-lifecycle-configuration")
    [text] = re.findall(r"'\n(.*)'", command, re.DOTALL)
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="cold")
    s3.put_bucket_lifecycle_configuration(Bucket="cold", LifecycleConfiguration=json.loads(text))
    [rule] = s3.get_bucket_lifecycle_configuration(Bucket="cold")["Rules"]
    assert set(rule) == {"ID", "Status", "Filter", "AbortIncompleteMultipartUpload"}
    assert rule["Status"] == "Enabled"
    assert rule["Filter"] == {"Prefix": LibrarySettings.model_fields["cold_prefix"].default}
