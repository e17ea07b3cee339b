"""The environment of what runs our code: variables that the settings know, with values that they allow, and credentials
and host keys that fit the SFTP server.
"""

import base64
from pathlib import Path

import dagster as dg
import pytest
import yaml
from paramiko import Ed25519Key

from audio_compressor.definitions import build_definitions
from audio_compressor.demo.server import well_known_host_key
from audio_compressor.settings import GROUPS, CredentialSettings, Settings, load_settings
from audio_compressor.sftp.credentials import resolve_credentials
from audio_compressor.sftp.hostkeys import KnownHosts
from audio_compressor_tests.deploy.launching import launched_job
from audio_compressor_tests.deploy.local_pods import secret_data
from audio_compressor_tests.deploy.references import keys_of, templates_of
from audio_compressor_tests.deploy.rendered import (
    ALL,
    COMBINATIONS,
    NAMESPACE,
    WITH_DAGSTER,
    WITH_TRACKS,
    Combination,
    Object,
    Rendered,
    containers,
    render,
    render_combination,
)

KNOWN_VARIABLES = {name.upper() for group in GROUPS for name in group.model_fields}
REQUIRED_VARIABLES = {"SFTP_HOST"}
# Of Dagster, of the launcher, and of images that are not ours.
OTHER_VARIABLES = {
    "DAGSTER_HOME",
    "DAGSTER_CURRENT_IMAGE",
    "DAGSTER_RUN_JOB_NAME",
    "DAGSTER_PG_HOST",
    "DAGSTER_PG_DB",
    "DAGSTER_PG_USERNAME",
    "DAGSTER_PG_PASSWORD",
    "POSTGRES_DB",
    "POSTGRES_USER",
    "POSTGRES_PASSWORD",
    "POSTGRES_INITDB_ARGS",
    "PGDATA",
}
OUR_CODE = {"run", "code-server"}


def environment_of(rendered: Rendered, template: Object, container: Object) -> tuple[dict[str, str], set[str]]:
    """Variables with their values, and those whose values are secret or somebody else's."""
    namespace = template["metadata"]["namespace"]
    plain: dict[str, str] = {}
    secret: set[str] = set()
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            plain.update(rendered.get("ConfigMap", source["configMapRef"]["name"], namespace)["data"])
        else:
            secret |= keys_of(rendered, "Secret", source["secretRef"]["name"], namespace) or set()
    for entry in container.get("env", []):
        if "value" in entry:
            plain[entry["name"]] = entry["value"]
        else:
            secret.add(entry["name"])
    return plain, secret


