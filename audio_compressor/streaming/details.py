"""What is told of a published track beside its files: in metadata.json, and from there in Dagster and on the terminal.

Nothing in it depends on when or how fast it was made, so that the same track made again is known as the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from audio_compressor.audio.checks import CheckResult
from audio_compressor.audio.loudness import Loudness
from audio_compressor.audio.normalization import LoudnessTarget
from audio_compressor.audio.renditions import Renditions
from audio_compressor.hls.cut import Ladder

_CHECKS = "checks"


def describe(
    made: Renditions, ladder: Ladder, target: LoudnessTarget, checks: Iterable[CheckResult]
) -> Mapping[str, Any]:
    """Fit for JSON."""
    plan = made.plan
    return {
        "duration_seconds": round(made.duration_seconds, 3),
        "source_codec": made.source.stream.codec,
        "source_sample_rate_hz": made.source.stream.sample_rate_hz,
        "source_channels": made.source.stream.channels,
        "repair": made.repair,
        "loudness": {
            "mode": plan.mode,
            "reason": plan.reason,
            "warnings": list(plan.warnings),
            "target_lufs": target.integrated_lufs,
            "goal_lufs": None if plan.goal_lufs is None else round(plan.goal_lufs, 2),
            "true_peak_limit_dbtp": target.true_peak_dbtp,
            "gain_db": round(plan.gain_db, 2),
            "limited_db": round(made.limited_db, 2),
            "before": _loudness(made.before),
            "after": {name: _loudness(each.after) for name, each in made.renditions.items()},
        },
        "renditions": {
            each.name: {
                "bitrate_kbps": made.renditions[each.name].profile.bitrate_kbps,
                "codec": each.codec,
                "bandwidth": each.bandwidth,
                "average_bandwidth": each.average_bandwidth,
                "size_bytes": each.size_bytes,
                "corrections": list(made.renditions[each.name].corrections),
                "command": made.renditions[each.name].command,
            }
            for each in ladder.renditions
        },
        "segments": len(ladder.segment_durations_seconds),
        "segment_type": ladder.segment_type,
        "target_duration_seconds": ladder.target_duration_seconds,
        _CHECKS: [asdict(check) for check in checks],
    }


def told_checks(details: Mapping[str, Any]) -> tuple[CheckResult, ...]:
    """What was judged when the track was made; nothing for details of another program."""
    found = details.get(_CHECKS)
    try:
        return tuple(CheckResult(**check) for check in found) if isinstance(found, list) else ()
    except TypeError:
        return ()


@dataclass(frozen=True)
class ToldLoudness:
    """Of the source (``input_``) and of the M4A; None is what the details do not tell."""

    mode: str | None
    reason: str | None
    warnings: str | None
    target_lufs: float | None
    gain_db: float | None
    limited_db: float | None
    input_lufs: float | None
    input_true_peak_dbtp: float | None
    input_range_lu: float | None
    output_lufs: float | None
    output_true_peak_dbtp: float | None
    output_range_lu: float | None


def told_loudness(details: Mapping[str, Any]) -> ToldLoudness:
    loudness = part(details, "loudness")
    before, after = part(loudness, "before"), part(loudness, "after", "high")
    warnings = loudness.get("warnings")
    return ToldLoudness(
        mode=_text(loudness.get("mode")),
        reason=_text(loudness.get("reason")),
        warnings="; ".join(map(str, warnings)) or None if isinstance(warnings, list) else None,
        target_lufs=number(loudness.get("target_lufs")),
        gain_db=number(loudness.get("gain_db")),
        limited_db=number(loudness.get("limited_db")),
        input_lufs=number(before.get("integrated_lufs")),
        input_true_peak_dbtp=number(before.get("true_peak_dbtp")),
        input_range_lu=number(before.get("range_lu")),
        output_lufs=number(after.get("integrated_lufs")),
        output_true_peak_dbtp=number(after.get("true_peak_dbtp")),
        output_range_lu=number(after.get("range_lu")),
    )


def part(details: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """What lies under these names, one in the other; empty where it is not there: somebody may have written
    metadata.json by hand.
    """
    for name in names:
        found = details.get(name)
        details = found if isinstance(found, Mapping) else {}
    return details


def number(value: object) -> float | None:
    """A figure of the details, or None for anything else."""
    return value if isinstance(value, int | float) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _loudness(loudness: Loudness) -> Mapping[str, float | None]:
    return {
        "integrated_lufs": _rounded(loudness.integrated_lufs),
        "true_peak_dbtp": _rounded(loudness.true_peak_dbtp),
        "range_lu": _rounded(loudness.range_lu),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
