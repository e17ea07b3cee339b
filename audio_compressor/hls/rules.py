"""The rules by which a ladder is judged, as data; each with where it is written and how binding it is.

"Apple" is the HLS authoring specification for Apple devices, in the numbering of May 2025. Several of its rules speak
of video and are applied to sound here, where they mean the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Severity = Literal["must", "should"]


@dataclass(frozen=True)
class Rule:
    """``cause``: what it comes from when this rule is not kept, where that is no fault of the ladder: a setting, or the
    track itself. Then it is told and no more."""

    source: str
    severity: Severity
    summary: str
    cause: str = ""


@dataclass(frozen=True)
class Finding:
    """A rule that is not kept: ``where`` is a file of the ladder, ``text`` what is there instead."""

    rule: str
    where: str
    text: str

    @property
    def source(self) -> str:
        return RULES[self.rule].source

    @property
    def severity(self) -> Severity:
        return RULES[self.rule].severity

    @property
    def cause(self) -> str:
        return RULES[self.rule].cause

    def __str__(self) -> str:
        cause = f", because of {self.cause}" if self.cause else ""
        return f"{self.where}: {self.text} ({self.source}, {self.severity}{cause})"


RULES: Mapping[str, Rule] = {
    # The text of playlists
    "encoding": Rule("RFC 8216 4.1", "must", "Playlists are UTF-8 without a byte order mark and control characters."),
    "first-line": Rule("RFC 8216 4.3.1.1", "must", "A playlist begins with #EXTM3U."),
    "one-kind": Rule("RFC 8216 4.1", "must", "A playlist is either a master playlist or a media playlist."),
    "attributes": Rule("RFC 8216 4.2", "must", "Attribute lists are well-formed, and no name is in one twice."),
    "values": Rule("RFC 8216 4.3", "must", "Numbers are numbers, and every tag has the value that it needs."),
    "tags-once": Rule("RFC 8216 4.3.3", "must", "A tag that is about the whole playlist is there once."),
    "tags": Rule(
        "Audio Compressor", "must", "There are no tags but those of a plain ladder; others may name other files."
    ),
    "version": Rule("RFC 8216 7", "must", "EXT-X-VERSION is high enough for what the playlist uses."),
    # Media playlists
    "extinf": Rule("RFC 8216 4.3.2.1", "must", "Every segment has its EXTINF."),
    "target-duration": Rule("RFC 8216 4.3.3.1", "must", "EXT-X-TARGETDURATION is there, and no EXTINF rounds to more."),
    "overrun": Rule("Apple 7.7", "must", "No segment lasts over 0.5 s longer than the target duration."),
    "durations": Rule("Apple 8.1", "must", "EXTINF tells how long segments are; their sums do, to a millisecond."),
    "vod": Rule("Apple 8.6", "must", "EXT-X-PLAYLIST-TYPE is VOD."),
    "end": Rule("RFC 8216 4.3.3.4", "must", "EXT-X-ENDLIST says that nothing follows."),
    "map": Rule("RFC 8216 4.3.2.5; Apple 8.20", "must", "fMP4 has an EXT-X-MAP before its first segment."),
    "independent": Rule("RFC 8216 4.3.5.1; Apple 9.11", "should", "EXT-X-INDEPENDENT-SEGMENTS is there."),
    "six-seconds": Rule("Apple 7.5, 7.6", "should", "Segments last 6 s nominally.", "SEGMENT_DURATION"),
    # Files
    "relative": Rule("Audio Compressor", "must", "URIs are relative and stay below the master playlist."),
    "available": Rule("RFC 8216 6.2.1", "must", "Every file that a playlist names is there."),
    "named": Rule("Audio Compressor", "must", "Files have the names of the layout, a playlist's of one generation."),
    "unreferenced": Rule("Audio Compressor", "should", "Every segment of this generation is in a playlist."),
    # The master playlist
    "variants": Rule("Audio Compressor", "must", "The master playlist has the variants low, med and high."),
    "default": Rule("Apple 1.32", "should", "The variant with which players begin, the first, is the middle one."),
    "bandwidth": Rule("RFC 8216 4.3.4.2; Apple 1.27, 9.13", "must", "BANDWIDTH is the measured peak bit rate."),
    "average": Rule("RFC 8216 4.3.4.2; Apple 1.26, 9.14", "must", "AVERAGE-BANDWIDTH is the measured bit rate."),
    "peaks": Rule("Apple 1.30", "should", "The peak bit rate is at most twice the average.", "the track's silence"),
    "cellular": Rule("Apple 9.21", "must", "One variant has a BANDWIDTH of at most 192 kbit/s."),
    "codecs": Rule("RFC 8216 4.3.4.2; Apple 9.1", "must", "CODECS names what is in the segments."),
    # All variants together
    "same-target": Rule("RFC 8216 6.2.4; Apple 8.2", "must", "All variants have the same target duration."),
    "same-content": Rule("RFC 8216 6.2.4; Apple 8.3, 8.7", "must", "All variants last equally long."),
    "same-start": Rule("RFC 8216 6.2.4", "must", "All variants begin at the same timestamp."),
    "same-format": Rule("RFC 8216 6.2.4", "must", "All variants have one sample rate and number of channels."),
    "aligned": Rule("Apple 8.22", "should", "All variants have segment boundaries at the same times."),
    "discontinuities": Rule(
        "RFC 8216 6.2.4; Apple 8.15", "must", "All variants have discontinuities at the same times."
    ),
    # Segments
    "readable": Rule("RFC 8216 3", "must", "Segments are what their container's standard says."),
    "tables": Rule("RFC 8216 3.2", "must", "A transport stream segment has a PAT and a PMT, and begins with them."),
    "one-program": Rule("RFC 8216 3.2", "must", "A transport stream segment has one program."),
    "one-sound": Rule("Apple 2.17", "must", "A segment has one stream of sound, and nothing else."),
    "counters": Rule("RFC 8216 3; Apple 7.2", "must", "Continuity counters go on within and across segments."),
    "timestamps": Rule("RFC 8216 3; Apple 7.2, 7.3", "must", "Timestamps go on within and across segments."),
    "init": Rule("RFC 8216 3.3", "must", "An initialisation section has ftyp of iso6, one empty track, and mvex."),
    "fragments": Rule("RFC 8216 3.3", "must", "Track fragments have a tfdt and count from their moof."),
    "whole-frames": Rule("RFC 8216 3", "must", "Segments hold whole AAC frames and nothing else."),
    "stereo": Rule("Apple 2.3", "must", "There is stereo sound in AAC."),
    # Its lower limit, 32 kbit/s, is for what an encoder is told: silence takes less, however it is encoded.
    "aac-rate": Rule("Apple 2.9", "should", "Stereo AAC has at most 160 kbit/s."),
    "elementary": Rule("Apple 2.1", "should", "Sound is in fMP4 or an elementary stream.", "HLS_SEGMENT_TYPE"),
    # Playing
    "plays": Rule("Audio Compressor", "must", "FFmpeg's own HLS demuxer plays every variant to its end over HTTP."),
    "as-long": Rule(
        "Audio Compressor", "must", "What is played lasts as long as the M4A, but for the encoder's delay."
    ),
}
