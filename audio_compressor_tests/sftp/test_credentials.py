"""Where credentials come from, what the server does with them, and that nobody else ever sees them."""

import json
import logging
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import boto3
import pytest
from moto import mock_aws

from audio_compressor.demo.server import EmbeddedSftpServer
from audio_compressor.errors import AuthenticationError, ConnectionLostError, CredentialsError
from audio_compressor.retries import Retry
from audio_compressor.settings import load_settings
from audio_compressor.sftp import build_endpoint
from audio_compressor.sftp.connection import SftpConnection, SftpEndpoint
from audio_compressor.sftp.credentials import Credentials, resolve_credentials
from audio_compressor_tests.fixtures.answering_server import answering_server
from audio_compressor_tests.fixtures.sftp_servers import (
    PASSWORD,
    USERNAME,
    OpenSshServer,
    endpoint_for,
    password_credentials,
)

REGION = "eu-central-1"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SFTP_USERNAME", "SFTP_PASSWORD", "SFTP_PRIVATE_KEY_PATH", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def secrets_manager() -> Iterator["SecretStore"]:
    with mock_aws():
        yield SecretStore()


class SecretStore:
    def __init__(self) -> None:
        self._client = boto3.client("secretsmanager", region_name=REGION)

    def put(self, name: str, text: str) -> None:
        self._client.create_secret(Name=name, SecretString=text)

    def rotate(self, name: str, text: str) -> None:
        self._client.put_secret_value(SecretId=name, SecretString=text)

    def put_binary(self, name: str) -> None:
        self._client.create_secret(Name=name, SecretBinary=b"\x00")


# -- where from


def test_from_secrets_manager_and_anew_after_a_rotation(secrets_manager: SecretStore) -> None:
    secrets_manager.put("sftp/audio", json.dumps({"username": "u", "password": "first"}))
    found = resolve_credentials("sftp/audio", REGION)
    assert (found.username, found.password, found.private_key) == ("u", "first", None)
    assert found.origin == "AWS Secrets Manager secret 'sftp/audio'"
    secrets_manager.rotate("sftp/audio", json.dumps({"username": "u", "private_key": "k"}))
    found = resolve_credentials("sftp/audio", REGION)
    assert (found.username, found.password, found.private_key) == ("u", None, "k")


