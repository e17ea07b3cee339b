"""Names of a ladder's files and what each is to a player. The only place where they are made or taken apart."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

SegmentType = Literal["mpegts", "fmp4"]
RenditionName = Literal["low", "med", "high"]
Kind = Literal["segment", "init", "media_playlist", "master_playlist"]

RENDITIONS: tuple[RenditionName, ...] = ("low", "med", "high")
# Players begin with the first variant that is listed, and Apple's specification makes it one of the middle (1.32): a
# 10 s segment of the first is 80 kB, half of what the highest takes to begin on a slow network.
MASTER_ORDER: tuple[RenditionName, ...] = ("med", "low", "high")
PLAYLIST_NAME = "playlist.m3u8"

_EXTENSIONS: Mapping[SegmentType, str] = {"mpegts": "ts", "fmp4": "m4s"}
# The generation is a hash of all segments. A run that makes other segments gives them other names, so that what
# somebody plays is never exchanged under them, and caches may keep a segment for ever.
_GENERATION_LENGTH = 10
_GENERATION = f"(?P<generation>[0-9a-f]{{{_GENERATION_LENGTH}}})"
_SEGMENT = re.compile(rf"segment_{_GENERATION}_(?P<number>\d{{3,}})\.(?P<extension>ts|m4s)")
_MEDIA_PLAYLIST = re.compile(r"(?P<rendition>\w+)/playlist(?:_[0-9a-f]+)?\.m3u8")
_INIT = re.compile(rf"init_{_GENERATION}\.mp4")


@dataclass(frozen=True)
class ParsedName:
    """What the name of a segment or of an initialisation section says; ``number`` is None for the latter."""

    generation: str
    number: int | None
    segment_type: SegmentType


def generation_of(sha256_hex: str) -> str:
    return sha256_hex[:_GENERATION_LENGTH]


def segment_name(generation: str, number: int, segment_type: SegmentType) -> str:
    return f"segment_{generation}_{number:03d}.{_EXTENSIONS[segment_type]}"


def init_name(generation: str) -> str:
    return f"init_{generation}.mp4"


def parse_name(name: str) -> ParsedName | None:
    """None for a name that is neither a segment's nor an initialisation section's."""
    if match := _SEGMENT.fullmatch(name):
        segment_type: SegmentType = "mpegts" if match["extension"] == "ts" else "fmp4"
        return ParsedName(match["generation"], int(match["number"]), segment_type)
    if match := _INIT.fullmatch(name):
        return ParsedName(match["generation"], None, "fmp4")
    return None


def rendition_of(media_playlist: str) -> RenditionName | None:
    """Whose playlist it is. In a bucket there is each under a second name, with a hash of its content (see tracks/)."""
    match = _MEDIA_PLAYLIST.fullmatch(media_playlist)
    return next((name for name in RENDITIONS if match and match["rendition"] == name), None)


def media_playlist_path(rendition: RenditionName) -> str:
    """Relative to the master playlist."""
    return f"{rendition}/{PLAYLIST_NAME}"
