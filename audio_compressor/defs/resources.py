"""Resources: typed configuration that builds plain domain objects. Their fields are the settings of the same name.

No resource holds a secret: credentials are looked up each time a connection is made.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from threading import Event
from typing import Any, Self

import dagster as dg
from pydantic import BaseModel

from audio_compressor.archive.collection import LIBRARY, RESULTS, Collection
from audio_compressor.archive.library import Library
from audio_compressor.archive.opening import setup_of
from audio_compressor.audio.ffmpeg import Ffmpeg, find_ffmpeg
from audio_compressor.audio.normalization import LoudnessTarget
from audio_compressor.audio.profiles import Profile
from audio_compressor.batch.model import SourceFiles, Tools
from audio_compressor.catalog.catalog import Catalog, open_catalog
from audio_compressor.intake.listing import Listing, PassOver, list_source, look_into_all
from audio_compressor.intake.plan import Rules
from audio_compressor.retention.store import AudioStore
from audio_compressor.retries import Retry
from audio_compressor.settings import (
    AudioSettings,
    CredentialSettings,
    LibrarySettings,
    RetentionSettings,
    RunningSettings,
    Settings,
    SftpSettings,
    SourceSettings,
    StorageSettings,
    TrackSettings,
)
from audio_compressor.sftp import build_endpoint
from audio_compressor.sftp.connection import SftpConnection, SftpEndpoint
from audio_compressor.sftp.endpoint import Timeouts
from audio_compressor.sftp.process import SftpProcess
from audio_compressor.storage import build_storage
from audio_compressor.storage.base import Storage
from audio_compressor.storage.fallback import FallbackStorage
from audio_compressor.storage.s3_writer import Encryption
from audio_compressor.streaming.model import Recipe, TrackTools
from audio_compressor.tracks.bucket import TrackBucket
from audio_compressor.tracks.layout import Prefixes

# Three renditions side by side keep two CPUs busy.
ENCODES_OF_A_TRACK = 2
# Dagster gives an evaluation of a sensor or schedule 60 s. A server that hangs at each step must not use them up.
_LISTING_TIMEOUTS = Timeouts(connect_seconds=8, banner_seconds=8, auth_seconds=10, channel_seconds=15)


class SftpResource(dg.ConfigurableResource, SourceSettings, SftpSettings):  # type: ignore[type-arg]
    """The SFTP server and what is where on it."""

    def endpoint(self) -> SftpEndpoint:
        return build_endpoint(self)

    def source_files(self) -> SourceFiles:
        return SourceFiles(
            path=self.sftp_remote_path,
            audio_filename=self.audio_filename,
            metadata_filename=self.metadata_filename,
            max_file_size_bytes=self.max_file_size_bytes,
            settle_seconds=self.settle_seconds,
        )

    def list_source(self, retry: Retry, pass_over: PassOver = look_into_all) -> Listing:
        """List the recordings; a connection that breaks is made again."""
        endpoint = replace(self.endpoint(), timeouts=_LISTING_TIMEOUTS)
        with SftpConnection(endpoint) as connection:
            return retry.call(
                lambda: list_source(
                    connection, self.sftp_remote_path, self.dir_pattern, self.audio_filename, pass_over
                ),
                what=f"listing {self.sftp_host}:{self.sftp_remote_path}",
            )


class StorageResource(dg.ConfigurableResource, StorageSettings):  # type: ignore[type-arg]
    """Where results go."""

    def always_replacing(self) -> Self:
        """For files of which there is one, always the newest."""
        return self.model_copy(update={"on_existing": "replace"})


class AudioResource(dg.ConfigurableResource, AudioSettings):  # type: ignore[type-arg]
    """What is made of a recording."""

    def profile(self) -> Profile:
        return Profile(self.audio_format, self.sample_rate, self.channels, self.bitrate_kbps)

    def ffmpeg(self) -> Ffmpeg:
        return find_ffmpeg(self.ffmpeg_binary)


class TracksResource(dg.ConfigurableResource, TrackSettings):  # type: ignore[type-arg]
    """The bucket of tracks, and what is made of them."""

    def prefixes(self) -> Prefixes:
        return Prefixes(self.raw_prefix, self.processed_prefix, self.failed_prefix)

    def recipe(self) -> Recipe:
        return Recipe(
            LoudnessTarget(self.target_lufs, self.true_peak_dbtp, self.loudness_range_lu),
            self.peak_policy,
            self.aac_coder,
            self.segment_duration,
            self.hls_segment_type,
        )

    def open_catalog(self) -> AbstractContextManager[Catalog | None]:
        """The table of uploads, or None where there is none. Its URL holds a password, so it is no field of this."""
        url = CredentialSettings().catalog_url.get_secret_value()
        return open_catalog(url) if url else nullcontext()


class RunningResource(dg.ConfigurableResource, RunningSettings):  # type: ignore[type-arg]
    """How the work is done: retries, workers, staging."""

    def retry(self) -> Retry:
        return Retry(self.max_retries, self.retry_delay)


class RetentionResource(dg.ConfigurableResource, RetentionSettings):  # type: ignore[type-arg]
    """Where audio is kept that is only there to be worked on, and for how long."""

    def audio_store(self) -> AudioStore:
        return AudioStore(Path(self.audio_storage_path), self.disk_warning_bytes)


class LibraryResource(dg.ConfigurableResource, LibrarySettings):  # type: ignore[type-arg]
    """The library or our own results, and what becomes of their recordings."""

    output_dir: str
    output_policy: str
    s3_endpoint_url: str
    settle_seconds: float
    disk_warning_bytes: int
    are_results: bool

    def open(self, retry: Retry) -> Library:
        """To be closed by the caller; a context manager. Raises as `setup_of` and `Setup.open`."""
        return setup_of(RESULTS if self.are_results else LIBRARY, self).open(retry)


@dataclass(frozen=True)
class Resources:
    """All of them, as the code location names them."""

    sftp: SftpResource
    storage: StorageResource
    audio: AudioResource
    running: RunningResource

    def by_name(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def open_storage(self, cancel: Event | None = None) -> Storage:
        """To be closed by the caller; a context manager."""
        return build_storage(self.storage, self.sftp.endpoint(), cancel)

    def has_stranded(self) -> bool:
        """Whether results wait in the local directory for their destination. Connects to nothing."""
        with self.open_storage() as storage:
            return isinstance(storage, FallbackStorage) and bool(storage.stranded())

    def intake_rules(self) -> Rules:
        return Rules(self.sftp.settle_seconds, self.sftp.max_file_size_bytes, self.running.skip_processed)

    def batch_tools(self, connection: SftpProcess, storage: Storage) -> Tools:
        return Tools(
            connection=connection,
            source=self.sftp.source_files(),
            download_retry=self.running.retry(),
            storage=storage,
            ffmpeg=self.audio.ffmpeg(),
            profile=self.audio.profile(),
            copy_metadata=self.audio.copy_metadata,
            encoders=self.running.encoders,
            temp_dir=Path(self.running.temp_dir),
        )


@dataclass(frozen=True)
class TrackResources:
    """What tracks are made with, as the code location names them."""

    tracks: TracksResource
    storage: StorageResource
    audio: AudioResource
    running: RunningResource

    def by_name(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def open_bucket(self, retry: Retry | None = None) -> TrackBucket:
        """To be closed by the caller; a context manager."""
        return TrackBucket(
            self.tracks.tracks_bucket,
            self.tracks.prefixes(),
            self.storage.s3_endpoint_url,
            retry=retry or self.running.retry(),
            encryption=Encryption(self.tracks.s3_encryption, self.tracks.s3_kms_key_id),
        )

    def tools(self, bucket: TrackBucket) -> TrackTools:
        return TrackTools(
            bucket=bucket,
            recipe=self.tracks.recipe(),
            ffmpeg=self.audio.ffmpeg(),
            encoders=max(1, self.running.encoders // ENCODES_OF_A_TRACK),
            temp_dir=Path(self.running.temp_dir),
        )


@dataclass(frozen=True)
class LibraryResources:
    """What a library, or our own results, are aged with."""

    library: LibraryResource
    audio: AudioResource
    running: RunningResource

    def by_name(self) -> dict[str, Any]:
        """As the code location names them."""
        name = "outputs" if self.library.are_results else "library"
        return {name: self.library, "audio": self.audio, "running": self.running}

    def open(self) -> Library:
        """To be closed by the caller; a context manager. Raises as `setup_of` and `Setup.open`."""
        return self.library.open(self.running.retry())


def build_track_resources(settings: Settings) -> TrackResources:
    return TrackResources(
        TracksResource(**_of(settings, TrackSettings)),
        StorageResource(**_of(settings, StorageSettings)),
        AudioResource(**_of(settings, AudioSettings)),
        RunningResource(**_of(settings, RunningSettings)),
    )


def build_resources(settings: Settings) -> Resources:
    return Resources(
        SftpResource(**_of(settings, SftpSettings, SourceSettings)),
        StorageResource(**_of(settings, StorageSettings)),
        AudioResource(**_of(settings, AudioSettings)),
        RunningResource(**_of(settings, RunningSettings)),
    )


def build_library_resources(settings: Settings, collection: Collection = LIBRARY) -> LibraryResources:
    return LibraryResources(
        LibraryResource(
            **_of(settings, LibrarySettings),
            are_results=collection is RESULTS,
            output_dir=settings.output_dir,
            output_policy=settings.output_policy,
            s3_endpoint_url=settings.s3_endpoint_url,
            settle_seconds=settings.settle_seconds,
            disk_warning_bytes=settings.disk_warning_bytes,
        ),
        AudioResource(**_of(settings, AudioSettings)),
        RunningResource(**_of(settings, RunningSettings)),
    )


def build_retention_resource(settings: Settings) -> RetentionResource:
    return RetentionResource(**_of(settings, RetentionSettings))


def _of(settings: Settings, *groups: type[BaseModel]) -> dict[str, Any]:
    return {name: getattr(settings, name) for group in groups for name in group.model_fields}
