"""Wherever a name from outside becomes a path, an argument, a key or a partition: it is refused with a reason before
anything is done, or all that is derived from it lies where it belongs and comes back as it was."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from posixpath import dirname
from urllib.parse import unquote, urlsplit

import boto3
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from audio_compressor.audio.compress import compress
from audio_compressor.audio.ffmpeg import file_url, find_ffmpeg, input_arguments
from audio_compressor.audio.profiles import Profile
from audio_compressor.batch.connections import SourceConnections
from audio_compressor.batch.model import Product
from audio_compressor.batch.pipeline import process_batch
from audio_compressor.errors import ManifestError, PermanentError
from audio_compressor.intake.listing import list_source
from audio_compressor.local_files import sha256_of
from audio_compressor.processes import ChildProcesses
from audio_compressor.recording import (
    compressed_name,
    directory_of,
    is_plain_name,
    metadata_name,
    part_name,
    timestamped,
    why_unusable,
)
from audio_compressor.reporting.manifest import parse_manifest
from audio_compressor.retries import Retry
from audio_compressor.sftp.connection import SftpConnection, SftpEndpoint
from audio_compressor.staging import LOCK_NAME, Staging, open_staging
from audio_compressor.storage.base import PublishingStorage
from audio_compressor.storage.fallback import FallbackStorage
from audio_compressor.storage.local import LocalStorage
from audio_compressor.storage.s3 import S3Storage
from audio_compressor.storage.sftp import SftpStorage
from audio_compressor_tests.fixtures.directories import names_in
from audio_compressor_tests.fixtures.studio import Studio
from audio_compressor_tests.hostile_names import WORST, any_name
from audio_compressor_tests.wav_files import speech, write_wav

AT = datetime(2025, 11, 4, 21, 45, 30, tzinfo=UTC)
USABLE = [name for name in WORST if why_unusable(name) is None]
REFUSED = [name for name in WORST if why_unusable(name) is not None]
usable_names = any_name.filter(lambda name: why_unusable(name) is None)
property_of = settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
slow_property_of = settings(property_of, max_examples=25)


def everything_below(path: Path) -> set[str]:
    return {str(found.relative_to(path)) for found in path.rglob("*")}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"sound")
    return path


def test_both_kinds_are_among_the_worst() -> None:
    assert len(USABLE) > 20
    assert len(REFUSED) > 15


# -- staging


@given(any_name)
@property_of
@example("../../../../tmp/evil")
@example(LOCK_NAME)
def test_staging(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    (root / "run").mkdir(parents=True, exist_ok=True)
    (root / "run" / LOCK_NAME).touch()
    staging = Staging(root / "run")
    before = everything_below(root)
    refused = None
    try:
        with staging.recording(name) as path:
            assert path.parent == staging.path
            assert names_in(staging.path) == sorted([LOCK_NAME, name])
            (path / "StereoMix.wav").write_bytes(b"sound")
    except PermanentError as error:
        refused = str(error)
    assert (refused is None) == (why_unusable(name) is None)
    assert (why_unusable(name) or "") in (refused or "")
    assert everything_below(root) == before


# -- outputs, part files and markers


@given(usable_names, st.sampled_from(["wav", "opus", "flac"]))
@property_of
def test_names_of_outputs_are_plain(name: str, extension: str) -> None:
    for output in (compressed_name(name, extension), metadata_name(name)):
        for form in (output, timestamped(output, AT)):
            assert is_plain_name(form)
            assert directory_of(form) == name
            hidden = [part_name(form), f".{form}.stranded", part_name(f".{form}.stranded")]
            for file in (form, *hidden):
                assert len(file.encode()) <= 255
                assert Path("/out", file).parent == Path("/out")
                assert dirname(f"/out/{file}") == "/out"


def round_trip(storage: PublishingStorage, source: Path, directory: str, back: Path) -> str:
    name = compressed_name(directory, "wav")
    stored = storage.publish(source, name, sha256_of(source))
    storage.fetch(stored.name, back)
    assert back.read_bytes() == source.read_bytes()
    assert name in storage.entries()
    assert storage.find(name) is not None
    assert unquote(urlsplit(stored.uri).path).endswith(f"/{name}")
    return name


@given(usable_names)
@property_of
def test_a_local_directory(tmp_path: Path, source: Path, name: str) -> None:
    storage = LocalStorage(tmp_path / "root" / "out")
    stored = round_trip(storage, source, name, tmp_path / "back")
    assert everything_below(tmp_path / "root") == {"out", f"out/{stored}"}
    storage.remove(stored)
    assert everything_below(tmp_path / "root") == {"out"}


@given(usable_names)
@slow_property_of
@example("-i")
@example("[a]")
@example("a:b")
def test_a_directory_on_an_sftp_server(sftp_root: Path, sftp_endpoint: SftpEndpoint, source: Path, name: str) -> None:
    with SftpStorage(sftp_endpoint, "/compressed") as storage:
        stored = round_trip(storage, source, name, source.with_name("back"))
        assert everything_below(sftp_root) == {"compressed", f"compressed/{stored}"}
        storage.remove(stored)


@pytest.fixture
def bucket(aws_credentials: None) -> Iterator[object]:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        yield client
        client.close()


@given(usable_names)
@slow_property_of
@example("%")
@example("a b+c")
def test_a_bucket(bucket: object, source: Path, name: str) -> None:
    with S3Storage("bucket", "results/") as storage:
        stored = round_trip(storage, source, name, source.with_name("back"))
        listed = bucket.list_objects_v2(Bucket="bucket")["Contents"]  # type: ignore[attr-defined]
        assert [item["Key"] for item in listed] == [f"results/{stored}"]
        storage.remove(stored)


@given(usable_names)
@slow_property_of
def test_a_fallback_and_its_markers(tmp_path: Path, source: Path, name: str) -> None:
    """What was stranded under the name reaches its place under the name."""
    root = tmp_path / "root"
    blocked = root / "primary"
    root.mkdir(exist_ok=True)
    blocked.write_text("a file where the directory belongs")
    local, primary = LocalStorage(root / "local"), LocalStorage(blocked)
    with FallbackStorage(primary, local, Retry(1, 0)) as storage:
        stored = storage.publish(source, compressed_name(name, "wav"), sha256_of(source)).name
        storage.fetch(stored, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == source.read_bytes()
        assert everything_below(root) == {"primary", "local", f"local/{stored}", f"local/.{stored}.stranded"}
        assert storage.stranded() == [stored]
        blocked.unlink()
        assert [relocated.name for relocated in storage.relocate()] == [stored]
    assert everything_below(root) == {"primary", "local", f"primary/{stored}"}
    (blocked / stored).unlink()
    blocked.rmdir()


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/b", ".hidden", "a\0b", "..", ""])
def test_a_marker_that_somebody_else_wrote_leads_nowhere(tmp_path: Path, source: Path, name: str) -> None:
    """Whoever may write to the local directory must not be able to name files elsewhere."""
    root = tmp_path / "root"
    local = LocalStorage(root / "local")
    local.publish(source, "a_compressed.wav", sha256_of(source))
    marker = {"name": name, "sha256": sha256_of(source), "reason": "x", "keep_local": False}
    (root / "local" / ".a_compressed.wav.stranded").write_text(json.dumps(marker))
    (root / "local" / ".b.01234567.stranding").write_text(json.dumps(marker))
    (root / "primary").mkdir()
    before = everything_below(root)
    with FallbackStorage(LocalStorage(root / "primary"), local, Retry(1, 0)) as storage:
        assert storage.stranded() == []
        assert list(storage.relocate()) == []
    assert everything_below(root) == before


# -- the source


@given(any_name)
@slow_property_of
@example("..x")
@example("a,b")
@example("\u202egnp")
def test_a_directory_on_the_source(sftp_root: Path, sftp_endpoint: SftpEndpoint, name: str) -> None:
    """Whatever a server may list: it is a recording of that very name, or it is told why not."""
    try:
        encoded = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        assume(False)
    assume(encoded and b"/" not in encoded and b"\0" not in encoded and len(encoded) < 256)
    assume(encoded not in {b".", b".."})
    directory = (sftp_root / "audio").joinpath(encoded.decode("utf-8", "surrogateescape"))
    directory.mkdir(parents=True)
    (directory / "StereoMix.wav").write_bytes(b"sound")
    try:
        with SftpConnection(sftp_endpoint) as connection:
            listing = list_source(connection, "/audio", "", "StereoMix.wav")
            shown = encoded.decode(errors="replace")
            if why_unusable(shown) is None:
                assert [(found.directory, found.problem) for found in listing.directories] == [(name, None)]
                assert listing.directories[0].audio is not None
            else:
                assert [(item.name, item.reason) for item in listing.ignored] == [(shown, why_unusable(shown))]
    finally:
        (directory / "StereoMix.wav").unlink()
        directory.rmdir()


@pytest.mark.parametrize("name", ["../secret", "..", "a/../../secret", "a\nb", "-i/../../x"])
def test_a_partition_that_somebody_added_by_hand(studio: Studio, name: str) -> None:
    """Dagster's UI takes any name; nothing of it may reach a disk or the server."""
    studio.add("10-17-25")
    secret = studio.recordings.parent / "secret"
    secret.mkdir()
    (secret / "StereoMix.wav").write_bytes((studio.recordings / "10-17-25" / "StereoMix.wav").read_bytes())
    before = everything_below(studio.recordings.parent)
    endpoint = studio.resources.sftp.endpoint()
    with studio.resources.open_storage() as storage, SourceConnections().open(endpoint) as connection:
        tools = studio.resources.batch_tools(connection, storage)
        outcomes = {one.directory: one for one in process_batch([name, "10-17-25"], list(Product), tools, run_id="run")}
    assert outcomes[name].status == "failed"
    assert "cannot be worked on: the name" in str(outcomes[name].reason)
    assert outcomes["10-17-25"].status == "success"
    assert studio.results() == ["10-17-25_compressed.wav", "10-17-25_meta.xml"]
    assert everything_below(studio.recordings.parent) == before
    assert studio.leftovers() == []