def test_a_secret_wins_over_the_environment(secrets_manager: SecretStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFTP_USERNAME", "me")
    monkeypatch.setenv("SFTP_PASSWORD", PASSWORD)
    secrets_manager.put("s", json.dumps({"username": "u", "password": "p"}))
    assert resolve_credentials("s", REGION).username == "u"
    assert resolve_credentials("none", REGION).username == "me"


def test_without_the_secret_the_environment_is_used_and_said_why(
    secrets_manager: SecretStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SFTP_USERNAME", "me")
    monkeypatch.setenv("SFTP_PASSWORD", PASSWORD)
    with caplog.at_level(logging.INFO, "audio_compressor"):
        found = resolve_credentials("sftp/nothing", REGION)
    assert (found.username, found.password, found.origin) == ("me", PASSWORD, "environment")
    assert "sftp/nothing" in caplog.text
    assert "ResourceNotFoundException" in caplog.text


def test_without_aws_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("SFTP_USERNAME", "me")
    monkeypatch.setenv("SFTP_PRIVATE_KEY_PATH", "~/key")
    with caplog.at_level(logging.INFO, "audio_compressor"):
        found = resolve_credentials("sftp/audio", REGION)
    assert found.private_key_path == Path("~/key").expanduser()
    assert "NoCredentialsError" in caplog.text


def test_an_endpoint_that_is_not_reachable(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:9")
    monkeypatch.setenv("SFTP_USERNAME", "me")
    monkeypatch.setenv("SFTP_PASSWORD", PASSWORD)
    with caplog.at_level(logging.INFO, "audio_compressor"):
        assert resolve_credentials("sftp/audio", REGION).username == "me"
    assert "EndpointConnectionError" in caplog.text


def _aws_at(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", url)


@pytest.mark.parametrize(
    ("status", "code", "level", "without", "said"),
    [
        (400, "ResourceNotFoundException", logging.INFO, CredentialsError, "no such secret"),
        (400, "AccessDeniedException", logging.WARNING, CredentialsError, "secretsmanager:GetSecretValue"),
        (400, "UnrecognizedClientException", logging.WARNING, CredentialsError, "check the AWS credentials"),
        (400, "ThrottlingException", logging.WARNING, ConnectionLostError, "ThrottlingException"),
        (500, "InternalServiceError", logging.WARNING, ConnectionLostError, "HTTP 500"),
    ],
)
def test_what_secrets_manager_answers(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    status: int,
    code: str,
    level: int,
    without: type[Exception],
    said: str,
) -> None:
    with answering_server(status, json.dumps({"__type": code, "message": "no"}).encode()) as (url, _):
        _aws_at(monkeypatch, url)
        with pytest.raises(without, match=said):
            resolve_credentials("sftp/audio", REGION)
        caplog.clear()
        monkeypatch.setenv("SFTP_USERNAME", "me")
        monkeypatch.setenv("SFTP_PASSWORD", PASSWORD)
        with caplog.at_level(logging.INFO, "audio_compressor"):
            assert resolve_credentials("sftp/audio", REGION).username == "me"
    records = [record for record in caplog.records if record.name.startswith("audio_compressor")]
    assert [record.levelno for record in records] == [level]
    assert said in caplog.text
    assert PASSWORD not in caplog.text


def test_nothing_anywhere_names_both_ways(secrets_manager: SecretStore) -> None:
    with pytest.raises(CredentialsError) as caught:
        resolve_credentials("sftp/nothing", REGION)
    for part in ("sftp/nothing", "SFTP_SECRETS_NAME", "SFTP_USERNAME", "SFTP_PASSWORD", "SFTP_PRIVATE_KEY_PATH"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"password={PASSWORD}", "not JSON"),
        (json.dumps([PASSWORD]), "not an object"),
        (json.dumps({"password": PASSWORD}), "no 'username'"),
        (json.dumps({"username": "u", "pass": PASSWORD}), "neither 'password' nor 'private_key'"),
        (json.dumps({"username": "u", "password": [PASSWORD]}), "'password' is not a text"),
    ],
)
def test_a_malformed_secret_is_said_but_not_shown(
    secrets_manager: SecretStore, monkeypatch: pytest.MonkeyPatch, text: str, complaint: str
) -> None:
    monkeypatch.setenv("SFTP_USERNAME", "me")
    monkeypatch.setenv("SFTP_PASSWORD", "other")
    secrets_manager.put("sftp/audio", text)
    with pytest.raises(CredentialsError, match=complaint) as caught:
        resolve_credentials("sftp/audio", REGION)
    assert "'sftp/audio'" in str(caught.value)
    assert PASSWORD not in _everything_about(caught.value)


def test_a_binary_secret(secrets_manager: SecretStore) -> None:
    secrets_manager.put_binary("sftp/audio")
    with pytest.raises(CredentialsError, match="binary"):
        resolve_credentials("sftp/audio", REGION)


# -- at the server


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521"])
@pytest.mark.parametrize("key_format", ["openssh", "pkcs8-pem", "pkcs1-pem"])
def test_private_keys(sftp_root: Path, tmp_path: Path, kind: str, key_format: str) -> None:
    if (kind, key_format) == ("ssh-ed25519", "pkcs1-pem"):
        pytest.skip("there is no such format for Ed25519")
    key = asyncssh.generate_private_key(kind)
    text = key.export_private_key(key_format).decode()
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(text)
    with EmbeddedSftpServer(
        sftp_root, USERNAME, PASSWORD, authorized_public_key=key.export_public_key().decode()
    ) as server:
        for credentials in (
            Credentials(USERNAME, "test", private_key=text),
            Credentials(USERNAME, "test", private_key_path=path),
        ):
            with SftpConnection(endpoint_for(server.port, tmp_path / "known_hosts", credentials)) as connection:
                assert connection.stat("/").is_directory


def test_a_key_that_the_server_does_not_know(openssh_server: OpenSshServer, tmp_path: Path) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    credentials = replace(openssh_server.credentials, private_key=stranger)
    with pytest.raises(AuthenticationError, match="refuses"):
        SftpConnection(endpoint_for(openssh_server.port, tmp_path / "known_hosts", credentials)).stat("/")


def test_openssh_without_password_login_says_what_it_wants(openssh_server: OpenSshServer, tmp_path: Path) -> None:
    endpoint = endpoint_for(openssh_server.port, tmp_path / "known_hosts", password_credentials())
    with pytest.raises(AuthenticationError, match="accepts publickey"):
        SftpConnection(endpoint).stat("/")


def test_a_wrong_password_is_tried_once(
    sftp_server: EmbeddedSftpServer, sftp_endpoint: SftpEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = "hunter2-but-longer"
    endpoint = replace(sftp_endpoint, credentials=lambda: password_credentials(wrong))
    with (
        caplog.at_level(logging.DEBUG),
        caplog.at_level(logging.DEBUG, "audio_compressor"),
        SftpConnection(endpoint) as connection,
        pytest.raises(AuthenticationError, match="refuses") as caught,
    ):
        Retry(5, 0).call(lambda: connection.stat("/"), what="listing")
    assert sftp_server.connections == 1
    assert wrong not in _everything_about(caught.value) + caplog.text


@pytest.mark.parametrize(
    "content", ["not a key", "-----BEGIN OPENSSH PRIVATE KEY-----\nQQ==\n-----END OPENSSH PRIVATE KEY-----\n"]
)
def test_a_key_that_is_none(content: str) -> None:
    with pytest.raises(CredentialsError, match="not a private key") as caught:
        Credentials("u", "test", private_key=content).load_private_key()
    assert content not in _everything_about(caught.value)


def test_an_encrypted_key_and_a_missing_one(tmp_path: Path) -> None:
    path = tmp_path / "key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(path, passphrase="secret words")
    path.chmod(0o600)
    with pytest.raises(CredentialsError, match="passphrase"):
        Credentials("u", "test", private_key_path=path).load_private_key()
    with pytest.raises(CredentialsError, match="SFTP_PRIVATE_KEY_PATH"):
        Credentials("u", "test", private_key_path=tmp_path / "nowhere").load_private_key()


# -- and nowhere else


def test_no_secret_in_any_text(
    sftp_server: EmbeddedSftpServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("SFTP_USERNAME", USERNAME)
    monkeypatch.setenv("SFTP_PASSWORD", PASSWORD)
    settings = load_settings(
        sftp_host="127.0.0.1",
        sftp_port=sftp_server.port,
        sftp_secrets_name="none",
        sftp_known_hosts=str(tmp_path / "known_hosts"),
    )
    endpoint = build_endpoint(settings)
    errors: list[BaseException] = []
    with caplog.at_level(logging.DEBUG, "audio_compressor"), SftpConnection(endpoint) as connection:
        connection.stat("/")
        sftp_server.stop()
        for _ in range(2):
            with pytest.raises(Exception, match="SFTP server") as caught:
                connection.stat("/")
            errors.append(caught.value)
    texts = [_everything_about(error) for error in errors]
    texts += [repr(settings), repr(endpoint), repr(endpoint.credentials()), str(endpoint.credentials()), caplog.text]
    assert "Connected to" in caplog.text
    assert not [text for text in texts if PASSWORD in text]
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    assert key not in repr(Credentials("u", "test", private_key=key))


def _everything_about(error: BaseException) -> str:
    """Every text that a log of this error could hold."""
    texts = ["".join(traceback.format_exception(error))]
    seen: BaseException | None = error
    while seen is not None:
        texts += [str(seen), repr(seen)]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(texts)
