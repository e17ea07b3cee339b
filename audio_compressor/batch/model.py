"""What goes into a batch and what comes out: products, tools, and the outcome of each recording."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

from audio_compressor.audio.checks import CheckResult
from audio_compressor.audio.compress import Compression
from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.profiles import Profile
from audio_compressor.intake.plan import SkipKind
from audio_compressor.recording import Fingerprint
from audio_compressor.retries import Retry
from audio_compressor.sftp.process import SftpProcess
from audio_compressor.storage.base import Storage, Stored
from audio_compressor.xml_metadata import MetadataFile


class Product(StrEnum):
    """What can be made of a recording; the names are those of the Dagster assets."""

    RAW_AUDIO = "raw_audio"
    COMPRESSED_AUDIO = "compressed_audio"
    RECORDING_METADATA = "recording_metadata"


@dataclass(frozen=True)
class SourceFiles:
    """Where the recordings are: the names of the files in each recording directory."""

    path: str
    audio_filename: str
    metadata_filename: str
    max_file_size_bytes: int
    settle_seconds: float


@dataclass(frozen=True)
class Tools:
    """What a batch works with."""

    connection: SftpProcess
    source: SourceFiles
    download_retry: Retry
    storage: Storage
    ffmpeg: Ffmpeg
    profile: Profile
    copy_metadata: bool
    encoders: int
    temp_dir: Path


@dataclass(frozen=True)
class Download:
    """A verified download of the audio file."""

    uri: str
    fingerprint: Fingerprint
    sha256: str
    seconds: float


@dataclass(frozen=True)
class CompressedAudio:
    compression: Compression
    stored: Stored
    processed_at: datetime
    processing_seconds: float


@dataclass(frozen=True)
class RecordingMetadata:
    """``file`` is None when there is none to read; ``stored`` is None when it was not copied."""

    file: MetadataFile | None = None
    stored: Stored | None = None
    warning: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one recording. Products that were finished are there even when another one failed."""

    directory: str
    status: Literal["success", "failed", "skipped"]
    reason: str | None = None
    fingerprint: Fingerprint | None = None
    download: Download | None = None
    compressed: CompressedAudio | None = None
    metadata: RecordingMetadata | None = None
    checks: tuple[CheckResult, ...] = ()
    skip_kind: SkipKind | None = None


class Progress:
    """Told about a batch, from its worker threads too; must not block. This one is not interested."""

    def downloading(self, directory: str) -> None:
        """A download begins."""

    def downloaded(self, size_bytes: int) -> None:
        """``size_bytes`` more are there."""

    def finished(self, outcome: Outcome) -> None:
        """A recording is done with, and what there is to record of it is recorded."""
