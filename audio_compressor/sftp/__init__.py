"""One connection layer for source and destination: who we are, whom we trust, transfer and listing."""

from functools import partial
from pathlib import Path

from audio_compressor.settings import SftpSettings
from audio_compressor.sftp.credentials import resolve_credentials
from audio_compressor.sftp.endpoint import SftpEndpoint

__all__ = ["build_endpoint"]


def build_endpoint(settings: SftpSettings) -> SftpEndpoint:
    """The SFTP server that the settings name; nothing is connected or read yet."""
    return SftpEndpoint(
        host=settings.sftp_host,
        port=settings.sftp_port,
        host_key_policy=settings.sftp_host_key_policy,
        known_hosts=Path(settings.sftp_known_hosts),
        credentials=partial(resolve_credentials, settings.sftp_secrets_name, settings.aws_default_region),
    )
