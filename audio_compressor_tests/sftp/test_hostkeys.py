"""Trust: first contact, the same key again, another key, several keys."""

import base64
import fcntl
import shutil
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest
from paramiko import Ed25519Key, HostKeys

from audio_compressor.demo.server import EmbeddedSftpServer, kept_host_key
from audio_compressor.errors import HostKeyError
from audio_compressor.sftp.connection import SftpConnection, SftpEndpoint
from audio_compressor.sftp.hostkeys import KnownHosts, fingerprint
from audio_compressor_tests.fixtures.sftp_servers import (
    PASSWORD,
    USERNAME,
    OpenSshServer,
    ServerUnderTest,
    endpoint_for,
)

SSH_KEYGEN = shutil.which("ssh-keygen") or ""
needs_ssh_keygen = pytest.mark.skipif(not SSH_KEYGEN, reason="OpenSSH's ssh-keygen is not installed")


def connect(endpoint: SftpEndpoint) -> None:
    with SftpConnection(endpoint) as connection:
        connection.stat("/")


def new_key() -> Ed25519Key:
    text = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    return Ed25519Key(data=base64.b64decode(text.split()[1]))


@needs_ssh_keygen
def test_accept_new_remembers_and_ssh_keygen_agrees(any_server: ServerUnderTest, tmp_path: Path) -> None:
    known_hosts = tmp_path / "not yet" / "there" / "known_hosts"
    endpoint = replace(any_server.endpoint, known_hosts=known_hosts)
    connect(endpoint)
    remembered = known_hosts.read_bytes()
    assert stat.S_IMODE(known_hosts.stat().st_mode) == 0o600
    assert stat.S_IMODE(known_hosts.parent.stat().st_mode) == 0o700
    connect(endpoint)
    connect(replace(endpoint, host_key_policy="strict"))
    assert known_hosts.read_bytes() == remembered
    found = subprocess.run(
        [SSH_KEYGEN, "-F", f"[127.0.0.1]:{endpoint.port}", "-l", "-f", known_hosts],
        capture_output=True,
        text=True,
        check=True,
    )
    blob = HostKeys(str(known_hosts))[f"[127.0.0.1]:{endpoint.port}"]["ssh-ed25519"].asbytes()
    assert fingerprint(blob) in found.stdout


@needs_ssh_keygen
def test_hashed_entries_of_openssh(any_server: ServerUnderTest) -> None:
    connect(any_server.endpoint)
    known_hosts = any_server.endpoint.known_hosts
    subprocess.run([SSH_KEYGEN, "-q", "-H", "-f", known_hosts], check=True, capture_output=True)
    hashed = known_hosts.read_text()
    assert hashed.startswith("|1|")
    connect(replace(any_server.endpoint, host_key_policy="strict"))
    assert known_hosts.read_text() == hashed


def test_a_changed_key_is_refused(sftp_root: Path, tmp_path: Path) -> None:
    with EmbeddedSftpServer(sftp_root, USERNAME, PASSWORD) as first:
        endpoint = endpoint_for(first.port, tmp_path / "known_hosts")
        connect(endpoint)
    before = (tmp_path / "known_hosts").read_bytes()
    with EmbeddedSftpServer(sftp_root, USERNAME, PASSWORD, port=first.port) as second:
        with pytest.raises(HostKeyError) as caught:
            connect(endpoint)
        known = _fingerprint_of(first)
        shown = _fingerprint_of(second)
    for part in (known, shown, str(tmp_path / "known_hosts"), f"ssh-keygen -R '[127.0.0.1]:{first.port}'"):
        assert part in str(caught.value)
    assert known != shown
    assert (tmp_path / "known_hosts").read_bytes() == before


def test_a_restarted_server_with_a_key_file_stays_the_same(sftp_root: Path, tmp_path: Path) -> None:
    key = tmp_path / "keys" / "host_key"
    with EmbeddedSftpServer(sftp_root, USERNAME, PASSWORD, host_key=kept_host_key(key)) as first:
        endpoint = endpoint_for(first.port, tmp_path / "known_hosts")
        connect(endpoint)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    with EmbeddedSftpServer(sftp_root, USERNAME, PASSWORD, port=first.port, host_key=kept_host_key(key)):
        connect(endpoint)


def test_strict_refuses_the_unknown_and_says_how_to_add_it(any_server: ServerUnderTest) -> None:
    endpoint = replace(any_server.endpoint, host_key_policy="strict")
    with pytest.raises(HostKeyError, match=rf"SHA256:.*ssh-keyscan -p {endpoint.port} 127\.0\.0\.1 >>"):
        connect(endpoint)
    assert not endpoint.known_hosts.exists()