@pytest.mark.parametrize("name", ALL)
def test_variables_are_ones_that_the_settings_know_and_the_required_ones_are_there(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = render(name)
    for template_name, template in templates_of(name):
        if template["metadata"]["namespace"] != NAMESPACE:
            continue
        for container in containers(template):
            plain, secret = environment_of(rendered, template, container)
            assert (set(plain) | secret) - KNOWN_VARIABLES - OTHER_VARIABLES == set(), template_name
            if template["metadata"]["labels"]["audio-compressor/role"] not in OUR_CODE:
                continue
            assert set(plain) >= REQUIRED_VARIABLES, template_name
            assert {"SFTP_USERNAME", "SFTP_PASSWORD"} <= secret, template_name
            for variable in KNOWN_VARIABLES:
                monkeypatch.delenv(variable, raising=False)
            for variable, value in plain.items():
                monkeypatch.setenv(variable, value)
            settings = load_settings()  # refuses what is not allowed
            assert settings.sftp_host_key_policy == "strict", template_name
            assert settings.sftp_secrets_name == "none", "credentials are here: AWS would be asked in vain, for 10 s"
            assert_paths_are_mounted(settings, container)


def test_an_overlay_of_tracks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says reaches code server and runs alike, the catalogue's password among the secrets; the sensor is on."""
    chosen = COMBINATIONS[WITH_TRACKS]
    settings = ["SFTP_HOST=", "TRACKS_BUCKET=music", "TARGET_LUFS=-16"]
    generator = {"name": "settings", "namespace": NAMESPACE, "behavior": "merge", "literals": settings}
    more = yaml.safe_dump({"configMapGenerator": [generator]})
    rendered = render_combination(Combination("tracks", chosen.resources, chosen.components, chosen.transformers, more))
    run = launched_job(rendered)["spec"]["template"]
    code_server = rendered.pod_templates()["Deployment/code-server"]
    for template in (code_server, {**run, "metadata": {**run["metadata"], "namespace": NAMESPACE}}):
        [container] = template["spec"]["containers"]
        plain, secret = environment_of(rendered, template, container)
        assert "CATALOG_URL" in secret
        for variable in KNOWN_VARIABLES:
            monkeypatch.delenv(variable, raising=False)
        for variable, value in plain.items():
            monkeypatch.setenv(variable, value)
        loaded = load_settings()
        assert (loaded.sftp_host, loaded.tracks_bucket, loaded.target_lufs) == ("", "music", -16)
        sensors = {each.name: each for each in build_definitions(loaded).sensors or ()}
        sensor = sensors["pending_uploads_sensor"]
        assert isinstance(sensor, dg.SensorDefinition)
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
        assert "new_recordings_sensor" not in sensors


def assert_paths_are_mounted(settings: Settings, container: Object) -> None:
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert not mounts[settings.output_dir].get("readOnly")
    assert str(Path(settings.temp_dir).parent) in mounts
    assert mounts[str(Path(settings.sftp_known_hosts).parent)]["readOnly"] is True
    for path in (settings.library_dir, settings.audio_storage_path) if settings.library_dir else ():
        assert not mounts[str(Path(path).parent)].get("readOnly")
    [home] = [entry["value"] for entry in container["env"] if entry["name"] == "DAGSTER_HOME"]
    assert home in mounts


@pytest.mark.parametrize("name", WITH_DAGSTER)
def test_dagsters_processes_find_their_instance_and_its_database(name: str) -> None:
    """dagster.yaml asks for these, and is read nowhere but in DAGSTER_HOME."""
    rendered = render(name)
    storage = rendered.instance["storage"]["postgres"]["postgres_db"]
    asked = {reference["env"] for reference in storage.values()}
    assert asked == {"DAGSTER_PG_HOST", "DAGSTER_PG_DB", "DAGSTER_PG_USERNAME", "DAGSTER_PG_PASSWORD"}
    for template_name, template in templates_of(name):
        role = template["metadata"]["labels"]["audio-compressor/role"]
        if role not in {"code-server", "webserver", "daemon", "migration", "run"}:
            continue
        [container] = template["spec"]["containers"]
        plain, secret = environment_of(rendered, template, container)
        assert asked <= set(plain) | secret, template_name
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert plain["DAGSTER_HOME"] in mounts, template_name
        # A run is told all of it with its arguments.
        assert (f"{plain['DAGSTER_HOME']}/dagster.yaml" in mounts) == (role != "run"), template_name


def test_the_sample_server_is_who_the_known_hosts_say(tmp_path: Path) -> None:
    rendered = render("local")
    settings = rendered.get("ConfigMap", "settings")["data"]
    service = rendered.get("Service", "sftp-service", "sftp-server")
    assert settings["SFTP_HOST"] == "sftp-service.sftp-server.svc.cluster.local"
    assert settings["SFTP_PORT"] == str(service["spec"]["ports"][0]["port"])

    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(rendered.get("ConfigMap", "known-hosts")["data"]["known_hosts"])
    [server] = rendered.pod_templates()["Deployment/sftp-server"]["spec"]["containers"]
    assert "--well-known-host-key" in server["args"]
    public = well_known_host_key().export_public_key().decode().split()[1]
    known = KnownHosts(known_hosts, "strict", settings["SFTP_HOST"], int(settings["SFTP_PORT"]))
    known.verify(Ed25519Key.from_type_string("ssh-ed25519", base64.b64decode(public)))


def test_the_sample_server_takes_the_plain_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = render("local")
    for variable, value in secret_data(rendered.get("Secret", "sftp-credentials")).items():
        assert variable.lower() in CredentialSettings.model_fields
        monkeypatch.setenv(variable, value)
    credentials = resolve_credentials("none", "us-east-1")
    [server] = rendered.pod_templates()["Deployment/sftp-server"]["spec"]["containers"]
    assert server["args"][server["args"].index("--username") + 1] == credentials.username
    assert secret_data(rendered.get("Secret", "sftp-server-login", "sftp-server"))["password"] == credentials.password
