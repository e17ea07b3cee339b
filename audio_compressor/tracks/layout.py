"""Where things are in the bucket, and which names are ours to remove.

tracks/song.mp3                                     raw, never written to
mwonya_audio_tracks/song/song.m4a
mwonya_audio_tracks/song/playlist.m3u8              master
mwonya_audio_tracks/song/metadata.json
mwonya_audio_tracks/song/low/playlist.m3u8          and med, high
mwonya_audio_tracks/song/low/playlist_1f….m3u8      the same bytes, under a name that never changes its meaning
mwonya_audio_tracks/song/low/segment_….ts           or .m4s with an init_….mp4
failedprocessing_tracks/song.mp3                    and song.mp3.error.json
"""

import re
from dataclasses import dataclass
from itertools import permutations

from audio_compressor.errors import ConfigurationError

# What a rendition's folder holds. Anything else that lies there was put there by somebody else and is left alone.
_OF_RENDITION = re.compile(
    r"[^/]+/(?:segment_[^/]+\.(?:ts|m4s)|init(?:_[^/]*)?\.mp4|playlist(?:_[0-9a-f]+)?\.m3u8)", re.DOTALL
)
_VERSIONED_PLAYLIST = re.compile(r"(?:[^/]+/)?playlist_[0-9a-f]+\.m3u8")
_FIXED_PLAYLIST = re.compile(r"(?:[^/]+/)?playlist\.m3u8")


@dataclass(frozen=True)
class Prefixes:
    """Each ends with a slash. Raises ConfigurationError where one lies in another."""

    raw: str = "tracks/"
    processed: str = "mwonya_audio_tracks/"
    failed: str = "failedprocessing_tracks/"

    def __post_init__(self) -> None:
        named = {"RAW_PREFIX": self.raw, "PROCESSED_PREFIX": self.processed, "FAILED_PREFIX": self.failed}
        problems = [
            f"{name} is {value!r}: it must not be empty or begin with a slash, and must end with one"
            for name, value in named.items()
            if not value.endswith("/") or value.startswith("/")
        ]
        problems += [
            f"{inner} ({named[inner]!r}) lies in {outer} ({named[outer]!r}): what is made of tracks would be mixed "
            "with others, or removed with them; use prefixes beside each other"
            for inner, outer in permutations(named, 2)
            if named[outer] and named[inner].startswith(named[outer])
            if named[inner] != named[outer] or inner < outer
        ]
        if problems:
            raise ConfigurationError(problems)


DOCUMENTED = Prefixes()


def is_ours(name: str) -> bool:
    """Whether a file of this name in a rendition's folder was published by us, or by a program with the same layout."""
    return _OF_RENDITION.fullmatch(name) is not None


def is_fixed_playlist(name: str) -> bool:
    """The master, and the media playlists under the names that people know."""
    return _FIXED_PLAYLIST.fullmatch(name) is not None


def is_versioned_playlist(name: str) -> bool:
    """Whether it was named by `versioned`, and so never changes."""
    return _VERSIONED_PLAYLIST.fullmatch(name) is not None


def versioned(playlist: str, sha256: str) -> str:
    """``low/playlist.m3u8`` becomes ``low/playlist_0123456789abcdef.m3u8``, after its content."""
    return f"{playlist.removesuffix('.m3u8')}_{sha256[:16]}.m3u8"
