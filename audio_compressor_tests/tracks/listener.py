"""Reads a published track as a player does, over HTTP and by nothing that the product brings."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from urllib.parse import urljoin, urlsplit

from imageio_ffmpeg import get_ffmpeg_exe

from audio_compressor_tests.tracks.local_tracks import RENDITIONS, Made


@dataclass(frozen=True)
class Heard:
    """The contents of the segments, by the URL of the media playlist that names them."""

    playlists: Mapping[str, tuple[bytes, ...]]


def fetch(url: str) -> bytes | None:
    """None when it is not there."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status in {200, 404}, (url, answer.status)
        return body if answer.status == 200 else None
    finally:
        connection.close()


def uris(playlist: bytes) -> list[str]:
    text = playlist.decode()
    assert text.startswith("#EXTM3U\n"), text
    maps = re.findall(r'URI="([^"]*)"', text)
    return maps + [line for line in text.splitlines() if line and not line.startswith("#")]


def listen(playlist_url: str) -> tuple[bytes, ...] | None:
    """Everything that a media playlist names, in order; None when there is no playlist. What it names is there."""
    playlist = fetch(playlist_url)
    if playlist is None:
        return None
    found = []
    for uri in uris(playlist):
        content = fetch(urljoin(playlist_url, uri))
        assert content is not None, f"{playlist_url} names {uri}, which is not there"
        found.append(content)
    return tuple(found)


def listen_to_all(folder_url: str) -> dict[str, tuple[bytes, ...]] | None:
    """Every rendition that the master names; None when there is no master."""
    master_url = f"{folder_url}/playlist.m3u8"
    master = fetch(master_url)
    return None if master is None else listen_by(master_url, master)


def listen_by(master_url: str, master: bytes) -> dict[str, tuple[bytes, ...]]:
    """As one who got this master earlier."""
    heard = {}
    for uri in uris(master):
        content = listen(urljoin(master_url, uri))
        assert content is not None, f"the master names {uri}, which is not there"
        heard[uri.partition("/")[0]] = content
    return heard


def heard_version(folder_url: str, versions: Mapping[str, Made]) -> str | None:
    """Which version is published; None when there is no master.

    Fails where anything visible can not be played, or mixes versions: the ladder is of one version, each media playlist
    under its known name is of one, and so is the M4A.
    """
    for rendition in RENDITIONS:
        content = listen(f"{folder_url}/{rendition}/playlist.m3u8")
        assert content is None or content in [made.segments[rendition] for made in versions.values()]
    whole = fetch(f"{folder_url}/{folder_url.rpartition('/')[2]}.m4a")
    assert whole is None or whole in [made.whole for made in versions.values()]
    heard = listen_to_all(folder_url)
    if heard is None:
        return None
    found = [name for name, made in versions.items() if heard == made.segments]
    assert len(found) == 1, "the master's renditions are not of one version"
    return found[0]


def play(url: str) -> float:
    """Seconds of sound that FFmpeg's own demuxer plays of all renditions together; it must not complain."""
    command = [get_ffmpeg_exe(), "-v", "error", "-progress", "-", "-i", url, "-map", "0:a", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return int(re.findall(r"out_time_us=(\d+)", done.stdout)[-1]) / 1e6
