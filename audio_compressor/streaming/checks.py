"""The checks of a track's renditions: judgements on what was measured, each with a sentence and its figures."""

from collections.abc import Mapping
from typing import Literal

from audio_compressor.audio.checks import CheckResult
from audio_compressor.audio.ladder import LADDER
from audio_compressor.audio.normalization import LoudnessTarget
from audio_compressor.audio.renditions import Renditions, judge_loudness
from audio_compressor.hls.conforms import HlsReport

LOUDNESS_ON_TARGET = "loudness_on_target"
HLS_CONFORMS = "hls_conforms"
TRACK_CHECKS: Mapping[str, str] = {
    LOUDNESS_ON_TARGET: "Every rendition, measured as it decodes, is as loud as it was to be (within 0.1 LU, or 0.3 LU "
    "where peaks were limited), and no true peak is over TRUE_PEAK_DBTP.",
    HLS_CONFORMS: "Playlists and segments keep to RFC 8216 and to Apple's HLS authoring specification for audio, and "
    "FFmpeg's HLS player plays each rendition over HTTP to its end.",
}

Product = Literal["aac_audio", "hls_renditions"]
# Which product each is about.
CHECKED_PRODUCTS: Mapping[str, Product] = {LOUDNESS_ON_TARGET: "aac_audio", HLS_CONFORMS: "hls_renditions"}


def loudness_on_target(made: Renditions, target: LoudnessTarget) -> CheckResult:
    """A track that misses its loudness is published all the same: it can be listened to, and this tells of it."""
    findings = judge_loudness(made, target)
    after = [made.renditions[profile.name].after for profile in LADDER]
    figures: dict[str, float | int | str] = {"mode": made.plan.mode}
    loudnesses = [each.integrated_lufs for each in after if each.integrated_lufs is not None]
    if loudnesses:
        figures |= {"quietest_lufs": round(min(loudnesses), 2), "loudest_lufs": round(max(loudnesses), 2)}
    figures["highest_true_peak_dbtp"] = round(max(each.true_peak_dbtp for each in after), 2)
    summary = "; ".join((*(findings or (made.plan.reason,)), *made.warnings))
    return CheckResult(LOUDNESS_ON_TARGET, not findings, "error", summary, figures)


def conforms(report: HlsReport) -> CheckResult:
    """What does not conform is not published."""
    if report.findings:
        lines = [f"{finding.where}: {finding.text} ({finding.source})" for finding in report.findings]
        summary = "; ".join(lines)
    else:
        summary = f"{len(report.variants)} renditions, of {report.segments} segments together, play to their end"
    figures: dict[str, float | int | str] = {"findings": len(report.findings), "segments": report.segments}
    if report.notes:
        # Each rendition has the same to say.
        figures["notes"] = "; ".join(dict.fromkeys(f"{note.text} ({note.source})" for note in report.notes))
    return CheckResult(HLS_CONFORMS, report.passed, "error", summary, figures)
