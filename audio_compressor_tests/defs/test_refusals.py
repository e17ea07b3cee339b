"""Nights in which the server or AWS refuses us: one clear error, no storm of attempts, and no secret anywhere."""

import json
import logging
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import asyncssh
import boto3
import dagster as dg
import pytest
from moto import mock_aws

from audio_compressor.defs.intake import Survey
from audio_compressor.defs.names import COMPRESSED_AUDIO
from audio_compressor.defs.night import Watcher, run_night
from audio_compressor.errors import (
    AudioCompressorError,
    AuthenticationError,
    CredentialsError,
    HostKeyError,
    TimedOutError,
)
from audio_compressor_tests.cli.commands import Ended, audio_compressor
from audio_compressor_tests.fixtures.answering_server import answering_server
from audio_compressor_tests.fixtures.sftp_servers import PASSWORD, USERNAME
from audio_compressor_tests.fixtures.silent_server import silent_server
from audio_compressor_tests.fixtures.stored import everything_below
from audio_compressor_tests.fixtures.studio import Studio, metadata_of

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
    stored = everything_below(Path(instance.root_directory))
    for secret in (SECRET, PASSWORD):
        assert secret not in seen
        assert secret.encode() not in stored


@pytest.mark.long
def test_a_silent_secrets_manager_is_not_waited_for_with_every_recording(
    studio: Studio, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment has credentials too, and the night goes on with them: two attempts for each of its logins."""
    monkeypatch.setenv("SFTP_SECRETS_NAME", NAME)
    for directory in ("10-17-25", "10-18-25", "10-19-25"):
        studio.add(directory)
    with silent_server() as (port, callers):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        night = run_night(studio.settings, instance, Watcher())
    assert [outcome.status for outcome in night.outcomes] == ["success"] * 3
    assert len(callers) == 2 * studio.server.connections
    assert studio.server.connections == 2  # to list, and to download


def test_a_silent_secrets_manager_is_one_clear_error(
    studio: Studio, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFTP_SECRETS_NAME", NAME)
    for name in ("SFTP_USERNAME", "SFTP_PASSWORD"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("MAX_RETRIES", "1")
    studio.add("10-17-25")
    started = time.monotonic()
    with silent_server() as (port, callers):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(TimedOutError, match="Secrets Manager did not answer in time"):
            run_night(studio.settings, instance, NoWatcher())
    assert len(callers) == 2
    assert time.monotonic() - started < 60
    assert studio.server.connections == 0


@pytest.mark.parametrize("kind", ["password", "key"])
def test_a_login_that_works_for_the_listing_and_not_for_the_download(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Here there are a run, its events and a report that say why; one refusal is enough for all recordings."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    secret = {"username": USERNAME, "password": SECRET}
    if kind == "key":
        secret = {"username": USERNAME, "private_key": key.export_private_key().decode()}
    studio.server.accept(password=SECRET, public_key=key.export_public_key().decode())
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    studio.server.faults.on_listed = partial(studio.server.accept, password="another", public_key=other)
    studio.add("10-17-25")
    studio.add("10-18-25")
    monkeypatch.setenv("SFTP_SECRETS_NAME", NAME)
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    answer = json.dumps({"Name": NAME, "SecretString": json.dumps(secret)}).encode()
    with answering_server(200, answer) as (url, requests):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        ended = audio_compressor("run", cwd=tmp_path)
    assert ended.code == 2
    assert len(requests) == studio.server.connections == 2
    stored = everything_below(tmp_path)
    for place in (ended.out.encode(), stored):
        assert b"refuses the user name" in place
    assert "manifest.json" in studio.results()
    assert b"STEP_FAILURE" in stored
    assert_nowhere([SECRET, PASSWORD, *key_lines(key)], ended, stored)


@pytest.mark.parametrize("refusal", ["login", "answer"])
def test_a_destination_that_refuses(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    """Why it does becomes metadata of what went to the fallback."""
    studio.add("10-17-25")
    monkeypatch.setenv("STORAGE_BACKEND", "sftp")
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    if refusal == "login":
        studio.server.faults.on_read = lambda _: studio.server.accept(password="another")
    else:
        studio.server.faults.refuse_writes = asyncssh.SFTPPermissionDenied("not today")
    ended = audio_compressor("run", cwd=tmp_path)
    assert ended.code == 0, ended.err
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        metadata = metadata_of(instance, COMPRESSED_AUDIO, "10-17-25")
    reason = str(metadata["fallback_reason"])
    assert "refuses the user name" in reason if refusal == "login" else "denies permission" in reason
    stored = everything_below(tmp_path)
    assert reason.encode() in stored
    assert_nowhere([PASSWORD], ended, stored)


def key_lines(key: asyncssh.SSHKey) -> list[str]:
    """Those with the key; the first one is the same in every key."""
    lines = key.export_private_key().decode().splitlines()
    return [line for line in lines if "PRIVATE KEY" not in line][1:]


def assert_nowhere(secrets: list[str], ended: Ended, stored: bytes) -> None:
    """``stored`` is everything that there is now, with what Dagster packs: its snapshots of jobs."""
    assert b"ConfigTypeSnap" in stored
    for secret in secrets:
        assert secret not in ended.out + ended.err
        assert secret.encode() not in stored
