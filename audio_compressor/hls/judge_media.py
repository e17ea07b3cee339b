"""The rules for one media playlist and its files. Pure."""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

from audio_compressor.hls.layout import parse_name
from audio_compressor.hls.mp4 import FragmentedSegment
from audio_compressor.hls.probe import LadderFacts, Variant
from audio_compressor.hls.rules import Finding
from audio_compressor.hls.tags import Playlist

_OVERRUN_SECONDS = Decimal("0.5")
# The rule allows a frame of video. Without video it is what a timer of a player can tell apart.
_DRIFT_SECONDS = Fraction(1, 1000)
_NOMINAL_SECONDS, _NOMINAL_TOLERANCE_SECONDS = Decimal(6), Decimal("0.5")
_VERSION_OF_FRACTIONS, _VERSION_OF_MAPS = 3, 6


def judge_media_playlist(variant: Variant, facts: LadderFacts) -> Iterator[Finding]:
    """Everything that can be said of one variant's playlist by itself."""
    playlist = variant.playlist
    if playlist is None:
        return
    where = variant.where
    yield from judge_version(playlist, where)
    yield from _durations_told(playlist, where)
    yield from _durations_kept(variant, playlist)
    if playlist.playlist_type != "VOD":
        yield Finding("vod", where, f"it is {playlist.playlist_type or 'not said to be of any type'}")
    if "EXT-X-ENDLIST" not in playlist.tags:
        yield Finding("end", where, "it has no EXT-X-ENDLIST, so players would load it again and again")
    yield from judge_independence(playlist, where)
    yield from _maps(variant, playlist)
    yield from _names(variant, facts)


def judge_version(playlist: Playlist, where: str) -> Iterator[Finding]:
    """For master playlists as well, which need none."""
    needed = 1
    if playlist.has_fractions:
        needed = _VERSION_OF_FRACTIONS
    if "EXT-X-MAP" in playlist.tags:
        needed = _VERSION_OF_MAPS
    if playlist.version < needed:
        yield Finding("version", where, f"it is of version {playlist.version} and uses what came with {needed}")


def judge_independence(playlist: Playlist, where: str) -> Iterator[Finding]:
    if "EXT-X-INDEPENDENT-SEGMENTS" not in playlist.tags:
        yield Finding("independent", where, "it has no EXT-X-INDEPENDENT-SEGMENTS, and every AAC frame is independent")


def _durations_told(playlist: Playlist, where: str) -> Iterator[Finding]:
    missing = [entry.uri for entry in playlist.entries if entry.duration_seconds is None]
    if missing:
        yield Finding("extinf", where, f"{_first_of(missing)} has no EXTINF")
    durations = [entry.duration_seconds for entry in playlist.entries if entry.duration_seconds is not None]
    target = playlist.target_duration_seconds
    if target is None:
        yield Finding("target-duration", where, "it has no EXT-X-TARGETDURATION")
        return
    longest = max(durations, default=Decimal(0))
    if int(longest + Decimal("0.5")) > target:
        yield Finding("target-duration", where, f"it is {target} s, and a segment lasts {longest} s")
    for odd in [each for each in durations[:-1] if abs(each - _NOMINAL_SECONDS) > _NOMINAL_TOLERANCE_SECONDS][:1]:
        yield Finding("six-seconds", where, f"segments last {odd:.3f} s, where {_NOMINAL_SECONDS} s are recommended")


def _durations_kept(variant: Variant, playlist: Playlist) -> Iterator[Finding]:
    """What is told against what is there: every sum of neighbours is the difference of two sums from the beginning."""
    drift = least = most = Fraction(0)
    target = playlist.target_duration_seconds
    for entry, segment in zip(playlist.entries, variant.segments, strict=True):
        if segment is None or segment.duration is None:
            return
        if target is not None and segment.duration > target + Fraction(_OVERRUN_SECONDS):
            text = f"it lasts {float(segment.duration):.3f} s where the target duration is {target} s"
            yield Finding("overrun", segment.where, text)
        if entry.duration_seconds is None:
            return
        drift += Fraction(entry.duration_seconds) - segment.duration
        least, most = min(least, drift), max(most, drift)
    if most - least > _DRIFT_SECONDS:
        text = f"EXTINF and segments differ by up to {float(most - least) * 1000:.1f} ms"
        yield Finding("durations", variant.where, text)


def _maps(variant: Variant, playlist: Playlist) -> Iterator[Finding]:
    for entry, segment in zip(playlist.entries, variant.segments, strict=True):
        is_fragmented = segment is not None and isinstance(segment.content, FragmentedSegment)
        if is_fragmented and entry.map_uri is None:
            yield Finding("map", variant.where, f"{entry.uri} is fMP4 without an EXT-X-MAP before it")
            return


def _names(variant: Variant, facts: LadderFacts) -> Iterator[Finding]:
    """Names that a later run cannot make again for other content, and nothing lost of this run."""
    referenced = {segment.where for segment in variant.present} | {init.where for init in variant.inits}
    strange = sorted(name for name in referenced if parse_name(name.rpartition("/")[2]) is None)
    parsed = {name: found for name in referenced if (found := parse_name(name.rpartition("/")[2]))}
    generations = {found.generation for found in parsed.values()}
    if strange:
        yield Finding("named", variant.where, f"{_first_of(strange)} is no name of the layout")
    if len(generations) > 1:
        yield Finding("named", variant.where, f"it mixes the generations {', '.join(sorted(generations))}")
    directory = variant.where.rpartition("/")[0]
    lost = [
        name
        for name in sorted(facts.files - referenced)
        if name.rpartition("/")[0] == directory
        and (found := parse_name(name.rpartition("/")[2]))
        and found.generation in generations
    ]
    if lost:
        yield Finding("unreferenced", variant.where, f"{_first_of(lost)} is in no playlist")


def _first_of(names: list[str]) -> str:
    return names[0] + (f" (and {len(names) - 1} more)" if len(names) > 1 else "")
