"""What a process does that publishes one track, to be killed; each is started afresh and imports this module."""

from pathlib import Path

import boto3  # takes a while, and is imported once for all of them

from audio_compressor.tracks.bucket import TrackBucket
from audio_compressor.tracks.publication import LocalTrack
from audio_compressor_tests.fixtures.s3_server import BUCKET
from audio_compressor_tests.tracks.conftest import ABOUT, RETRY, SIZES, SONG

__all__ = ["boto3", "publish"]


def publish(endpoint_url: str, directory: Path) -> None:
    with TrackBucket(BUCKET, endpoint_url=endpoint_url, retry=RETRY, sizes=SIZES, workers=4) as bucket:
        bucket.publish(SONG, LocalTrack(directory, directory / "whole.m4a"), ABOUT)
