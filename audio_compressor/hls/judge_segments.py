"""The rules for segments and initialisation sections: their containers, and that each goes on where the last one ended.
Pure.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction

from audio_compressor.hls.aac import FRAME_SAMPLES
from audio_compressor.hls.mp4 import FragmentedSegment
from audio_compressor.hls.mpegts import (
    ADTS_STREAM_TYPE,
    TICKS_PER_SECOND,
    TIMESTAMP_TICKS,
    TransportSegment,
    next_counter,
)
from audio_compressor.hls.probe import Init, Segment, Variant
from audio_compressor.hls.rules import Finding

# Each timestamp is rounded to a tick, and the one that the others are counted from was rounded, too.
_ROUNDING_TICKS = 2
# Brands that stand for version 6 of the base format, and what came after it (RFC 8216, 3.3; ISO/IEC 14496-12, E).
_BRANDS = {"iso6", "iso7", "iso8", "iso9", "isoa", "isob", "isoc"}


def judge_segments(variant: Variant) -> Iterator[Finding]:
    """At most one finding for each rule and variant, about the first segment that does not keep it."""
    found: dict[str, Finding] = {}
    for finding in _all_findings(variant):
        found.setdefault(finding.rule, finding)
    yield from found.values()


def _all_findings(variant: Variant) -> Iterator[Finding]:
    for init in variant.inits:
        yield from _init(init)
    if any(isinstance(segment.content, TransportSegment) for segment in variant.present):
        yield Finding("elementary", variant.where, "the segments are transport streams")
    timeline = _Timeline()
    entries = variant.playlist.entries if variant.playlist else ()
    for entry, segment in zip(entries, variant.segments, strict=True):
        if segment is None or segment.content is None or entry.discontinuity:
            timeline = _Timeline()
        if segment is None:
            continue
        if isinstance(segment.content, TransportSegment):
            yield from _transport(segment, segment.content)
            yield from timeline.transport(segment, segment.content)
        elif isinstance(segment.content, FragmentedSegment):
            yield from _fragmented(segment, segment.content, variant)
            yield from timeline.fragmented(segment, segment.content)


def _init(init: Init) -> Iterator[Finding]:
    content = init.content
    if content is None:
        return
    if not content.begins_with_ftyp or not content.brands & _BRANDS:
        yield Finding("init", init.where, f"it does not begin with ftyp of iso6 but has {', '.join(content.brands)}")
    if len(content.tracks) != 1:
        yield Finding("one-sound", init.where, f"it has {len(content.tracks)} tracks")
    elif content.tracks[0].stream is None:
        yield Finding("one-sound", init.where, "its track is not AAC")
    if any(track.frames for track in content.tracks):
        yield Finding("init", init.where, "there are samples in its tables")
    if not content.is_for_fragments:
        yield Finding("init", init.where, "it has no mvex, so no fragments may follow")


def _transport(segment: Segment, content: TransportSegment) -> Iterator[Finding]:
    if not content.begins_with_tables:
        yield Finding("tables", segment.where, "the first two packets are not PAT and PMT")
    if content.programs != 1:
        yield Finding("one-program", segment.where, f"it has {content.programs}")
    if content.stream_types != (ADTS_STREAM_TYPE,):
        types = ", ".join(f"0x{each:02x}" for each in content.stream_types) or "none"
        yield Finding("one-sound", segment.where, f"it has streams of the types {types} where 0x0f, AAC, is needed")
    if content.lost_pids:
        yield Finding("counters", segment.where, f"a packet of PID {content.lost_pids[0]} is missing in it")
    if content.stray_bytes or len(content.streams) > 1:
        yield Finding("whole-frames", segment.where, f"{content.stray_bytes} bytes in it belong to no AAC frame")


def _fragmented(segment: Segment, content: FragmentedSegment, variant: Variant) -> Iterator[Finding]:
    tracks = {track.track_id for init in variant.inits if init.content for track in init.content.tracks}
    for fragment in content.fragments:
        if fragment.base_time is None or not fragment.base_is_moof:
            missing = "tfdt" if fragment.base_time is None else "default-base-is-moof"
            yield Finding("fragments", segment.where, f"a track fragment has no {missing}")
        if tracks and fragment.track_id not in tracks:
            yield Finding("one-sound", segment.where, f"it has a track {fragment.track_id}, which is not introduced")
    told_bytes = sum(fragment.payload_bytes for fragment in content.fragments)
    if told_bytes != content.media_bytes:
        text = f"{content.media_bytes} bytes of sound are in it, and its tables tell of {told_bytes}"
        yield Finding("whole-frames", segment.where, text)


class _Timeline:
    """What the next segment should begin with; nothing is expected of the first one, or after a break."""

    def __init__(self) -> None:
        self._counters: Mapping[int, int] = {}
        self._ticks: Fraction | None = None
        self._time: int | None = None

    def transport(self, segment: Segment, content: TransportSegment) -> Iterator[Finding]:
        for pid, counter in content.first_counters.items():
            if pid in self._counters and counter != next_counter(self._counters[pid]):
                text = f"PID {pid} goes on with {counter} after {self._counters[pid]}"
                yield Finding("counters", segment.where, text)
        self._counters = {**self._counters, **content.last_counters}
        rates_hz = {stream.sample_rate_hz for stream in content.streams}
        if len(rates_hz) != 1:
            self._ticks = None
            return
        ticks_per_frame = Fraction(FRAME_SAMPLES * TICKS_PER_SECOND, rates_hz.pop())
        for ticks, frames in ((each.ticks, each.frames) for each in content.timestamps):
            if self._ticks is None and ticks is not None:
                self._ticks = Fraction(ticks)
            elif self._ticks is not None and ticks is not None and _distance(ticks, self._ticks) > _ROUNDING_TICKS:
                seconds = float(ticks - self._ticks) / TICKS_PER_SECOND
                yield Finding("timestamps", segment.where, f"they jump by {seconds:+.3f} s")
                self._ticks = Fraction(ticks)
            if self._ticks is not None:
                self._ticks += frames * ticks_per_frame

    def fragmented(self, segment: Segment, content: FragmentedSegment) -> Iterator[Finding]:
        for fragment in content.fragments:
            if fragment.base_time is None:
                self._time = None
                continue
            if self._time is not None and fragment.base_time != self._time:
                text = f"a fragment begins at {fragment.base_time} where the one before it ended at {self._time}"
                yield Finding("timestamps", segment.where, text)
            self._time = fragment.base_time + fragment.duration


def _distance(ticks: int, expected: Fraction) -> Fraction:
    """Timestamps begin again after 2 to the power of 33."""
    apart = (ticks - expected) % TIMESTAMP_TICKS
    return min(apart, TIMESTAMP_TICKS - apart)
