"""What goes into a batch of tracks and what comes out: recipe, tools, and the outcome of each track."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from audio_compressor.audio.checks import CheckResult
from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.ladder import AacCoder
from audio_compressor.audio.normalization import LoudnessTarget, PeakPolicy
from audio_compressor.hls.layout import SegmentType
from audio_compressor.tracks.bucket import TrackBucket
from audio_compressor.tracks.published import Published
from audio_compressor.tracks.raw import RawObject
from audio_compressor.tracks.track import Track

# Raised when the same source and recipe give another result.
_RECIPE_VERSION = 1


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a track's renditions are, beside the track and FFmpeg."""

    target: LoudnessTarget
    peak_policy: PeakPolicy
    coder: AacCoder
    segment_duration_seconds: float
    segment_type: SegmentType

    def fingerprint(self, ffmpeg: Ffmpeg) -> str:
        """Equal ones mean equal results."""
        parts = {"recipe": asdict(self), "version": _RECIPE_VERSION, "ffmpeg": ffmpeg.version}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class TrackTools:
    """What a batch works with; ``encoders`` tracks are encoded side by side."""

    bucket: TrackBucket
    recipe: Recipe
    ffmpeg: Ffmpeg
    encoders: int
    temp_dir: Path


@dataclass(frozen=True)
class Work:
    """A track to make; ``upload_id`` is that of the upload that is claimed for it, where there is a catalogue."""

    track: Track
    upload_id: str | None = None

    @property
    def key(self) -> str:
        return self.track.key


@dataclass(frozen=True)
class TrackOutcome:
    """What became of one track. ``published`` is there when it can be played; ``was_there``: it was published before,
    from the same source and with the same recipe, so nothing was made. ``seconds`` is what it took.
    """

    key: str
    status: Literal["success", "failed", "skipped"]
    reason: str | None = None
    raw: RawObject | None = None
    raw_uri: str | None = None
    published: Published | None = None
    published_uri: str | None = None
    was_there: bool = False
    checks: tuple[CheckResult, ...] = ()
    seconds: float = 0.0


class TrackProgress:
    """Told about a batch of tracks, from its worker threads too; must not block. This one is not interested."""

    def downloading(self, key: str, size_bytes: int) -> None:
        """A download begins."""

    def downloaded(self, key: str, size_bytes: int) -> None:
        """``size_bytes`` more are there."""

    def encoding(self, key: str, fraction: float) -> None:
        """So much of the encodes is done, 0 to 1."""

    def publishing(self, key: str, size_bytes: int) -> None:
        """``size_bytes`` more are in the bucket."""

    def finished(self, outcome: TrackOutcome) -> None:
        """A track is done with, and what there is to record of it is recorded."""