@pytest.mark.parametrize("kind", [0, 1])
def test_a_server_with_several_keys_does_not_look_changed(
    openssh_server: OpenSshServer, tmp_path: Path, kind: int
) -> None:
    """Only one of its two keys is known, and not always the one that we would choose."""
    public = openssh_server.host_key_paths[kind]
    key = asyncssh.read_private_key(public).export_public_key().decode().strip()
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{openssh_server.port} {key}\n")
    endpoint = endpoint_for(openssh_server.port, tmp_path / "known_hosts", openssh_server.credentials)
    connect(replace(endpoint, host_key_policy="strict"))


def test_a_key_of_another_kind_does_not_pass_for_new(openssh_server: OpenSshServer, tmp_path: Path) -> None:
    stranger = asyncssh.generate_private_key("ssh-rsa").export_public_key().decode().strip()
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(f"[127.0.0.1]:{openssh_server.port} {stranger}\n")
    with pytest.raises(HostKeyError, match="has changed"):
        connect(endpoint_for(openssh_server.port, known_hosts, openssh_server.credentials))


def test_a_file_that_cannot_be_written_is_said(sftp_endpoint: SftpEndpoint) -> None:
    with pytest.raises(HostKeyError, match="cannot be remembered"):
        connect(replace(sftp_endpoint, known_hosts=Path("/proc/known_hosts")))  # not even root may


def test_first_contact_by_several_at_once_leaves_one_line(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    key, other = new_key(), new_key()
    path.touch()
    with ThreadPoolExecutor(3) as pool, path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        pending = [
            pool.submit(KnownHosts(path, "accept-new", "sftp.example", 22).verify, shown) for shown in (key, key, other)
        ]
        assert not wait(pending, timeout=0.3).done  # all have found the file empty and wait to add their line
        fcntl.flock(file, fcntl.LOCK_UN)
        errors = [future.exception(10) for future in pending]
    assert len(path.read_text().splitlines()) == 1
    assert {type(error) for error in errors} == {type(None), HostKeyError}


def test_a_line_is_added_after_one_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text("other.example ssh-ed25519 AAAA")
    key = new_key()
    KnownHosts(path, "accept-new", "Server.Example", 22).verify(key)
    assert path.read_text().splitlines() == [
        "other.example ssh-ed25519 AAAA",
        f"server.example ssh-ed25519 {key.get_base64()}",
    ]


@pytest.mark.parametrize(
    ("patterns", "is_known"),
    [
        ("sftp.example", True),
        ("*.example", True),
        ("sftp.exampl?", True),
        ("other,sftp.example", True),
        ("SFTP.example", True),
        ("*.example,!sftp.example", False),
        ("[sftp.example]:2222", False),
        ("sftp.example.org", False),
        ("|1|broken", False),
    ],
)
def test_patterns(tmp_path: Path, patterns: str, is_known: bool) -> None:
    key = new_key()
    path = tmp_path / "known_hosts"
    path.write_text(
        f"# comment\n\nnonsense\nsftp.example ssh-ed25519 !!!\n{patterns} ssh-ed25519 {key.get_base64()} me\n"
    )
    known_hosts = KnownHosts(path, "strict", "sftp.example", 22)
    if is_known:
        known_hosts.verify(key)
    else:
        with pytest.raises(HostKeyError, match="not in"):
            known_hosts.verify(key)


def test_a_revoked_key_is_refused(tmp_path: Path) -> None:
    key = new_key()
    path = tmp_path / "known_hosts"
    line = f"sftp.example ssh-ed25519 {key.get_base64()}\n"
    path.write_text(line + "@revoked " + line)
    with pytest.raises(HostKeyError, match="revoked"):
        KnownHosts(path, "accept-new", "sftp.example", 22).verify(key)


def test_known_kinds_come_first_and_rsa_by_its_signatures(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text("sftp.example ssh-rsa AAAA\n")
    offered = ["ssh-ed25519", "rsa-sha2-512", "ecdsa-sha2-nistp256", "rsa-sha2-256"]
    preferred = KnownHosts(path, "strict", "sftp.example", 22).preferred_algorithms(offered)
    assert preferred == ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519", "ecdsa-sha2-nistp256"]


def _fingerprint_of(server: EmbeddedSftpServer) -> str:
    return asyncssh.import_public_key(server.host_public_key).get_fingerprint()
