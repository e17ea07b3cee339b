"""The rules for all variants together: what lets a player change between them. Pure."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from fractions import Fraction

from audio_compressor.hls.aac import FRAME_SAMPLES, AacStream
from audio_compressor.hls.layout import PLAYLIST_NAME
from audio_compressor.hls.mpegts import TICKS_PER_SECOND
from audio_compressor.hls.probe import Segment, Variant
from audio_compressor.hls.rules import Finding

# Timestamps of a transport stream are rounded to this.
_TICK_SECONDS = Fraction(1, TICKS_PER_SECOND)


def judge_variants(variants: Sequence[Variant]) -> Iterator[Finding]:
    """Each rule is held by all variants as by the first. What could not be read is left to other rules."""
    whole = [variant for variant in variants if variant.playlist is not None and variant.segments]
    yield from _same("same-target", whole, _target, "target durations are {}")
    heard = [variant for variant in whole if _streams(variant)]
    yield from _same("same-format", heard, _format, "the segments hold {}")
    yield from _same("discontinuities", whole, _discontinuities, "discontinuities are before the segments {}")
    complete = [variant for variant in whole if all(_is_measured(segment) for segment in variant.segments)]
    yield from _stereo(whole)
    if len(complete) > 1:
        yield from _starts(complete)
        yield from _times(complete)


def _same(rule: str, variants: Sequence[Variant], read: Callable[[Variant], Hashable], text: str) -> Iterator[Finding]:
    values = {variant.where: read(variant) for variant in variants}
    if len(set(values.values())) > 1:
        told = ", ".join(f"{value} in {where}" for where, value in values.items())
        yield Finding(rule, PLAYLIST_NAME, text.format(told))


def _target(variant: Variant) -> Hashable:
    return variant.playlist and variant.playlist.target_duration_seconds


def _format(variant: Variant) -> Hashable:
    formats = sorted({(stream.sample_rate_hz, stream.channels) for stream in _streams(variant)})
    return " and ".join(f"{rate_hz} Hz with {channels} channel(s)" for rate_hz, channels in formats)


def _discontinuities(variant: Variant) -> Hashable:
    entries = variant.playlist.entries if variant.playlist else ()
    return tuple(number for number, entry in enumerate(entries) if entry.discontinuity)


def _stereo(variants: Sequence[Variant]) -> Iterator[Finding]:
    streams = {stream for variant in variants for stream in _streams(variant)}
    if streams and not any(stream.channels == 2 for stream in streams):
        yield Finding("stereo", PLAYLIST_NAME, "no variant has two channels")


def _streams(variant: Variant) -> set[AacStream]:
    return {stream for segment in variant.present for stream in segment.streams}


def _is_measured(segment: Segment | None) -> bool:
    return segment is not None and segment.start is not None and segment.duration is not None


def _starts(variants: Sequence[Variant]) -> Iterator[Finding]:
    starts = {variant.where: variant.present[0].start or Fraction(0) for variant in variants}
    if max(starts.values()) - min(starts.values()) > _TICK_SECONDS:
        told = ", ".join(f"{float(start):.6f} s in {where}" for where, start in starts.items())
        yield Finding("same-start", PLAYLIST_NAME, f"they begin at {told}")


def _times(variants: Sequence[Variant]) -> Iterator[Finding]:
    """Lengths first: a variant that ends early has other boundaries, too, and one reason is enough."""
    lengths = {variant.where: sum(segment.frames for segment in variant.present) for variant in variants}
    if max(lengths.values()) != min(lengths.values()):
        told = ", ".join(f"{frames} frames of {FRAME_SAMPLES} samples in {where}" for where, frames in lengths.items())
        yield Finding("same-content", PLAYLIST_NAME, f"they last {told}")
        return
    first, *others = variants
    frames = [segment.frames for segment in first.present]
    for other in others:
        differing = [
            segment.where for segment, wanted in zip(other.present, frames, strict=False) if segment.frames != wanted
        ]
        if differing or len(other.present) != len(frames):
            text = (
                f"{differing[0]} and its pendant in {first.where} do not end at the same time"
                if differing
                else (f"{len(other.present)} segments where {first.where} has {len(frames)}")
            )
            yield Finding("aligned", other.where, text)
