"""The bucket of these tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from audio_compressor.retries import Retry
from audio_compressor.staging import Staging, open_staging
from audio_compressor.storage.s3_writer import PartSizes
from audio_compressor.tracks.bucket import Sizes, TrackBucket
from audio_compressor.tracks.published import Source
from audio_compressor.tracks.publishing import About
from audio_compressor.tracks.track import Track
from audio_compressor_tests.fixtures.s3_server import BUCKET, S3Server

RETRY = Retry(4, 0)
SIZES = Sizes(PartSizes(300_000, 128 * 1024, 2), 100_000, 300_000, 128 * 1024)
SONG = Track("song.mp3")
ABOUT = About(Source("song.mp3", 3, "etag", "sha"), "settings-1", {"loudness_lufs": -14.0})


@pytest.fixture(scope="session")
def lasting_bucket(listening_s3_server: S3Server) -> Iterator[TrackBucket]:
    """boto3 takes 0.1 s to make a client; use `bucket`."""
    with TrackBucket(BUCKET, endpoint_url=listening_s3_server.url, retry=RETRY, sizes=SIZES, workers=4) as bucket:
        yield bucket


@pytest.fixture
def bucket(s3_server: S3Server, lasting_bucket: TrackBucket) -> TrackBucket:
    return lasting_bucket


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[Staging]:
    with open_staging(tmp_path / "staging", "run-1") as staging:
        yield staging


@pytest.fixture
def folder_url(s3_server: S3Server) -> str:
    return f"{s3_server.url}/{BUCKET}/mwonya_audio_tracks/song"
