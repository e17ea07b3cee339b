"""How each kind of a ladder's files is to be delivered: content type and cache header, for buckets and servers.

What no file can do for itself is left to what delivers them: gzip for playlists (authoring specification, 10.1; RFC
8216 6.2.1 says SHOULD) and TLS (11.1 to 11.3).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

# A playlist or M4A of the same name may be another after a new run. Its old segments stay for much longer than this.
_REPLACED = "public, max-age=60"
# Names hold a hash of the content (see layout.py). A year is what RFC 2616 14.21 called "never expires", and caches
# still take it as the most.
NEVER_REPLACED = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Delivery:
    """Values of the HTTP headers Content-Type and Cache-Control."""

    content_type: str
    cache_control: str


# Content types from the table in the authoring specification's 10.4; a playlist's is registered by RFC 8216, 10.
BY_SUFFIX: Mapping[str, Delivery] = {
    ".m3u8": Delivery("application/vnd.apple.mpegurl", _REPLACED),
    ".ts": Delivery("video/mp2t", NEVER_REPLACED),
    ".m4s": Delivery("video/iso.segment", NEVER_REPLACED),
    ".mp4": Delivery("audio/mp4", NEVER_REPLACED),
    ".m4a": Delivery("audio/mp4", _REPLACED),
    ".json": Delivery("application/json", _REPLACED),
}
_OTHER = Delivery("application/octet-stream", _REPLACED)


def delivery_of(name: str) -> Delivery:
    """For any file below a track's directory, also one of a kind that no run makes today."""
    return BY_SUFFIX.get(PurePosixPath(name).suffix, _OTHER)
