"""`hls_conforms`: is a ladder what RFC 8216 and Apple's authoring specification ask for, and does it play?"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.hls.aac import FRAME_SAMPLES
from audio_compressor.hls.judge_master import judge_master_playlist
from audio_compressor.hls.judge_media import judge_media_playlist
from audio_compressor.hls.judge_segments import judge_segments
from audio_compressor.hls.judge_variants import judge_variants
from audio_compressor.hls.layout import PLAYLIST_NAME
from audio_compressor.hls.play import Played, play_ladder
from audio_compressor.hls.probe import LadderFacts, Variant, probe_ladder
from audio_compressor.hls.rules import Finding
from audio_compressor.processes import ChildProcesses

# What an encoder puts before the sound (one or two frames), and what fills up the last frame. An M4A tells players to
# leave both out, HLS cannot in a transport stream.
_MOST_EXTRA_FRAMES = 4
# FFmpeg opens whatever a playlist names: of another server, or itself again and again.
_NOT_TO_BE_PLAYED = {"relative", "tags", "named", "one-kind"}
# A variant without its segments would have hundreds.
_MOST_FINDINGS_OF_A_RULE = 5


@dataclass(frozen=True)
class HlsReport:
    """``findings`` are faults; ``notes`` are rules that are not kept because of a setting or of the track. ``variants``
    are the names of the media playlists, ``played_seconds`` how long each of them plays."""

    findings: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    variants: tuple[str, ...]
    segments: int
    played_seconds: tuple[float, ...]

    @property
    def passed(self) -> bool:
        return not self.findings


def hls_conforms(
    directory: Path,
    m4a_seconds: float,
    *,
    ffmpeg: Ffmpeg,
    children: ChildProcesses,
    timeout_seconds: float,
) -> HlsReport:
    """Judge the ladder in ``directory`` and play it; ``m4a_seconds`` is what the M4A of the same track decodes to.

    Raises:
        StorageError, AccessDeniedError: it cannot be read, or has no master playlist.
        EncodingError: FFmpeg was killed, or reached its time limit; which is no verdict.
        CancelledError: the children are being killed.
    """
    facts = probe_ladder(directory)
    findings = list(judge(facts))
    played_seconds: tuple[float, ...] = ()
    if facts.variants and not any(each.rule in _NOT_TO_BE_PLAYED for each in findings):
        played = play_ladder(
            directory, len(facts.variants), ffmpeg=ffmpeg, children=children, timeout_seconds=timeout_seconds
        )
        findings += judge_played(facts.variants, played, m4a_seconds)
        played_seconds = _seconds(facts.variants, played)
    return HlsReport(
        findings=tuple(_shortened([each for each in findings if not each.cause])),
        notes=tuple(_shortened([each for each in findings if each.cause])),
        variants=tuple(variant.where for variant in facts.variants),
        segments=sum(len(variant.present) for variant in facts.variants),
        played_seconds=played_seconds,
    )


def judge(facts: LadderFacts) -> Iterator[Finding]:
    """Every rule but those of playing. Pure."""
    yield from facts.findings
    yield from judge_master_playlist(facts)
    for variant in facts.variants:
        yield from judge_media_playlist(variant, facts)
        yield from judge_segments(variant)
    yield from judge_variants(facts.variants)


def judge_played(variants: tuple[Variant, ...], played: Played, m4a_seconds: float) -> Iterator[Finding]:
    """Whether each variant was played to its end, and as long as the M4A. Pure."""
    if played.problem or len(played.samples) != len(variants):
        yield Finding("plays", PLAYLIST_NAME, played.problem or f"{len(played.samples)} variants were played")
        return
    for variant, samples, seconds in zip(variants, played.samples, _seconds(variants, played), strict=True):
        rate_hz, channels = _format(variant)
        frames = sum(segment.frames for segment in variant.present)
        missing = frames * FRAME_SAMPLES - samples // channels
        # MP4 may say that the last frame is cut short.
        if not 0 <= missing < FRAME_SAMPLES:
            yield Finding("plays", variant.where, f"{missing} of {frames * FRAME_SAMPLES} samples were not played")
            continue
        longer = seconds - m4a_seconds
        if not 0 <= longer * rate_hz <= _MOST_EXTRA_FRAMES * FRAME_SAMPLES:
            yield Finding("as-long", variant.where, f"{seconds:.3f} s were played, and the M4A has {m4a_seconds:.3f} s")


def _shortened(findings: list[Finding]) -> Iterator[Finding]:
    """The first few of each rule; the last of them says how many are left out."""
    of_rule = Counter(each.rule for each in findings)
    seen: Counter[str] = Counter()
    for finding in findings:
        seen[finding.rule] += 1
        left_out = of_rule[finding.rule] - _MOST_FINDINGS_OF_A_RULE
        if left_out > 0 and seen[finding.rule] == _MOST_FINDINGS_OF_A_RULE:
            yield replace(finding, text=f"{finding.text}; and {left_out} more of this kind")
        elif seen[finding.rule] <= _MOST_FINDINGS_OF_A_RULE:
            yield finding


def _seconds(variants: tuple[Variant, ...], played: Played) -> tuple[float, ...]:
    formats = (_format(variant) for variant in variants)
    return tuple(
        samples / channels / rate_hz for samples, (rate_hz, channels) in zip(played.samples, formats, strict=False)
    )


def _format(variant: Variant) -> tuple[int, int]:
    """Sample rate and channels of the first segment that says so; of a made-up one when none does."""
    for segment in variant.present:
        for stream in segment.streams:
            return stream.sample_rate_hz, stream.channels
    return 1, 1
