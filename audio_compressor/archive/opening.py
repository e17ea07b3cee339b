"""Builds a `Library` of LIBRARY_DIR, or of our own results, from the settings: for the commands and Dagster alike."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from audio_compressor.archive.cold import ColdArchive
from audio_compressor.archive.collection import LIBRARY, RESULTS, Collection
from audio_compressor.archive.layout import Layout
from audio_compressor.archive.library import Library, Rules
from audio_compressor.archive.policy import Policy, default_policy, load_policy
from audio_compressor.errors import ConfigurationError
from audio_compressor.retries import Retry

# Below COLD_PREFIX, so that a recording and a result of one name never meet.
_COLD_RESULTS = "results/"


class ArchiveSettings(Protocol):
    """The settings that a library is built from (see settings.py)."""

    @property
    def library_dir(self) -> str: ...

    @property
    def library_index(self) -> str: ...

    @property
    def archive_policy(self) -> str: ...

    @property
    def output_dir(self) -> str: ...

    @property
    def output_policy(self) -> str: ...

    @property
    def trash_days(self) -> float: ...

    @property
    def cold_bucket(self) -> str: ...

    @property
    def cold_prefix(self) -> str: ...

    @property
    def s3_endpoint_url(self) -> str: ...

    @property
    def settle_seconds(self) -> float: ...

    @property
    def disk_warning_bytes(self) -> int: ...


@dataclass(frozen=True)
class Setup:
    """Of one collection. ``policy_path`` is empty for the default policy."""

    layout: Layout
    policy_path: str
    trash_days: float
    cold_bucket: str
    cold_prefix: str
    s3_endpoint_url: str
    settle_seconds: float
    warning_bytes: int

    def policy(self) -> Policy:
        """
        Raises:
            ConfigurationError: it is no policy.
            AudioCompressorError: the file cannot be read.
        """
        if self.policy_path:
            return load_policy(Path(self.policy_path))
        return default_policy(has_cold_storage=bool(self.cold_bucket))

    def open(self, retry: Retry) -> Library:
        """To be closed by the caller; a context manager. Nothing is connected to; ``retry`` is for cold storage.

        Raises:
            ConfigurationError: the policy is none.
            AudioCompressorError: it cannot be read.
        """
        cancel = threading.Event()
        rules = Rules(self.policy(), self.trash_days, self.settle_seconds, self.warning_bytes)
        return Library(self.layout, rules, self.open_cold_archive(retry, cancel), cancel=cancel)

    def open_cold_archive(self, retry: Retry, cancel: threading.Event | None = None) -> ColdArchive | None:
        """To be closed by the caller; None where COLD_BUCKET is not set."""
        if not self.cold_bucket:
            return None
        return ColdArchive(self.cold_bucket, self.cold_prefix, self.s3_endpoint_url, retry=retry, cancel=cancel)


def setup_of(collection: Collection, settings: ArchiveSettings) -> Setup:
    """Raises ConfigurationError: there is no such collection, or it is not aged."""
    if collection is LIBRARY:
        if not settings.library_dir:
            raise ConfigurationError(
                ["LIBRARY_DIR is not set, so there is no library; set it to the directory that its recordings are in"]
            )
        layout, policy_path = Layout(Path(settings.library_dir), settings.library_index), settings.archive_policy
    else:
        if not settings.output_policy:
            raise ConfigurationError(["OUTPUT_POLICY is not set, so results in OUTPUT_DIR stay as they are"])
        layout, policy_path = Layout(Path(settings.output_dir), collection=RESULTS), settings.output_policy
    return Setup(
        layout,
        policy_path,
        settings.trash_days,
        settings.cold_bucket,
        settings.cold_prefix + (_COLD_RESULTS if collection is RESULTS else ""),
        settings.s3_endpoint_url,
        settings.settle_seconds,
        settings.disk_warning_bytes,
    )
