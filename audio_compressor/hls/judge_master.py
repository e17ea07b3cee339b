"""The rules for the master playlist, held against its variants. Pure."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from audio_compressor.hls.aac import FRAME_SAMPLES, AacStream
from audio_compressor.hls.judge_media import judge_independence, judge_version
from audio_compressor.hls.layout import MASTER_ORDER, PLAYLIST_NAME, RENDITIONS, rendition_of
from audio_compressor.hls.probe import LadderFacts, Variant
from audio_compressor.hls.rules import Finding
from audio_compressor.hls.tags import Entry

# Rates are told in whole bits per second, and rounded up.
_ROUNDING_BITS_PER_SECOND = 1
_MOST_PEAK_TO_AVERAGE = 2
_CELLULAR_BITS_PER_SECOND = 192_000
_MOST_AAC_BITS_PER_SECOND = 160_000


def judge_master_playlist(facts: LadderFacts) -> Iterator[Finding]:
    """Rules for the whole, then for each of its variants."""
    if not facts.master.is_master:
        return
    yield from judge_version(facts.master, PLAYLIST_NAME)
    yield from judge_independence(facts.master, PLAYLIST_NAME)
    yield from _variants(facts)
    yield from _default(facts)
    yield from _cellular(facts)
    for variant in facts.variants:
        yield from _attributes(variant)
        yield from _rates(variant)


def _variants(facts: LadderFacts) -> Iterator[Finding]:
    found = [rendition_of(variant.where) for variant in facts.variants]
    if set(found) != set(RENDITIONS) or len(found) != len(RENDITIONS):
        told = ", ".join(variant.where for variant in facts.variants)
        yield Finding("variants", PLAYLIST_NAME, f"it has {told or 'none'}")


def _default(facts: LadderFacts) -> Iterator[Finding]:
    """By its name: of a silent track all rates are about the same."""
    names = [rendition_of(variant.where) for variant in facts.variants]
    if MASTER_ORDER[0] in names[1:]:
        yield Finding("default", PLAYLIST_NAME, f"{facts.variants[0].where} is first")


def _cellular(facts: LadderFacts) -> Iterator[Finding]:
    rates = [rate for variant in facts.variants if (rate := _number(variant.entry, "BANDWIDTH")) is not None]
    # Of a track that loads in less than a second, whose packets are filled up (see mpegts.py), a rate says nothing.
    smallest_bytes = min((sum(each.size_bytes for each in variant.present) for variant in facts.variants), default=0)
    if smallest_bytes * 8 > _CELLULAR_BITS_PER_SECOND and rates and min(rates) > _CELLULAR_BITS_PER_SECOND:
        yield Finding("cellular", PLAYLIST_NAME, f"the lowest BANDWIDTH is {min(rates):,} bit/s")


def _attributes(variant: Variant) -> Iterator[Finding]:
    where = f"{PLAYLIST_NAME} line {variant.entry.line}"
    streams = {stream for segment in variant.present for stream in segment.streams}
    wanted = {stream.codec for stream in streams}
    told = (variant.entry.attributes or {}).get("CODECS")
    if told is None:
        yield Finding("codecs", where, "the variant has no CODECS")
    elif wanted and set(told.split(",")) != wanted:
        yield Finding("codecs", where, f"it says {told}, and the segments hold {', '.join(sorted(wanted))}")
    if len(streams) == 1:
        yield from _aac_rate(variant, streams.pop(), where)


def _aac_rate(variant: Variant, stream: AacStream, where: str) -> Iterator[Finding]:
    """Of the AAC itself, by frames: the last of them may be told to last shorter than it takes."""
    frames = sum(segment.frames for segment in variant.present)
    payload_bits = 8 * sum(segment.payload_bytes for segment in variant.present)
    rate = payload_bits * stream.sample_rate_hz / (max(1, frames) * FRAME_SAMPLES)
    if stream.channels == 2 and rate > _MOST_AAC_BITS_PER_SECOND:
        yield Finding("aac-rate", where, f"it has {rate / 1000:.0f} kbit/s")


def _rates(variant: Variant) -> Iterator[Finding]:
    where = f"{PLAYLIST_NAME} line {variant.entry.line}"
    told_peak, told_average = _number(variant.entry, "BANDWIDTH"), _number(variant.entry, "AVERAGE-BANDWIDTH")
    if told_peak is None:
        yield Finding("bandwidth", where, "the variant has no BANDWIDTH")
    if told_average is None:
        yield Finding("average", where, "the variant has no AVERAGE-BANDWIDTH")
    measured = _measured(variant)
    if not measured or variant.playlist is None or variant.playlist.target_duration_seconds is None:
        return
    average = _rate(measured)
    peak = _peak(measured, variant.playlist.target_duration_seconds) or average
    if told_peak is not None and abs(told_peak - peak) > _ROUNDING_BITS_PER_SECOND:
        yield Finding("bandwidth", where, f"it says {told_peak:,} bit/s, and the peak is {float(peak):,.0f}")
    if told_average is not None and abs(told_average - average) > _ROUNDING_BITS_PER_SECOND:
        yield Finding("average", where, f"it says {told_average:,} bit/s, and the average is {float(average):,.0f}")
    if peak > _MOST_PEAK_TO_AVERAGE * average:
        yield Finding("peaks", variant.where, f"the peak is {float(peak / average):.1f} times the average")


def _measured(variant: Variant) -> list[tuple[int, Decimal]]:
    """Sizes and told durations; nothing when any is missing."""
    entries = variant.playlist.entries if variant.playlist else ()
    measured = [
        (segment.size_bytes, entry.duration_seconds)
        for entry, segment in zip(entries, variant.segments, strict=True)
        if segment is not None and entry.duration_seconds
    ]
    return measured if len(measured) == len(entries) else []


def _peak(measured: Sequence[tuple[int, Decimal]], target_duration_seconds: int) -> Decimal | None:
    """Over every contiguous set of 0.5 to 1.5 target durations (RFC 8216, 4.1), by sums from the beginning."""
    sizes, times = [0], [Decimal(0)]
    for size_bytes, duration in measured:
        sizes.append(sizes[-1] + size_bytes)
        times.append(times[-1] + duration)
    least, most = Decimal(target_duration_seconds) / 2, Decimal(target_duration_seconds) * 3 / 2
    peak: Decimal | None = None
    start = 0
    for end in range(1, len(times)):
        while times[end] - times[start] > most:
            start += 1
        for first in range(start, end):
            if (lasts := times[end] - times[first]) < least:
                break
            rate = Decimal(8 * (sizes[end] - sizes[first])) / lasts
            peak = rate if peak is None else max(peak, rate)
    return peak


def _rate(measured: Sequence[tuple[int, Decimal]]) -> Decimal:
    return Decimal(8 * sum(size_bytes for size_bytes, _ in measured)) / sum(duration for _, duration in measured)


def _number(entry: Entry, name: str) -> int | None:
    value = (entry.attributes or {}).get(name)
    return None if value is None else int(value)
