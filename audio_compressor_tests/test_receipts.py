"""What happens to stored files, and that it is found: on a local disk and on a real SFTP server."""

import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_compressor.audio.compress import compress
from audio_compressor.audio.ffmpeg import Ffmpeg, find_ffmpeg
from audio_compressor.audio.profiles import AudioFormat, Profile
from audio_compressor.errors import ConnectionLostError
from audio_compressor.processes import ChildProcesses
from audio_compressor.receipts import Finding, Inspector, Receipt, next_in_rotation
from audio_compressor.retries import Retry
from audio_compressor.sftp.connection import SftpEndpoint
from audio_compressor.staging import LOCK_NAME, open_staging
from audio_compressor.storage.base import PublishingStorage
from audio_compressor.storage.local import LocalStorage
from audio_compressor.storage.sftp import SftpStorage
from audio_compressor_tests.audio.measuring import answering_script
from audio_compressor_tests.fixtures.sftp_servers import FaultyServer
from audio_compressor_tests.wav_files import speech, write_wav

NAME = "10-17-25 morning_compressed.opus"


class Archive:
    """One published recording and its receipt."""

    def __init__(
        self, tmp_path: Path, open_storage: Callable[[], PublishingStorage], ffmpeg: Ffmpeg, stored_at: Path
    ) -> None:
        self.tmp_path, self.open_storage, self.ffmpeg, self.file = tmp_path, open_storage, ffmpeg, stored_at / NAME

    def publish(self, audio_format: AudioFormat = "opus") -> Receipt:
        source = write_wav(self.tmp_path / "in.wav", speech(2.0))
        profile = Profile(audio_format, 16000, 1, 32)
        made = compress(source, self.tmp_path / "made", profile, ffmpeg=self.ffmpeg, children=ChildProcesses())
        with self.open_storage() as storage:
            stored = storage.publish(made.path, NAME, made.sha256)
        return Receipt(
            "10-17-25 morning", True, stored.location, stored.uri, made.sha256, round(made.duration_seconds, 3), 0.008
        )

    def inspect(self, *receipts: Receipt, ffmpeg: Ffmpeg | None = None) -> list[Finding]:
        with self.open_storage() as storage, open_staging(self.tmp_path / "staging", "run") as staging:
            inspector = Inspector(storage, staging, ffmpeg or self.ffmpeg, Retry(2, 0), workers=2)
            findings = list(inspector.inspect(receipts))
            assert [path.name for path in staging.path.iterdir()] == [LOCK_NAME]
        return findings


@pytest.fixture(scope="module")
def ffmpeg() -> Ffmpeg:
    return find_ffmpeg()


@pytest.fixture
def local_archive(tmp_path: Path, ffmpeg: Ffmpeg) -> Archive:
    return Archive(tmp_path, partial(LocalStorage, tmp_path / "out"), ffmpeg, tmp_path / "out")


@pytest.fixture
def remote_archive(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, tmp_path: Path, ffmpeg: Ffmpeg
) -> Archive:
    stored_at = faulty_server.root / "compressed"
    stored_at.mkdir()
    return Archive(tmp_path, partial(SftpStorage, faulty_endpoint, "/compressed"), ffmpeg, stored_at)


@pytest.fixture(params=["local_archive", "remote_archive"])
def archive(request: pytest.FixtureRequest) -> Archive:
    found: Archive = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("audio_format", ["wav", "opus", "mp3", "m4a", "flac"])
def test_what_was_published_is_intact(archive: Archive, audio_format: AudioFormat) -> None:
    [finding] = archive.inspect(archive.publish(audio_format))
    assert (finding.condition, finding.reason) == ("intact", "plays for 2.0 s")


def one_bit(content: bytes) -> bytes:
    return content[:3000] + bytes([content[3000] ^ 1]) + content[3001:]


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def nothing(content: bytes) -> bytes:
    return content[:0]


@pytest.mark.parametrize("decay", [one_bit, half, nothing])
def test_what_decayed_is_found(archive: Archive, decay: Callable[[bytes], bytes]) -> None:
    receipt = archive.publish()
    archive.file.write_bytes(decay(archive.file.read_bytes()))
    [finding] = archive.inspect(receipt)
    assert (finding.condition, finding.is_bad) == ("changed", True)
    assert receipt.sha256 is not None
    assert receipt.sha256 in finding.reason


