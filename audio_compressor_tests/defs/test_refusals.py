"""Nights in which the server or AWS refuses us: one clear error, no storm of attempts, and no secret anywhere."""

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncssh
import boto3
import dagster as dg
import pytest
from moto import mock_aws

from audio_compressor.defs.intake import Survey
from audio_compressor.defs.night import Watcher, run_night
from audio_compressor.errors import AudioCompressorError, AuthenticationError, CredentialsError, HostKeyError
from audio_compressor_tests.fixtures.sftp_servers import PASSWORD, USERNAME
from audio_compressor_tests.fixtures.studio import Studio

SECRET = "hunter2-in-no-log"
NAME = "sftp/audio-server"


class NoWatcher(Watcher):
    def surveyed(self, survey: Survey) -> None:
        raise AssertionError(survey)


@pytest.fixture(autouse=True)
def aws(aws_credentials: None) -> Iterator[None]:
    with mock_aws():
        yield


def wrong_password(studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SFTP_PASSWORD", SECRET)


def wrong_password_in_secrets_manager(studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put_secret(json.dumps({"username": USERNAME, "password": SECRET}))
    monkeypatch.setenv("SFTP_SECRETS_NAME", NAME)


def unknown_key(studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = tmp_path / "user_key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(key)
    key.chmod(0o600)
    monkeypatch.delenv("SFTP_PASSWORD")
    monkeypatch.setenv("SFTP_PRIVATE_KEY_PATH", str(key))


def changed_host_key(studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    known_hosts = tmp_path / "known"
    known_hosts.write_text(f"[127.0.0.1]:{studio.server.port} {other}")
    known_hosts.chmod(0o600)
    monkeypatch.setenv("SFTP_KNOWN_HOSTS", str(known_hosts))


def malformed_secret(studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put_secret(f'{{"username": "{USERNAME}", "password": {SECRET}')
    monkeypatch.setenv("SFTP_SECRETS_NAME", NAME)


def missing_secret(studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SFTP_USERNAME", "SFTP_PASSWORD"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("SFTP_SECRETS_NAME", NAME)


def put_secret(text: str) -> None:
    boto3.client("secretsmanager", region_name="us-east-1").create_secret(Name=NAME, SecretString=text)


@pytest.mark.parametrize(
    ("arrange", "error", "connections"),
    [
        (wrong_password, AuthenticationError, 1),
        (wrong_password_in_secrets_manager, AuthenticationError, 1),
        (unknown_key, AuthenticationError, 1),
        (changed_host_key, HostKeyError, 1),
        (malformed_secret, CredentialsError, 0),
        (missing_secret, CredentialsError, 0),
    ],
)
def test_a_night_that_is_refused(
    studio: Studio,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    arrange: Callable[[Studio, pytest.MonkeyPatch, Path], None],
    error: type[AudioCompressorError],
    connections: int,
) -> None:
    studio.add("10-17-25")
    arrange(studio, monkeypatch, tmp_path)
    caplog.set_level(logging.DEBUG)  # of everything, libraries too
    with pytest.raises(error) as caught:
        run_night(studio.settings, instance, NoWatcher())
    assert studio.server.connections == connections
    assert str(caught.value).count("\n") == 0
    seen = "".join(traceback.format_exception(caught.value)) + caplog.text
    stored = b"".join(path.read_bytes() for path in Path(instance.root_directory).rglob("*") if path.is_file())
    for secret in (SECRET, PASSWORD):
        assert secret not in seen
        assert secret.encode() not in stored


def test_secrets_manager_that_cannot_be_reached_is_not_waited_for_again_and_again(
    studio: Studio, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The environment has credentials too, and the night goes on with them."""
    monkeypatch.setenv("SFTP_SECRETS_NAME", NAME)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    studio.add("10-17-25")
    night = run_night(studio.settings, instance, Watcher())
    assert [outcome.status for outcome in night.outcomes] == ["success"]
    for name in ("SFTP_USERNAME", "SFTP_PASSWORD"):
        monkeypatch.delenv(name)
    with pytest.raises(AudioCompressorError, match="cannot be reached"):
        run_night(studio.settings, instance, NoWatcher())
