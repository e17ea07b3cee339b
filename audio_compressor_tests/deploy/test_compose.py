"""compose.yaml: who may do what, what waits for whom, that names mean something, and that the settings are valid."""

import importlib.util
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto import mock_aws

from audio_compressor.settings import CredentialSettings, Settings, load_settings
from audio_compressor_tests.deploy.dockerfile import stages
from audio_compressor_tests.fixtures.studio import CHECKOUT

COMPOSE = yaml.safe_load((CHECKOUT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
HERE = CHECKOUT / "deploy" / "compose"
OURS = {"${IMAGE:-audio-compressor}", "audio-compressor-demo"}
ONE_SHOT = {name for name, service in SERVICES.items() if service.get("restart") == "no"}
REFERENCE = re.compile(r"\$\{(\w+)(:?[-?][^}]*)?\}")


def example() -> dict[str, str]:
    lines = (HERE / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def filled() -> dict[str, str]:
    return {name: value or "chosen-by-the-operator" for name, value in example().items()}


def awaited(name: str) -> dict[str, Any]:
    depends_on: dict[str, Any] = SERVICES[name].get("depends_on", {})
    return depends_on


def mounts(name: str) -> list[list[str]]:
    return [volume.split(":") for volume in SERVICES[name].get("volumes", ())]


def test_it_is_what_the_specification_allows() -> None:
    if importlib.util.find_spec("check_jsonschema") is None:
        pytest.skip("check-jsonschema is not installed")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(CHECKOUT / "compose.yaml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_nobody_may_more_than_needed(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & set(service)
    assert service["image"] in OURS or re.match(r"^[a-z/]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)?$", service["image"])


def test_only_the_web_server_is_reached_from_outside_and_only_from_this_machine() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"webserver"}
    [port] = SERVICES["webserver"]["ports"]
    assert port.startswith("127.0.0.1:")


def test_secrets_come_from_the_environment() -> None:
    for service in SERVICES.values():
        for variable, value in (service.get("environment") or {}).items():
            if re.search("PASSWORD|SECRET|ACCESS_KEY", variable):
                assert REFERENCE.fullmatch(value), variable
    for variable, value in example().items():
        if re.search("PASSWORD|SECRET_ACCESS", variable):
            assert value == "", variable
    assert ".env" in (CHECKOUT / ".gitignore").read_text().splitlines()


def test_every_variable_is_explained_or_has_a_default() -> None:
    text = "\n".join(line for line in (CHECKOUT / "compose.yaml").read_text().splitlines() if "#" not in line)
    for name, default in REFERENCE.findall(text):
        assert name in example() or (default.startswith(":-") and len(default) > 2), name
    known = {name.upper() for group in (Settings, CredentialSettings) for name in group.model_fields}
    used = {name for name, _ in REFERENCE.findall(text)} | known | {"COMPOSE_PROFILES"}
    assert set(example()) <= used
    profiles = {profile for service in SERVICES.values() for profile in service.get("profiles", ())}
    assert set(example()["COMPOSE_PROFILES"].split(",")) == profiles


def test_the_settings_of_the_example_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*Settings.model_fields, *CredentialSettings.model_fields):
        monkeypatch.delenv(name.upper(), raising=False)
    code_server = SERVICES["code-server"]
    assert code_server["env_file"] == ".env"
    for name, value in {**filled(), **code_server["environment"]}.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.storage_backend == "s3"
    assert str(settings.sftp_port) in stages_of("demo", "EXPOSE")
    writable = {target for source, target, *mode in mounts("code-server") if source in COMPOSE["volumes"] and not mode}
    paths = (settings.output_dir, settings.temp_dir, settings.sftp_known_hosts, settings.audio_storage_path)
    for path in paths:
        assert any(Path(path).is_relative_to(target) for target in writable), path


def stages_of(name: str, keyword: str) -> list[str]:
    [stage] = [stage for stage in stages() if stage.name == name]
    return [word for instruction in stage.all(keyword) for word in instruction.words]


def test_every_host_is_a_service() -> None:
    settings = example()
    named = [settings["SFTP_HOST"], re.match(r"http://([\w-]+):7070$", settings["S3_ENDPOINT_URL"])]
    workspace = yaml.safe_load((HERE / "workspace.yaml").read_text())["load_from"][0]["grpc_server"]
    named += [workspace["host"], SERVICES["daemon"]["environment"]["DAGSTER_PG_HOST"]]
    assert [host if isinstance(host, str) else host and host[1] for host in named] == [
        "sftp",
        "s3",
        "code-server",
        "postgres",
    ]
    assert str(workspace["port"]) in shlex.split(SERVICES["code-server"]["command"])
    assert SERVICES["code-server"]["command"].endswith(f"--location-name {workspace['location_name']}")


def test_whoever_is_waited_for_can_be() -> None:
    images_with_a_check = {"${IMAGE:-audio-compressor}", "audio-compressor-demo"}
    for name in SERVICES:
        for other, wait in awaited(name).items():
            service = SERVICES[other]
            if wait["condition"] == "service_completed_successfully":
                assert other in ONE_SHOT
            else:
                assert wait["condition"] == "service_healthy"
                assert "test" in service.get("healthcheck", {}) or service["image"] in images_with_a_check
            # One that its profile leaves out must not be missed.
            assert ("profiles" not in service or service["profiles"] == SERVICES[name].get("profiles")) or (
                wait["required"] is False
            )
    # `docker compose up --wait` takes an end for a failure, unless somebody that stays waits for it.
    assert {other for name in SERVICES if name not in ONE_SHOT for other in awaited(name)} >= ONE_SHOT
    assert all(SERVICES[name]["healthcheck"] == {"disable": True} for name in ONE_SHOT)


def test_a_start_does_not_wait_for_whole_intervals() -> None:
    for service in SERVICES.values():
        if service["image"] in OURS and service["restart"] != "no":
            assert service["healthcheck"] == {"start_interval": "5s"}


@pytest.mark.parametrize("role", ["code-server", "webserver", "daemon"])
def test_the_roles_have_as_long_to_end_as_on_kubernetes(role: str) -> None:
    documents = yaml.safe_load_all((CHECKOUT / "deploy" / "kubernetes" / "dagster" / f"{role}.yaml").read_text())
    [deployment] = [document for document in documents if document["kind"] == "Deployment"]
    minutes = int(SERVICES[role]["stop_grace_period"].removesuffix("m"))
    assert minutes * 60 >= deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]


def test_the_s3_expects_the_region_that_requests_are_signed_for() -> None:
    region = SERVICES["s3"]["environment"]["VGW_REGION"]
    assert region == SERVICES["bucket"]["environment"]["AWS_DEFAULT_REGION"]


def test_what_is_mounted_exists() -> None:
    used = set()
    for name in SERVICES:
        for source, _, *mode in mounts(name):
            if source.startswith("./"):
                assert (CHECKOUT / source).is_file()
                assert mode == ["ro"]
            else:
                used.add(source)
    assert used == set(COMPOSE["volumes"])


def test_the_instance_is_the_shipped_one_with_another_storage() -> None:
    ours, shipped = (yaml.safe_load((at / "dagster.yaml").read_text()) for at in (HERE, CHECKOUT))
    storage = ours.pop("storage")["postgres"]["postgres_db"]
    assert {**shipped, "storage": None} == {**ours, "storage": None}
    variables = {value["env"] for value in storage.values()}
    for name in ("code-server", "webserver", "daemon", "migrate"):
        assert variables <= set(SERVICES[name]["environment"])


@mock_aws
def test_the_bucket_is_made_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("S3_BUCKET", "compressed")
    monkeypatch.setenv("S3_ENDPOINT_URL", "https://s3.amazonaws.com")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    [script] = [source for source, *_ in mounts("bucket") if source.endswith(".py")]
    for _ in range(2):
        runpy.run_path(str(CHECKOUT / script))
        assert [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]] == ["compressed"]
    assert capsys.readouterr().out == "bucket compressed is there\n" * 2
    assert shlex.split(SERVICES["bucket"]["command"])[-1] in {target for _, target, *_ in mounts("bucket")}


def test_the_database_is_that_of_kubernetes() -> None:
    [stateful_set, *_] = yaml.safe_load_all(
        (CHECKOUT / "deploy" / "kubernetes" / "components" / "postgres" / "postgres.yaml").read_text()
    )
    [postgres] = stateful_set["spec"]["template"]["spec"]["containers"]
    assert postgres["image"] == f"docker.io/library/{SERVICES['postgres']['image']}"


@pytest.mark.parametrize("role", ["code-server", "webserver", "daemon", "migrate"])
def test_the_command_lines_are_those_of_kubernetes(role: str) -> None:
    name = {"migrate": "migration"}.get(role, role)
    documents = yaml.safe_load_all((CHECKOUT / "deploy" / "kubernetes" / "dagster" / f"{name}.yaml").read_text())
    [container] = [
        container
        for document in documents
        if document["kind"] in {"Deployment", "Job"}
        for container in document["spec"]["template"]["spec"]["containers"]
    ]
    assert shlex.split(SERVICES[role]["command"]) == container["args"]