def test_what_was_deleted_is_found_and_the_others_are_looked_at(archive: Archive) -> None:
    receipt = archive.publish()
    gone = replace(receipt, directory="10-18-25", uri=receipt.uri.replace("10-17-25", "10-18-25"))
    findings = {finding.receipt.directory: finding for finding in archive.inspect(gone, receipt, gone)}
    assert findings["10-18-25"].condition == "missing"
    assert findings["10-17-25 morning"].condition == "intact"


def test_without_a_hash_it_is_played(archive: Archive) -> None:
    receipt = archive.publish()
    size_mb = round(archive.file.stat().st_size / 1e6, 3)
    adopted = replace(receipt, sha256=None, duration_seconds=None, size_mb=size_mb)
    [finding] = archive.inspect(adopted)
    assert finding.condition == "intact"
    assert "without a SHA-256" in finding.reason
    archive.file.write_bytes(b"not audio " * 100)
    [finding] = archive.inspect(replace(adopted, size_mb=0.001))
    assert (finding.condition, finding.is_bad) == ("damaged", True)


@pytest.mark.parametrize("keep", [0.4, 0.9])
def test_half_a_file_of_an_earlier_deployment_is_found(archive: Archive, keep: float) -> None:
    """FFmpeg plays it to its end without a word."""
    receipt = archive.publish("wav")
    content = archive.file.read_bytes()
    archive.file.write_bytes(content[: int(len(content) * keep)])
    size_mb = round(archive.file.stat().st_size / 1e6, 3)
    [finding] = archive.inspect(replace(receipt, sha256=None, duration_seconds=None, size_mb=size_mb))
    assert (finding.condition, finding.is_bad) == ("damaged", True)
    assert "the file is cut short" in finding.reason


def test_a_metadata_file_is_compared_and_not_played(archive: Archive) -> None:
    metadata = replace(archive.publish(), is_audio=False, duration_seconds=None)
    archive.file.write_text("<session/>")
    same = replace(metadata, sha256=hashlib.sha256(b"<session/>").hexdigest())
    findings = archive.inspect(same, metadata)
    assert sorted(finding.condition for finding in findings) == ["changed", "intact"]


def test_another_length_than_was_recorded(archive: Archive) -> None:
    [finding] = archive.inspect(replace(archive.publish(), duration_seconds=2.5))
    assert finding.condition == "damaged"
    assert "plays for 2.000 s instead of 2.500" in finding.reason


def test_a_killed_ffmpeg_is_no_verdict(archive: Archive, tmp_path: Path) -> None:
    receipt = archive.publish()
    killed = find_ffmpeg(str(answering_script(tmp_path / "killed", "kill -9 $$")))
    [finding] = archive.inspect(receipt, ffmpeg=killed)
    assert (finding.condition, finding.is_bad) == ("unknown", False)


def test_a_server_that_is_away_is_an_error_and_no_verdict(remote_archive: Archive, faulty_server: FaultyServer) -> None:
    receipt = remote_archive.publish()
    faulty_server.stop()
    [finding] = remote_archive.inspect(receipt)
    assert (finding.condition, finding.is_bad) == ("unknown", False)
    several = [replace(receipt, directory=f"10-{day}-25") for day in range(10, 15)]
    with pytest.raises(ConnectionLostError):
        remote_archive.inspect(*several)


def test_a_dropped_connection_is_made_again(remote_archive: Archive, faulty_server: FaultyServer) -> None:
    receipt = remote_archive.publish()
    faulty_server.faults.drop_after_read_bytes = 100
    [finding] = remote_archive.inspect(receipt)
    assert finding.condition == "intact"


def test_what_is_in_another_place_than_results_go_now_is_not_called_missing(
    local_archive: Archive, remote_archive: Archive
) -> None:
    elsewhere = Receipt("10-17-25", True, "s3", f"s3://bucket/{NAME}", "0" * 64, 2.0, 0.1)
    [finding] = local_archive.inspect(elsewhere)
    assert (finding.condition, finding.is_bad) == ("unknown", False)
    [local] = remote_archive.inspect(local_archive.publish())
    assert local.condition == "intact"


