"""Where results go: a local directory, the SFTP server or a bucket, behind one small interface."""

import threading
from pathlib import Path

from audio_compressor.retries import Retry
from audio_compressor.settings import StorageSettings
from audio_compressor.sftp.connection import SftpEndpoint
from audio_compressor.storage.base import PublishingStorage, Storage
from audio_compressor.storage.fallback import FallbackStorage
from audio_compressor.storage.local import LocalStorage
from audio_compressor.storage.s3 import S3Storage
from audio_compressor.storage.sftp import SftpStorage

__all__ = ["build_primary", "build_storage"]


def build_storage(settings: StorageSettings, endpoint: SftpEndpoint, cancel: threading.Event | None = None) -> Storage:
    """Where results go, with the local directory to fall back to; nothing is connected or written yet.

    ``cancel`` ends waits between retries, as ``close`` of the storage does.
    """
    primary = build_primary(settings, endpoint)
    if isinstance(primary, LocalStorage):
        return primary
    local = LocalStorage(Path(settings.output_dir), settings.on_existing)
    return FallbackStorage(primary, local, Retry(settings.upload_retry_attempts, settings.upload_retry_delay), cancel)


def build_primary(settings: StorageSettings, endpoint: SftpEndpoint) -> PublishingStorage:
    """The storage that the settings name, alone."""
    if settings.storage_backend == "local":
        return LocalStorage(Path(settings.output_dir), settings.on_existing)
    if settings.storage_backend == "sftp":
        return SftpStorage(endpoint, settings.sftp_dest_path, settings.on_existing)
    return S3Storage(settings.s3_bucket, settings.s3_prefix, settings.s3_endpoint_url, settings.on_existing)
