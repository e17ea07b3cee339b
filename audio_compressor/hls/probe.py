"""Reads a ladder from its directory, beginning at the master playlist as a player does: what is there, not whether it
is right. Only files below the directory are opened, whatever a playlist names.
"""

import posixpath
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from audio_compressor.errors import NotAudioError
from audio_compressor.hls.aac import FRAME_SAMPLES, AacStream
from audio_compressor.hls.layout import PLAYLIST_NAME
from audio_compressor.hls.mp4 import FragmentedSegment, InitSection, parse_fragmented_segment, parse_init_section
from audio_compressor.hls.mpegts import TICKS_PER_SECOND, TransportSegment, parse_transport_segment
from audio_compressor.hls.rules import Finding
from audio_compressor.hls.tags import Entry, Playlist, read_playlist
from audio_compressor.local_files import local_errors

# No scheme, no query, nothing that a URL would have to escape.
_PLAIN_URI = re.compile(r"[A-Za-z0-9._-][A-Za-z0-9._/-]*")
_FIRST_TRANSPORT_BYTE = b"\x47"


@dataclass(frozen=True)
class Segment:
    """A media segment that is there. ``payload_bytes`` is the AAC in it. ``duration`` and ``start`` are exact seconds;
    None when they cannot be known."""

    where: str
    size_bytes: int
    payload_bytes: int
    content: TransportSegment | FragmentedSegment | None
    streams: frozenset[AacStream]
    frames: int
    duration: Fraction | None
    start: Fraction | None


@dataclass(frozen=True)
class Init:
    """An initialisation section that is there; ``content`` is None when it is malformed."""

    where: str
    content: InitSection | None


@dataclass(frozen=True)
class Variant:
    """A variant of the master playlist. ``segments`` has one item for each entry of ``playlist``, None for what is not
    there; ``playlist`` is None when it is not there itself."""

    where: str
    entry: Entry
    playlist: Playlist | None
    segments: tuple[Segment | None, ...]
    inits: tuple[Init, ...]

    @property
    def present(self) -> tuple[Segment, ...]:
        return tuple(segment for segment in self.segments if segment is not None)


@dataclass(frozen=True)
class LadderFacts:
    """Everything that was found. ``files`` are the names of all files below the directory; ``findings`` are of reading
    only."""

    master: Playlist
    variants: tuple[Variant, ...]
    files: frozenset[str]
    findings: tuple[Finding, ...]


def probe_ladder(directory: Path) -> LadderFacts:
    """Read the ladder whose master playlist is ``directory/playlist.m3u8``.

    Raises:
        StorageError, AccessDeniedError: something in it cannot be read, or there is no master playlist.
    """
    return _Probe(directory).ladder()


def local_name(uri: str, playlist: str) -> str | None:
    """The name of the file below the directory that ``uri`` in ``playlist`` means; None when it leads elsewhere."""
    if not _PLAIN_URI.fullmatch(uri):
        return None
    name = posixpath.normpath(posixpath.join(posixpath.dirname(playlist), uri))
    return None if name.startswith("..") else name


class _Probe:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._findings: list[Finding] = []
        with local_errors(directory):
            paths = [path for path in directory.rglob("*") if path.is_file()]
        self._files = frozenset(path.relative_to(directory).as_posix() for path in paths)

    def ladder(self) -> LadderFacts:
        master = self._playlist(PLAYLIST_NAME)
        variants = tuple(self._variant(entry) for entry in master.entries) if master.is_master else ()
        if not master.is_master:
            self._find("one-kind", PLAYLIST_NAME, "it has no EXT-X-STREAM-INF, so it is no master playlist")
        return LadderFacts(master, variants, self._files, tuple(self._findings))

    def _variant(self, entry: Entry) -> Variant:
        name = self._locate(entry.uri, PLAYLIST_NAME)
        if name is None:
            return Variant(entry.uri, entry, None, (), ())
        playlist = self._playlist(name)
        if playlist.is_master:
            self._find("one-kind", name, "the master playlist names another one")
            return Variant(name, entry, None, (), ())
        inits = {}
        for uri in dict.fromkeys(each.map_uri for each in playlist.entries):
            where = self._locate(uri, name) if uri is not None else None
            if where is not None:
                inits[uri] = Init(where, self._init(where))
        segments = tuple(self._segment(each, name, inits.get(each.map_uri)) for each in playlist.entries)
        return Variant(name, entry, playlist, segments, tuple(inits.values()))

    def _segment(self, entry: Entry, playlist: str, init: Init | None) -> Segment | None:
        where = self._locate(entry.uri, playlist)
        if where is None:
            return None
        data = self._read(where)
        try:
            if data[:1] == _FIRST_TRANSPORT_BYTE:
                return _transport_segment(where, data)
            return _fragmented_segment(where, data, init)
        except NotAudioError as error:
            self._find("readable", where, str(error))
            return Segment(where, len(data), 0, None, frozenset(), 0, None, None)

    def _init(self, where: str) -> InitSection | None:
        try:
            return parse_init_section(self._read(where))
        except NotAudioError as error:
            self._find("readable", where, str(error))
            return None

    def _playlist(self, where: str) -> Playlist:
        playlist, findings = read_playlist(self._read(where), where)
        self._findings += findings
        return playlist

    def _locate(self, uri: str, playlist: str) -> str | None:
        name = local_name(uri, playlist)
        if name is None:
            self._find("relative", playlist, f"it names {uri!r}")
        elif name not in self._files:
            self._find("available", playlist, f"it names {uri!r}, which is not there")
        else:
            return name
        return None

    def _read(self, name: str) -> bytes:
        with local_errors(self._directory / name):
            return (self._directory / name).read_bytes()

    def _find(self, rule: str, where: str, text: str) -> None:
        self._findings.append(Finding(rule, where, text))


def _transport_segment(where: str, data: bytes) -> Segment:
    content = parse_transport_segment(data)
    rates_hz = {stream.sample_rate_hz for stream in content.streams}
    ticks = content.timestamps[0].ticks if content.timestamps else None
    return Segment(
        where=where,
        size_bytes=len(data),
        payload_bytes=content.payload_bytes,
        content=content,
        streams=content.streams,
        frames=content.frames,
        duration=Fraction(content.frames * FRAME_SAMPLES, rates_hz.pop()) if len(rates_hz) == 1 else None,
        start=None if ticks is None else Fraction(ticks, TICKS_PER_SECOND),
    )


def _fragmented_segment(where: str, data: bytes, init: Init | None) -> Segment:
    content = parse_fragmented_segment(data)
    tracks = init.content.tracks if init and init.content else ()
    timescale = tracks[0].timescale if tracks else 0
    base_time = content.fragments[0].base_time if content.fragments else None
    return Segment(
        where=where,
        size_bytes=len(data),
        payload_bytes=sum(fragment.payload_bytes for fragment in content.fragments),
        content=content,
        streams=frozenset(track.stream for track in tracks if track.stream),
        frames=sum(fragment.frames for fragment in content.fragments),
        duration=Fraction(sum(each.duration for each in content.fragments), timescale) if timescale else None,
        start=Fraction(base_time, timescale) if timescale and base_time is not None else None,
    )
