"""Reads playlists strictly (RFC 8216, 4.1 to 4.3): what they say, and each place where they are not well-formed. Pure.

A library for players reads around mistakes, and this is here to find them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from audio_compressor.hls.rules import Finding

_INTEGER = re.compile(r"\d{1,20}")
_DECIMAL = re.compile(r"\d+(\.\d+)?")
_ATTRIBUTE = re.compile(r'(?P<name>[A-Z0-9-]+)=(?P<value>"[^"]*"|[^",\s]+)(?:,|$)')
_EXTINF = re.compile(r"(?P<duration>[^,]*),(?P<title>.*)")
# Tags of segments (4.3.2) and of the whole (4.3.3) are only in media playlists, those of 4.3.4 only in master ones.
_OF_SEGMENTS = {"EXTINF", "EXT-X-BYTERANGE", "EXT-X-DISCONTINUITY", "EXT-X-KEY", "EXT-X-MAP", "EXT-X-PROGRAM-DATE-TIME"}
_OF_MEDIA_PLAYLISTS = {
    "EXT-X-TARGETDURATION",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-ENDLIST",
    "EXT-X-PLAYLIST-TYPE",
    "EXT-X-I-FRAMES-ONLY",
}
_OF_MASTER_PLAYLISTS = {"EXT-X-MEDIA", "EXT-X-STREAM-INF", "EXT-X-I-FRAME-STREAM-INF", "EXT-X-SESSION-DATA"}
_ONCE = _OF_MEDIA_PLAYLISTS | {"EXT-X-VERSION", "EXT-X-INDEPENDENT-SEGMENTS", "EXT-X-START"}
_EXPECTED = {
    *("EXTM3U", "EXT-X-VERSION", "EXT-X-INDEPENDENT-SEGMENTS", "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE"),
    *("EXT-X-PLAYLIST-TYPE", "EXT-X-ENDLIST", "EXT-X-MAP", "EXTINF", "EXT-X-DISCONTINUITY", "EXT-X-STREAM-INF"),
}
_INTEGERS = {"EXT-X-VERSION", "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE"}
_WITH_ATTRIBUTES = {"EXT-X-MAP", "EXT-X-STREAM-INF"}


@dataclass(frozen=True)
class Entry:
    """A URI and what the tags before it say of it. ``map_uri`` is that of the last EXT-X-MAP."""

    uri: str
    line: int
    duration_seconds: Decimal | None = None
    discontinuity: bool = False
    map_uri: str | None = None
    attributes: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Playlist:
    """What a playlist says; attributes are without their quotes. A playlist without EXT-X-VERSION is of version 1."""

    is_master: bool
    tags: frozenset[str]
    version: int
    target_duration_seconds: int | None
    playlist_type: str | None
    entries: tuple[Entry, ...]
    has_fractions: bool


def read_playlist(data: bytes, where: str) -> tuple[Playlist, tuple[Finding, ...]]:
    """Never fails: what cannot be understood is a finding, and left out."""
    return _Reader(where).read(data)


@dataclass
class _Reader:
    where: str
    findings: list[Finding] = field(default_factory=list)
    tags: dict[str, int] = field(default_factory=dict)
    integers: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    has_fractions: bool = False
    _line: int = 0
    _duration: Decimal | None = None
    _discontinuity: bool = False
    _map_uri: str | None = None
    _variant: Mapping[str, str] | None = None

    def read(self, data: bytes) -> tuple[Playlist, tuple[Finding, ...]]:
        lines = self._lines(data)
        if not lines or lines[0] != "#EXTM3U":
            self._find("first-line", "the first line is not #EXTM3U")
        for self._line, line in enumerate(lines, start=1):
            if line.startswith("#EXT"):
                name, _, value = line[1:].partition(":")
                self._tag(name, value)
            elif line and not line.startswith("#"):
                self._uri(line)
        self._line = 0
        if self._variant is not None:
            self._find("values", "the last EXT-X-STREAM-INF is followed by no URI")
        return self._playlist(), tuple(self.findings)

    def _lines(self, data: bytes) -> list[str]:
        text = data.decode("utf-8", errors="replace")
        if "\ufffd" in text:
            self._find("encoding", "it is not UTF-8")
        if text.startswith("\ufeff"):
            self._find("encoding", "it begins with a byte order mark")
            text = text[1:]
        lines = re.split(r"\r?\n", text)
        if any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for line in lines for character in line):
            self._find("encoding", "it has control characters")
        return lines

    def _tag(self, name: str, value: str) -> None:
        if name in _ONCE and name in self.tags:
            self._find("tags-once", f"{name} is there again")
        self.tags[name] = self._line
        if name not in _EXPECTED:
            self._find("tags", f"it has {name}")
        if name == "EXTINF":
            self._extinf(value)
        elif name in _INTEGERS:
            if _INTEGER.fullmatch(value):
                self.integers.setdefault(name, int(value))
            else:
                self._find("values", f"{name} is no whole number: {value!r}")
        elif name in _WITH_ATTRIBUTES:
            attributes = self._attributes(name, value)
            if name == "EXT-X-MAP":
                self._map_uri = attributes.get("URI")
                if self._map_uri is None:
                    self._find("values", "EXT-X-MAP has no URI")
            else:
                self._variant = attributes
        elif name == "EXT-X-DISCONTINUITY":
            self._discontinuity = True
        elif name == "EXT-X-PLAYLIST-TYPE":
            self.texts.setdefault(name, value)
            if value not in {"VOD", "EVENT"}:
                self._find("values", f"{name} is neither VOD nor EVENT: {value!r}")

    def _extinf(self, value: str) -> None:
        match = _EXTINF.fullmatch(value)
        if match is None or not _DECIMAL.fullmatch(match["duration"]):
            self._find("values", f"EXTINF is no number with a comma: {value!r}")
            return
        self._duration = Decimal(match["duration"])
        self.has_fractions = self.has_fractions or "." in match["duration"]

    def _attributes(self, name: str, value: str) -> Mapping[str, str]:
        found: dict[str, str] = {}
        position = 0
        while position < len(value):
            match = _ATTRIBUTE.match(value, position)
            if match is None or (match.end() == len(value) and value.endswith(",")):
                self._find("attributes", f"{name} cannot be read from {value[position:]!r} on")
                break
            self._attribute(found, name, match["name"], match["value"])
            position = match.end()
        return found

    def _attribute(self, found: dict[str, str], tag: str, name: str, value: str) -> None:
        if name in found:
            self._find("attributes", f"{tag} has {name} twice")
        check = _VALUES.get(name)
        if check is not None and not check(value):
            self._find("attributes", f"{tag} has {name}={value}, which is not of the kind that it must be")
            return
        found[name] = value.removeprefix('"').removesuffix('"')

    def _uri(self, uri: str) -> None:
        entry = Entry(uri, self._line, self._duration, self._discontinuity, self._map_uri, self._variant)
        self.entries.append(entry)
        self._duration, self._discontinuity, self._variant = None, False, None

    def _playlist(self) -> Playlist:
        is_master = bool(self.tags.keys() & _OF_MASTER_PLAYLISTS)
        others = self.tags.keys() & (_OF_SEGMENTS | _OF_MEDIA_PLAYLISTS)
        if is_master and others:
            self._find("one-kind", f"a master playlist with {', '.join(sorted(others))}")
        return Playlist(
            is_master=is_master,
            tags=frozenset(self.tags),
            version=self.integers.get("EXT-X-VERSION", 1),
            target_duration_seconds=self.integers.get("EXT-X-TARGETDURATION"),
            playlist_type=self.texts.get("EXT-X-PLAYLIST-TYPE"),
            entries=tuple(self.entries),
            has_fractions=self.has_fractions,
        )

    def _find(self, rule: str, text: str) -> None:
        where = f"{self.where} line {self._line}" if self._line else self.where
        self.findings.append(Finding(rule, where, text))


def _is_integer(value: str) -> bool:
    return _INTEGER.fullmatch(value) is not None


def _is_quoted(value: str) -> bool:
    return value.startswith('"')


_VALUES: Mapping[str, Callable[[str], bool]] = {
    "BANDWIDTH": _is_integer,
    "AVERAGE-BANDWIDTH": _is_integer,
    "CODECS": _is_quoted,
    "URI": _is_quoted,
}
