"""Listing a real SFTP server, and what a listing is when something on it is not as it should be."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from audio_compressor.demo.server import EmbeddedSftpServer
from audio_compressor.errors import (
    AccessDeniedError,
    AuthenticationError,
    ConnectionLostError,
    RemoteFileMissingError,
    StorageError,
)
from audio_compressor.intake.listing import Ignored, Listing, SourceDirectory, list_source
from audio_compressor.recording import Fingerprint
from audio_compressor.settings import DOCUMENT_DIR_PATTERN
from audio_compressor.sftp.connection import SftpConnection, SftpEndpoint
from audio_compressor_tests.fixtures.sftp_servers import (
    PASSWORD,
    USERNAME,
    ServerUnderTest,
    endpoint_for,
    password_credentials,
)

AUDIO = "StereoMix.wav"
MODIFIED_AT_SECONDS = 1_760_659_200
NOT_MATCHING = f"the name does not match DIR_PATTERN {DOCUMENT_DIR_PATTERN}"
ANYTHING = "."


def record(root: Path, name: str, size_bytes: int = 100) -> Path:
    directory = root / name
    directory.mkdir()
    audio = directory / AUDIO
    audio.write_bytes(b"a" * size_bytes)
    os.utime(audio, (MODIFIED_AT_SECONDS, MODIFIED_AT_SECONDS))
    return directory


def listed(endpoint: SftpEndpoint, path: str = "/", pattern: str = DOCUMENT_DIR_PATTERN) -> Listing:
    with SftpConnection(endpoint) as connection:
        return list_source(connection, path, pattern, AUDIO)


def only(listing: Listing) -> SourceDirectory:
    (found,) = listing.directories
    return found


class GuardedServer(EmbeddedSftpServer):
    """Answers with an error whatever is asked about a path that holds ``guarded``; chmod does not stop root."""

    guarded: bytes
    answer: asyncssh.SFTPError

    def sftp_server(self, channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
        return _GuardedSession(channel, self)


class _GuardedSession(asyncssh.SFTPServer):
    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], server: GuardedServer) -> None:
        super().__init__(channel, chroot=os.fsencode(server.root))
        self._server = server

    def map_path(self, path: bytes) -> bytes:
        if self._server.guarded in path:
            raise self._server.answer
        return super().map_path(path)


class DroppingServer(GuardedServer):
    """Drops the connection instead of answering."""

    def sftp_server(self, channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
        return _DroppingSession(channel, self)


class _DroppingSession(asyncssh.SFTPServer):
    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], server: GuardedServer) -> None:
        super().__init__(channel, chroot=os.fsencode(server.root))
        self._guarded = server.guarded

    def map_path(self, path: bytes) -> bytes:
        if self._guarded in path:
            self.connection.abort()
        return super().map_path(path)


@pytest.fixture
def guarded_server(sftp_root: Path) -> Iterator[GuardedServer]:
    server = GuardedServer(sftp_root, USERNAME, PASSWORD)
    server.guarded, server.answer = b"guarded", asyncssh.SFTPPermissionDenied("go away")
    with server:
        yield server


def test_recordings_in_their_order_with_their_fingerprints(any_server: ServerUnderTest) -> None:
    for size_bytes, name in enumerate(["01-02-26", "12-31-25-01", "12-31-25", "02-01-25"], start=100):
        record(any_server.root, name, size_bytes)
    found = listed(any_server.endpoint, any_server.remote_root or "/")
    assert [(source.directory, source.audio) for source in found.directories] == [
        ("02-01-25", Fingerprint(103, MODIFIED_AT_SECONDS)),
        ("12-31-25", Fingerprint(102, MODIFIED_AT_SECONDS)),
        ("12-31-25-01", Fingerprint(101, MODIFIED_AT_SECONDS)),
        ("01-02-26", Fingerprint(100, MODIFIED_AT_SECONDS)),
    ]
    assert found.ignored == ()
    for source in found.directories:
        path = any_server.root / source.directory
        assert source.modified_at_seconds == int(path.stat().st_mtime)


def test_an_empty_source_is_an_empty_listing(sftp_endpoint: SftpEndpoint) -> None:
    assert listed(sftp_endpoint) == Listing((), ())


def test_what_is_passed_over_is_named_and_not_looked_into(sftp_root: Path, sftp_endpoint: SftpEndpoint) -> None:
    for name in ("10-17-25", "10-18-25", "10-19-25"):
        record(sftp_root, name)
    os.utime(sftp_root / "10-18-25", (MODIFIED_AT_SECONDS, MODIFIED_AT_SECONDS))

    def old(modified_at_seconds: Mapping[str, int]) -> list[str]:
        assert sorted(modified_at_seconds) == ["10-17-25", "10-18-25", "10-19-25"]
        return [name for name, seconds in modified_at_seconds.items() if seconds == MODIFIED_AT_SECONDS]

    with SftpConnection(sftp_endpoint) as connection:
        found = list_source(connection, "/", DOCUMENT_DIR_PATTERN, AUDIO, old)
    assert found.passed_over == {"10-18-25"}
    assert [item.directory for item in found.directories] == ["10-17-25", "10-19-25"]


def test_what_is_no_recording_is_told_with_its_reason(sftp_root: Path, sftp_endpoint: SftpEndpoint) -> None:
    record(sftp_root, "10-17-25")
    record(sftp_root, "lost+found")
    record(sftp_root, "10-17-2025")
    (sftp_root / "10-18-25").write_bytes(b"a file")
    (sftp_root / "10-19-25").symlink_to("nowhere")
    found = listed(sftp_endpoint)
    assert only(found).directory == "10-17-25"
    assert found.ignored == (
        Ignored("10-17-2025", NOT_MATCHING),
        Ignored("10-18-25", "not a directory"),
        Ignored("10-19-25", "not a directory"),
        Ignored("lost+found", NOT_MATCHING),
    )


def test_a_pattern_is_anchored_only_where_it_says_so(sftp_root: Path, sftp_endpoint: SftpEndpoint) -> None:
    record(sftp_root, "studio 1, take 2")
    record(sftp_root, "studio 1 take 2")
    assert only(listed(sftp_endpoint, pattern=r"take \d$")).directory == "studio 1 take 2"
    assert listed(sftp_endpoint, pattern=r"^take \d$").directories == ()


@pytest.mark.parametrize(
    ("name", "reason"),
    [("a,b", "comma"), ("a...b", "comma"), ("a\nb", "control"), (".hidden", "dot"), ("x" * 250, "longer")],
)
def test_a_name_that_cannot_be_a_partition_is_told(
    sftp_root: Path, sftp_endpoint: SftpEndpoint, name: str, reason: str
) -> None:
    record(sftp_root, name)
    record(sftp_root, "good")
    found = listed(sftp_endpoint, pattern=ANYTHING)
    assert only(found).directory == "good"
    (ignored,) = found.ignored
    assert ignored.name == name
    assert reason in ignored.reason


def test_two_names_that_are_not_utf8_are_told_and_not_taken_for_one(
    sftp_root: Path, sftp_endpoint: SftpEndpoint
) -> None:
    for name in (b"caf\xe9", b"caf\xe8"):
        record(sftp_root, os.fsdecode(name))
    assert listed(sftp_endpoint, pattern=ANYTHING) == Listing(
        (), (Ignored("caf\ufffd", "the name is not UTF-8"), Ignored("caf\ufffd", "the name is not UTF-8"))
    )


@pytest.mark.parametrize("name", ["Aufnahme vom 3. März", "日本語", "with space", "[a-z]*", "a'b\"c"])
def test_unusual_names_are_listed(any_server: ServerUnderTest, name: str) -> None:
    record(any_server.root, name)
    found = only(listed(any_server.endpoint, any_server.remote_root or "/", ANYTHING))
    assert (found.directory, found.audio) == (name, Fingerprint(100, MODIFIED_AT_SECONDS))


def test_no_audio_file(any_server: ServerUnderTest) -> None:
    (record(any_server.root, "10-17-25") / AUDIO).unlink()
    found = only(listed(any_server.endpoint, any_server.remote_root or "/"))
    assert (found.audio, found.problem) == (None, None)


def test_an_audio_file_that_is_a_directory(any_server: ServerUnderTest) -> None:
    (any_server.root / "10-17-25" / AUDIO).mkdir(parents=True)
    found = only(listed(any_server.endpoint, any_server.remote_root or "/"))
    assert (found.audio, found.problem) == (None, "what should be the audio file is a directory or a device")


def test_links_are_followed(any_server: ServerUnderTest) -> None:
    elsewhere = record(any_server.root, "elsewhere")
    (any_server.root / "10-17-25").symlink_to("elsewhere", target_is_directory=True)
    (any_server.root / "10-18-25").mkdir()
    (any_server.root / "10-18-25" / AUDIO).symlink_to(f"../elsewhere/{AUDIO}")
    found = listed(any_server.endpoint, any_server.remote_root or "/")
    assert [(source.directory, source.audio) for source in found.directories] == [
        ("10-17-25", Fingerprint(100, MODIFIED_AT_SECONDS)),
        ("10-18-25", Fingerprint(100, MODIFIED_AT_SECONDS)),
    ]
    assert found.directories[0].modified_at_seconds == int(elsewhere.stat().st_mtime)


def test_an_unreadable_directory_has_a_problem_and_the_others_are_listed(
    guarded_server: GuardedServer, tmp_path: Path
) -> None:
    record(guarded_server.root, "10-17-25")
    record(guarded_server.root, "10-18-25-guarded")
    endpoint = endpoint_for(guarded_server.port, tmp_path / "known_hosts")
    good, unreadable = listed(endpoint, pattern=ANYTHING).directories
    assert good.audio == Fingerprint(100, MODIFIED_AT_SECONDS)
    assert (unreadable.directory, unreadable.audio) == ("10-18-25-guarded", None)
    assert "denies permission" in (unreadable.problem or "")
    assert AUDIO in (unreadable.problem or "")


def test_an_answer_about_one_file_does_not_cost_the_others(guarded_server: GuardedServer, tmp_path: Path) -> None:
    """A disk error or a stale NFS handle is answered with a failure, each night again."""
    guarded_server.answer = asyncssh.SFTPFailure("Input/output error")
    record(guarded_server.root, "10-17-25")
    record(guarded_server.root, "10-18-25-guarded")
    endpoint = endpoint_for(guarded_server.port, tmp_path / "known_hosts")
    good, broken = listed(endpoint, pattern=ANYTHING).directories
    assert good.audio == Fingerprint(100, MODIFIED_AT_SECONDS)
    assert broken.audio is None
    assert "Input/output error" in (broken.problem or "")


def test_links_that_lead_in_a_circle(any_server: ServerUnderTest) -> None:
    record(any_server.root, "10-17-25")
    (any_server.root / "10-18-25").mkdir()
    (any_server.root / "10-18-25" / AUDIO).symlink_to(AUDIO)
    found = listed(any_server.endpoint, any_server.remote_root or "/").directories
    assert [source.audio for source in found] == [Fingerprint(100, MODIFIED_AT_SECONDS), None]


@pytest.mark.parametrize(
    ("answer", "error"),
    [(asyncssh.SFTPPermissionDenied("go away"), AccessDeniedError), (asyncssh.SFTPFailure("broken"), StorageError)],
)
def test_a_source_that_cannot_be_listed_raises(
    guarded_server: GuardedServer, tmp_path: Path, answer: asyncssh.SFTPError, error: type[Exception]
) -> None:
    guarded_server.answer = answer
    (guarded_server.root / "guarded").mkdir()
    with pytest.raises(error, match="/guarded"):
        listed(endpoint_for(guarded_server.port, tmp_path / "known_hosts"), "/guarded")


def test_a_source_that_is_not_there_raises(any_server: ServerUnderTest) -> None:
    with pytest.raises(RemoteFileMissingError, match="/nowhere"):
        listed(any_server.endpoint, f"{any_server.remote_root}/nowhere")


def test_a_server_that_is_away_raises_and_is_asked_again(
    sftp_server: EmbeddedSftpServer, sftp_endpoint: SftpEndpoint
) -> None:
    record(sftp_server.root, "10-17-25")
    sftp_server.stop()
    with SftpConnection(sftp_endpoint) as connection:
        with pytest.raises(ConnectionLostError, match="refuses connections"):
            list_source(connection, "/", DOCUMENT_DIR_PATTERN, AUDIO)
        sftp_server.start()
        assert only(list_source(connection, "/", DOCUMENT_DIR_PATTERN, AUDIO)).directory == "10-17-25"


def test_a_connection_that_breaks_in_the_middle_raises(sftp_root: Path, tmp_path: Path) -> None:
    """After the directory was read and before the files were looked at: a partial listing would look complete."""
    for name in ("10-17-25", "10-18-25"):
        record(sftp_root, name)
    server = DroppingServer(sftp_root, USERNAME, PASSWORD)
    server.guarded = b"10-18-25"
    with server, pytest.raises(ConnectionLostError):
        listed(endpoint_for(server.port, tmp_path / "known_hosts"))


def test_refused_credentials_raise(sftp_endpoint: SftpEndpoint) -> None:
    with pytest.raises(AuthenticationError):
        listed(replace(sftp_endpoint, credentials=lambda: password_credentials("wrong")))
