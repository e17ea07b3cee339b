"""Writes playlists (RFC 8216, 4.3)."""

from collections.abc import Sequence
from dataclasses import dataclass

# RFC 8216, 7: fractions in EXTINF need 3, EXT-X-MAP in a playlist of whole segments needs 6.
_VERSION_OF_FRACTIONS = 3
_VERSION_OF_MAPS = 6


@dataclass(frozen=True)
class MediaSegment:
    """One segment; ``uri`` is relative to its playlist."""

    uri: str
    duration_microseconds: int


@dataclass(frozen=True)
class Variant:
    """One line of the master playlist; ``uri`` is relative to it, the rates are in bits per second."""

    uri: str
    bandwidth: int
    average_bandwidth: int
    codecs: str


def write_media_playlist(
    segments: Sequence[MediaSegment], target_duration_seconds: int, map_uri: str | None = None
) -> str:
    """A playlist of everything there will ever be; ``map_uri`` is the initialisation section of fMP4 segments."""
    lines = [
        *_head(with_map=map_uri is not None),
        f"#EXT-X-TARGETDURATION:{target_duration_seconds}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:VOD",
    ]
    if map_uri is not None:
        lines.append(f'#EXT-X-MAP:URI="{map_uri}"')
    for segment in segments:
        seconds, microseconds = divmod(segment.duration_microseconds, 1_000_000)
        lines += [f"#EXTINF:{seconds}.{microseconds:06d},", segment.uri]
    return _text([*lines, "#EXT-X-ENDLIST"])


def write_master_playlist(variants: Sequence[Variant], *, with_maps: bool) -> str:
    """Variants in the order given; players begin with the first. ``with_maps``: their playlists have EXT-X-MAP."""
    lines = _head(with_map=with_maps)
    for variant in variants:
        attributes = (
            f'BANDWIDTH={variant.bandwidth},AVERAGE-BANDWIDTH={variant.average_bandwidth},CODECS="{variant.codecs}"'
        )
        lines += [f"#EXT-X-STREAM-INF:{attributes}", variant.uri]
    return _text(lines)


def _head(*, with_map: bool) -> list[str]:
    # Every AAC frame can be decoded by itself, so every segment can. Said in the media playlists too, for players that
    # are given one of them.
    version = _VERSION_OF_MAPS if with_map else _VERSION_OF_FRACTIONS
    return ["#EXTM3U", f"#EXT-X-VERSION:{version}", "#EXT-X-INDEPENDENT-SEGMENTS"]


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