# -- manifests


@given(st.one_of(any_name, st.none(), st.integers(), st.lists(any_name, max_size=2)))
@property_of
def test_an_entry_of_a_manifest(name: object) -> None:
    entry = {"directory": name, "status": "success", "processed_at": "2025-11-05T02:01:23Z"}
    refused, found = "", None
    try:
        (found,) = parse_manifest(json.dumps({"directories": [entry]}))
    except ManifestError as error:
        refused = str(error)
    if isinstance(name, str) and why_unusable(name) is None:
        assert found is not None
        assert found.directory == name
    else:
        assert not isinstance(name, str) or (why_unusable(name) or "") in refused
        assert 0 < len(refused) < 1000


# -- FFmpeg


@given(any_name)
@property_of
def test_an_argument_of_ffmpeg(name: str) -> None:
    """Whatever the name, it is an absolute path behind ``file:``: no option, no other protocol."""
    path = Path("/staging/run") / name
    arguments = input_arguments(path)
    assert arguments[-2:] == ("-i", file_url(path))
    assert arguments[-1].startswith("file:/")
    assert arguments[arguments.index("-protocol_whitelist") + 1] == "file,pipe"


@pytest.mark.parametrize("name", USABLE, ids=ascii)
def test_ffmpeg_reads_and_writes_files_of_any_usable_name(tmp_path: Path, name: str) -> None:
    with open_staging(tmp_path, "run") as staging, staging.recording(name) as path:
        # As AUDIO_FILENAME may be set to anything, too.
        audio = write_wav(path / (name if len(name.encode()) < 200 else "StereoMix.wav"), speech(0.2))
        output = path / compressed_name(name, "flac")
        made = compress(audio, output, Profile("flac", 16000, 1, 32), ffmpeg=find_ffmpeg(), children=ChildProcesses())
        assert made.duration_seconds == pytest.approx(0.2, abs=0.05)
        assert names_in(path) == sorted([audio.name, output.name])
        assert names_in(staging.path) == sorted([LOCK_NAME, name])
    assert names_in(tmp_path) == [LOCK_NAME]


@pytest.mark.parametrize("name", REFUSED, ids=lambda name: ascii(name)[:30])
def test_why_a_name_is_refused_is_a_sentence_without_the_name(name: str) -> None:
    reason = why_unusable(name) or ""
    assert reason.startswith("the name ")
    assert reason.isprintable()
