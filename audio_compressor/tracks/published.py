"""metadata.json: of which source, with which settings and as which files a track is published."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from audio_compressor.tracks.raw import RawObject

FORMAT = 1
# 10,000 segments of three renditions have 6 MB.
MOST_METADATA_BYTES = 64_000_000


@dataclass(frozen=True)
class Source:
    """The raw object that was downloaded."""

    file_name: str
    size_bytes: int
    etag: str
    sha256: str


@dataclass(frozen=True)
class PublishedFile:
    """``etag`` is None of the master, which is written last."""

    size_bytes: int
    sha256: str
    etag: str | None = None


@dataclass(frozen=True)
class Published:
    """``files`` by their names below the track's folder, all but metadata.json itself. ``settings_fingerprint`` is
    equal for settings that make the same result. ``details`` is what else is worth telling, such as the loudness.
    """

    track: str
    source: Source
    settings_fingerprint: str
    published_at: datetime
    files: Mapping[str, PublishedFile]
    details: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), default=datetime.isoformat, ensure_ascii=False, indent=1).encode() + b"\n"

    def says_the_same(self, other: "Published") -> bool:
        """But for when, and the ETags."""
        return self._lasting() == other._lasting()

    def _lasting(self) -> tuple[object, ...]:
        files = {name: (file.size_bytes, file.sha256) for name, file in self.files.items()}
        return self.track, self.source, self.settings_fingerprint, files, json.loads(json.dumps(dict(self.details)))


def parse_published(data: bytes) -> Published | None:
    """None for what is not ours: the same name is used by other programs."""
    try:
        published = _adapter().validate_json(data)
    except ValidationError:
        return None
    return published if published.format == FORMAT else None


def why_outdated(published: Published | None, raw: RawObject, settings_fingerprint: str) -> str | None:
    """The reason why a track is to be made (again), or None when what is published is of this source and settings."""
    if published is None:
        return "nothing is published"
    source = published.source
    if source.file_name != raw.track.file_name:
        return f"it was made from {source.file_name}"
    if (source.size_bytes, source.etag) != (raw.size_bytes, raw.etag):
        return "the source was replaced since"
    if published.settings_fingerprint != settings_fingerprint:
        return "it was made with other settings"
    return None


@cache
def _adapter() -> TypeAdapter[Published]:
    return TypeAdapter(Published)
