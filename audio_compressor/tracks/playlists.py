"""What a playlist names. Only that: whether it conforms is the concern of `hls/`."""

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote, unquote, urlsplit

from audio_compressor.errors import AudioError

# Playlists of a day of 2 s segments have 2 MB.
MOST_PLAYLIST_BYTES = 16_000_000

# Attributes are the only other place of an URI (RFC 8216, 4.3): EXT-X-MAP, EXT-X-MEDIA and their kind.
_ATTRIBUTE = re.compile(r'(?<=[:,]URI=")[^"]*(?=")')


def names_in(playlist: str, text: str) -> tuple[str, ...]:
    """The names, below the track's folder, of what ``playlist`` (a name there) names.

    Raises:
        AudioError: it is no playlist, or it names something elsewhere.
    """
    names: dict[str, None] = {}

    def note(uri: str) -> str:
        names[_resolved(playlist, uri)] = None
        return uri

    _with_uris(playlist, text, note)
    return tuple(names)


def renamed(playlist: str, text: str, names: Mapping[str, str]) -> str:
    """The playlist with other names for some of what it names. Raises AudioError as `names_in` does."""
    folder = posixpath.dirname(playlist)

    def other(uri: str) -> str:
        name = names.get(_resolved(playlist, uri))
        return uri if name is None else quote(posixpath.relpath(name, folder or "."))

    return _with_uris(playlist, text, other)


def reached(roots: Iterable[str], there: Iterable[str], read: Callable[[str], str]) -> frozenset[str]:
    """All names that a player can come to from ``roots``, which are playlists, with the roots. Only what is ``there``
    is read.

    Raises:
        AudioError: one cannot be understood.
    """
    existing = frozenset(there)
    found: set[str] = set()
    waiting = [root for root in roots if root in existing]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        if name.endswith(".m3u8") and name in existing:
            waiting.extend(names_in(name, read(name)))
    return frozenset(found)


def _with_uris(playlist: str, text: str, replace: Callable[[str], str]) -> str:
    if not text.startswith("#EXTM3U"):
        raise AudioError(f"{playlist} is no playlist: it does not begin with #EXTM3U")
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if line.startswith("#EXT"):
            lines[number] = _ATTRIBUTE.sub(lambda match: replace(match[0]), line)
        elif line.strip() and not line.startswith("#"):
            lines[number] = line.replace(line.strip(), replace(line.strip()))
    return "\n".join(lines)


def _resolved(playlist: str, uri: str) -> str:
    parts = urlsplit(uri)
    path = unquote(parts.path)
    name = posixpath.normpath(posixpath.join(posixpath.dirname(playlist), path))
    if parts.scheme or parts.netloc or parts.query or not path or name.startswith(("/", "..")):
        raise AudioError(f"{playlist} names {uri!r}, which is not a file of this track")
    return name
