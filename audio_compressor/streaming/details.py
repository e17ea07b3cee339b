"""What is told of a published track beside its files: in metadata.json, and from there in Dagster.

Nothing in it depends on when or how fast it was made, so that the same track made again is known as the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
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


def _loudness(loudness: Loudness) -> Mapping[str, float | None]:
    return {
        "integrated_lufs": _rounded(loudness.integrated_lufs),
        "true_peak_dbtp": _rounded(loudness.true_peak_dbtp),
        "range_lu": _rounded(loudness.range_lu),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
