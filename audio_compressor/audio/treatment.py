"""What is done to the samples of a track before they are encoded: a gain for all of them, and a limiter's curve."""

import threading
from dataclasses import dataclass, replace

from audio_compressor.audio.limiter import (
    Decibels,
    LoudnessModel,
    attenuation_db,
    gain_for_loudness,
    nothing_off,
    over_ceiling_db,
)
from audio_compressor.audio.loudness import Measured
from audio_compressor.audio.normalization import MOST_LIMITING_DB, LoudnessPlan

# An encoder that takes more has left out what the sound is made of; what is left would only be heard as too loud.
MOST_MAKE_UP_LU = 6.0
# Of a track of hours, each array on the way takes 10 MB for each hour; three renditions look for their gains at once.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Treatment:
    """A gain for all of it, and what is taken off at each edge of a block (see limiter.py)."""

    gain_db: float
    edges_db: Decibels

    @property
    def limited_db(self) -> float:
        """The most that is taken off anywhere."""
        return float(self.edges_db.max(initial=0.0))

    def with_dips(self, dips_db: Decibels) -> "Treatment":
        return replace(self, edges_db=self.edges_db + dips_db)

    def lowered(self, by_db: float) -> "Treatment":
        return replace(self, gain_db=self.gain_db - by_db)


def choose_treatment(
    measured: Measured, plan: LoudnessPlan, model: LoudnessModel | None, ceiling_dbtp: float, louder_lu: float = 0.0
) -> Treatment:
    """What brings the measured sound to the plan's goal, and so much louder for what an encoder will take away.

    With a ``model`` its peaks are limited to ``ceiling_dbtp``.
    """
    lufs = measured.loudness.integrated_lufs
    if plan.goal_lufs is None or lufs is None:
        return Treatment(plan.gain_db, nothing_off(measured.peaks))
    louder_lu = min(louder_lu, MOST_MAKE_UP_LU)
    goal_lufs = plan.goal_lufs + louder_lu
    if model is None:
        return Treatment(goal_lufs - lufs, nothing_off(measured.peaks))
    most_gain_db = ceiling_dbtp + MOST_LIMITING_DB + louder_lu - measured.loudness.true_peak_dbtp
    with _ONE_AT_A_TIME:
        gain_db = gain_for_loudness(model, measured.peaks, lufs, goal_lufs, ceiling_dbtp, most_gain_db)
        return Treatment(gain_db, attenuation_db(over_ceiling_db(measured.peaks, gain_db, ceiling_dbtp)))
