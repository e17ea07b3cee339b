"""The night with results on the SFTP server or in a bucket, and when that destination is away."""

from collections.abc import Iterator

import asyncssh
import boto3
import dagster as dg
import pytest
from moto import mock_aws

from audio_compressor.defs.names import COMPRESSED_AUDIO, RECORDING_METADATA, RELOCATION_JOB, REPORT_JOB
from audio_compressor_tests.defs.test_night import execute, nightly
from audio_compressor_tests.fixtures.studio import Studio, metadata_of
from audio_compressor_tests.wav_files import tone


@pytest.fixture
def to_sftp(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Studio:
    monkeypatch.setenv("STORAGE_BACKEND", "sftp")
    (studio.server.root / "compressed").mkdir()
    return studio


def test_results_go_to_the_sftp_server_and_the_manifest_beside_them(
    to_sftp: Studio, instance: dg.DagsterInstance
) -> None:
    to_sftp.add("10-17-25")
    assert execute(to_sftp, instance, nightly(to_sftp, instance)) == [True]
    metadata = metadata_of(instance, COMPRESSED_AUDIO, "10-17-25")
    port = to_sftp.server.port
    assert metadata["storage_location"] == "sftp"
    assert metadata["uri"] == f"sftp://127.0.0.1:{port}/compressed/10-17-25_compressed.wav"
    assert to_sftp.definitions.resolve_job_def(REPORT_JOB).execute_in_process(instance=instance).success
    published = sorted(path.name for path in (to_sftp.server.root / "compressed").iterdir())
    assert published == ["10-17-25_compressed.wav", "10-17-25_meta.xml", "manifest.json"]
    assert to_sftp.results() == ["manifest.json", "processing_report.csv"]


def test_what_a_fallback_stranded_is_moved_by_a_later_run(to_sftp: Studio, instance: dg.DagsterInstance) -> None:
    to_sftp.add("10-17-25")
    to_sftp.server.faults.refuse_writes = asyncssh.SFTPPermissionDenied("read-only today")
    assert execute(to_sftp, instance, nightly(to_sftp, instance)) == [True]
    metadata = metadata_of(instance, COMPRESSED_AUDIO, "10-17-25")
    assert metadata["storage_location"] == "local"
    assert "10-17-25_compressed.wav" in str(metadata["uri"])
    assert "denies permission" in str(metadata["fallback_reason"])
    assert "10-17-25_compressed.wav" in to_sftp.results()
    assert nightly(to_sftp, instance) == []  # it is done, only in the wrong place
    assert to_sftp.resources.has_stranded()

    to_sftp.server.faults.refuse_writes = None
    job = to_sftp.definitions.resolve_job_def(RELOCATION_JOB)
    assert job.execute_in_process(instance=instance).success
    for asset in (COMPRESSED_AUDIO, RECORDING_METADATA):
        moved = metadata_of(instance, asset, "10-17-25")
        assert moved["storage_location"] == "sftp"
        assert str(moved["uri"]).startswith("sftp://")
        assert "fallback_reason" not in moved
    assert metadata_of(instance, COMPRESSED_AUDIO, "10-17-25")["sha256"] == metadata["sha256"]
    assert to_sftp.results() == []
    assert not to_sftp.resources.has_stranded()
    assert nightly(to_sftp, instance) == []


@pytest.fixture
def to_s3(studio: Studio, aws_credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    monkeypatch.setenv("STORAGE_BACKEND", "s3")
    monkeypatch.setenv("S3_BUCKET", "archive")
    monkeypatch.setenv("S3_PREFIX", "speech/")
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="archive")
        yield studio


def test_results_go_to_a_bucket(to_s3: Studio, instance: dg.DagsterInstance) -> None:
    to_s3.add("10-17-25")
    assert execute(to_s3, instance, nightly(to_s3, instance)) == [True]
    metadata = metadata_of(instance, COMPRESSED_AUDIO, "10-17-25")
    assert (metadata["storage_location"], metadata["uri"]) == ("s3", "s3://archive/speech/10-17-25_compressed.wav")
    listed = boto3.client("s3").list_objects_v2(Bucket="archive")["Contents"]
    assert [item["Key"] for item in listed] == ["speech/10-17-25_compressed.wav", "speech/10-17-25_meta.xml"]


def test_compressed_speech_honours_its_bitrate(
    studio: Studio, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIO_FORMAT", "opus")
    studio.add("10-17-25", tone(20.0))
    execute(studio, instance, nightly(studio, instance))
    metadata = metadata_of(instance, COMPRESSED_AUDIO, "10-17-25")
    assert metadata["codec"] == "opus"
    assert metadata["bitrate_kbps"] == pytest.approx(32, rel=0.5)
    assert (studio.output / "10-17-25_compressed.opus").stat().st_size == pytest.approx(20 * 32_000 / 8, rel=0.5)