def test_a_path_that_is_not_utf_8_is_found(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    directory = tmp_path / os.fsdecode(b"out\xff")
    archive = Archive(tmp_path, partial(LocalStorage, directory), ffmpeg, directory)
    [finding] = archive.inspect(archive.publish())
    assert finding.condition == "intact"


def test_a_name_with_odd_characters_is_found_again(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    name = "10-17-25 100% ä#?_compressed.wav"
    assert Receipt("x", True, "local", storage.uri(name), None, None, 0).name == name


@given(st.lists(st.text(min_size=1, max_size=3), unique=True, max_size=30), st.integers(1, 10))
def test_every_recording_has_its_turn(keys: list[str], size: int) -> None:
    seen: list[str] = []
    after = None
    for _ in range(-(-len(keys) // size)):
        sample = next_in_rotation(keys, after, size)
        assert len(sample) == min(size, len(keys))
        seen += sample
        after = sample[-1]
    assert set(seen) == set(keys)


def test_the_rotation_goes_on_where_it_stopped() -> None:
    keys = ["a", "b", "c", "d"]
    assert next_in_rotation(keys, "d", 2) == ["a", "b"]
    assert next_in_rotation(keys, "gone", 2) == ["a", "b"]
    assert next_in_rotation([], None, 3) == []


def test_what_is_published_anew_meanwhile_is_not_called_bad(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    storage = LocalStorage(tmp_path / "out")
    archive = Archive(tmp_path, lambda: storage, ffmpeg, tmp_path / "out")
    now = archive.publish()
    before = replace(now, sha256="0" * 64)
    with open_staging(tmp_path / "staging", "run") as staging:
        stale, fresh = (
            next(Inspector(storage, staging, ffmpeg, Retry(1, 0), 1, newest).inspect([before]))
            for newest in (lambda receipt: receipt, lambda _receipt: now)
        )
    assert (stale.condition, fresh.condition) == ("changed", "intact")
    assert fresh.receipt == now


def test_a_disk_that_is_not_mounted_is_no_verdict(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    archive = Archive(tmp_path, partial(LocalStorage, tmp_path / "out"), ffmpeg, tmp_path / "out")
    receipt = archive.publish()
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    [finding] = archive.inspect(receipt)
    assert (finding.condition, finding.is_bad) == ("unknown", False)
    assert "not mounted" in finding.reason


def test_half_of_an_adopted_file_is_noticed_by_its_size(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    """It decodes without an error (see test_verify.py)."""
    archive = Archive(tmp_path, partial(LocalStorage, tmp_path / "out"), ffmpeg, tmp_path / "out")
    size_mb = (archive.publish(), archive.file.stat().st_size / 1e6)[1]
    adopted = replace(archive.publish(), sha256=None, duration_seconds=None, size_mb=round(size_mb, 3))
    archive.file.write_bytes(archive.file.read_bytes()[: archive.file.stat().st_size // 2])
    [finding] = archive.inspect(adopted)
    assert finding.condition == "changed"


def test_an_interruption_ends_what_is_being_fetched(
    faulty_server: FaultyServer, faulty_endpoint: SftpEndpoint, tmp_path: Path, ffmpeg: Ffmpeg
) -> None:
    (faulty_server.root / "compressed").mkdir()
    with SftpStorage(faulty_endpoint, "/compressed") as storage:
        opening = partial(SftpStorage, faulty_endpoint, "/compressed")
        receipt = Archive(tmp_path, opening, ffmpeg, faulty_server.root / "compressed").publish()
        faulty_server.faults.stall_reads.set()
        with open_staging(tmp_path / "staging", "run") as staging:
            inspected = Inspector(storage, staging, ffmpeg, Retry(1, 0), 1).inspect([receipt])
            stopper = threading.Timer(0.5, signal.raise_signal, [signal.SIGUSR1])
            before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
            started = time.monotonic()
            stopper.start()
            try:
                with pytest.raises(KeyboardInterrupt):
                    next(inspected)
            finally:
                signal.signal(signal.SIGUSR1, before)
                stopper.join()
            assert time.monotonic() - started < 3
