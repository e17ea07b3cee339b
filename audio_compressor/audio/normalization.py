"""What to do about a track's loudness, and why: a pure decision on what was measured."""

from dataclasses import dataclass, replace
from typing import Literal

from audio_compressor.audio.loudness import GATE_LUFS, LEAST_SECONDS, Loudness

PeakPolicy = Literal["limit", "lower", "dynamic"]
# unchanged: there is no loudness to change. lower: a gain, but less than the target asks for.
Mode = Literal["unchanged", "gain", "limit", "lower", "dynamic"]

# More would lift the noise of the room and of the recorder to the level of music: the quietest of mastered music,
# chamber music, is at -30 LUFS or so, and needs 16 dB.
MOST_GAIN_DB = 30.0
# So much may be taken off peaks. Beyond, a limiter is heard as distortion, and the target cannot be reached anyway:
# what is left of castanets has peaks 12 dB over its loudness.
MOST_LIMITING_DB = 12.0
# What the result has to keep to, by how it was made (LU).
GAIN_TOLERANCE_LU = 0.1
LIMIT_TOLERANCE_LU = 0.3


@dataclass(frozen=True)
class LoudnessTarget:
    """What every track is brought to (EBU R 128 measures, at the level of streaming services)."""

    integrated_lufs: float = -14.0
    true_peak_dbtp: float = -1.5
    range_lu: float = 11.0


@dataclass(frozen=True)
class LoudnessPlan:
    """``gain_db`` is exact for a gain; what a limiter takes off is made up for later (see limiter.py).

    ``goal_lufs`` is where the result is to be, within ``tolerance_lu``; None where loudness is not defined.
    ``warnings`` are sentences for a person.
    """

    mode: Mode
    gain_db: float
    goal_lufs: float | None
    tolerance_lu: float
    reason: str
    warnings: tuple[str, ...] = ()

    def is_met_by(self, result: Loudness) -> bool:
        """Is the loudness of a result where it is to be? Its true peak is another question."""
        if self.goal_lufs is None or result.integrated_lufs is None:
            return self.goal_lufs is None
        # Figures have three decimals; half of the last one is nothing to fail for.
        return abs(result.integrated_lufs - self.goal_lufs) <= self.tolerance_lu + 0.0005


def plan_loudness(source: Loudness, target: LoudnessTarget, policy: PeakPolicy) -> LoudnessPlan:
    """Decide how ``source`` (measured as it is heard: in stereo) gets to the target.

    One gain for the whole track wherever its true peak allows, since it changes nothing but the volume. Loudness range
    is part of the music: a wider one than the target's is reported and left as it is, but by the policy ``dynamic``,
    which is loudnorm's dynamic mode and evens it out, as loudnorm does when the peak or the range do not fit.
    """
    wide = _is_wide(source, target)
    warnings: tuple[str, ...] = (_wide(source, target),) if wide and policy != "dynamic" else ()
    if source.integrated_lufs is None:
        return _without_loudness(source, target)
    wanted_db = target.integrated_lufs - source.integrated_lufs
    gain_db = min(wanted_db, MOST_GAIN_DB)
    if gain_db < wanted_db:
        warnings += (_too_quiet(source.integrated_lufs, wanted_db),)
    goal_lufs = source.integrated_lufs + gain_db
    over_db = source.true_peak_dbtp + gain_db - target.true_peak_dbtp
    if policy == "dynamic" and (wide or over_db > 0):
        why = "its range is too wide" if wide else f"its true peak would be {over_db:.1f} dB over the limit"
        return LoudnessPlan(
            "dynamic", gain_db, goal_lufs, LIMIT_TOLERANCE_LU, f"evened out by loudnorm, for {why}", warnings
        )
    if over_db <= 0:
        return LoudnessPlan("gain", gain_db, goal_lufs, GAIN_TOLERANCE_LU, _gain(gain_db), warnings)
    if policy == "limit":
        reason = f"{_gain(gain_db)}, and peaks limited, which would be {over_db:.1f} dB over the limit"
        return LoudnessPlan("limit", gain_db, goal_lufs, LIMIT_TOLERANCE_LU, reason, warnings)
    return LoudnessPlan(
        "lower",
        gain_db - over_db,
        goal_lufs - over_db,
        GAIN_TOLERANCE_LU,
        f"{_gain(gain_db - over_db)}, which is what the true peak allows",
        (*warnings, _below_target(over_db)),
    )


def within_reach(plan: LoudnessPlan, most_lufs: float) -> LoudnessPlan:
    """The plan for sound of which a limiter cannot make more than ``most_lufs``, as of castanets."""
    if plan.goal_lufs is None or most_lufs >= plan.goal_lufs:
        return plan
    missing_lu = plan.goal_lufs - most_lufs
    done = plan.reason if plan.mode == "dynamic" else _gain(plan.gain_db - missing_lu)
    return replace(
        plan,
        goal_lufs=most_lufs,
        reason=f"{done}, with peaks limited by {MOST_LIMITING_DB:.0f} dB: more would be heard as distortion",
        warnings=(*plan.warnings, _below_target(missing_lu)),
    )


def _below_target(by_lu: float) -> str:
    return f"it stays {by_lu:.1f} LU below the target, for its peaks stand so high above its loudness"


def _without_loudness(source: Loudness, target: LoudnessTarget) -> LoudnessPlan:
    if source.duration_seconds < LEAST_SECONDS:
        what = f"{source.duration_seconds * 1000:.0f} ms are too short to have a loudness"
    else:
        what = f"silence: nothing in it is louder than {GATE_LUFS:.0f} LUFS"
    # A guess at the loudness of a click would be wrong by 10 dB as easily as not; its peak is known.
    gain_db = min(0.0, target.true_peak_dbtp - source.true_peak_dbtp)
    if gain_db:
        return LoudnessPlan(
            "lower", gain_db, None, GAIN_TOLERANCE_LU, f"{what}; {_gain(gain_db)}, for its peak is over the limit"
        )
    return LoudnessPlan("unchanged", 0.0, None, GAIN_TOLERANCE_LU, f"{what}; left as it is")


def _too_quiet(lufs: float, wanted_db: float) -> str:
    return (
        f"{lufs:.1f} LUFS is so quiet that {wanted_db:.1f} dB would be needed; it gets {MOST_GAIN_DB:.0f}, or its "
        "noise would be as loud as music. Check whether this is the right file"
    )


def _is_wide(source: Loudness, target: LoudnessTarget) -> bool:
    return source.range_lu is not None and source.range_lu > target.range_lu


def _wide(source: Loudness, target: LoudnessTarget) -> str:
    return (
        f"its loudness range of {source.range_lu:.1f} LU is wider than {target.range_lu:.1f}: quiet passages may not "
        "be heard in a noisy place. PEAK_POLICY=dynamic would even it out"
    )


def _gain(gain_db: float) -> str:
    if abs(gain_db) < 0.05:
        return "as loud as it is"
    return f"{abs(gain_db):.1f} dB {'louder' if gain_db > 0 else 'quieter'}"
