"""How loud a channel is: FFmpeg's volumedetect read back, and what the figures of several channels say about them."""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

# volumedetect works on 16 bits: this is what it prints for digital silence (one step is -90.3 dBFS).
FLOOR_DBFS = -91.0
# A channel this quiet but for hum, and this far below the loudest, is a microphone that was not plugged in. One that is
# silent for half an hour but for a question from the audience has as low a mean, but not such a peak.
DEAD_DBFS = -60.0
DEAD_PEAK_DBFS = -45.0
DEAD_BELOW_LOUDEST_DB = 40.0
# Two unrelated channels mix to the sum of their powers, equal ones to 3 dB more. Only inversion takes away 6 dB.
CANCELLATION_DB = 6.0

Pair = tuple[int, int]

_LINE = re.compile(r"\[Parsed_volumedetect_(?P<instance>\d+) @ [^]]*] (?:\[\w+] )?(?P<name>\w+): (?P<value>\S+)")


@dataclass(frozen=True)
class Levels:
    """Levels of one channel, or of all together: RMS and peak in dBFS, never below -91; never above 0.

    ``samples`` counts every channel that was measured together. ``near_full_scale_share`` (0 to 1) is the share of
    samples within 1 dB of full scale.
    """

    samples: int
    rms_dbfs: float
    peak_dbfs: float
    near_full_scale_share: float

    @property
    def is_digital_silence(self) -> bool:
        return self.peak_dbfs <= FLOOR_DBFS


@dataclass(frozen=True)
class Hum:
    """Mains hum in one channel: its RMS in the quietest tenth of the seconds that were looked at, where nothing covers
    it (-91 dBFS: none), and the RMS of the loudest of these seconds without what lies on its harmonics.
    """

    mains_hz: int
    rms_dbfs: float
    loudest_rest_dbfs: float

    @property
    def is_all(self) -> bool:
        """Is there nothing else to be heard in the channel?"""
        return self.rms_dbfs > FLOOR_DBFS and self.loudest_rest_dbfs < DEAD_DBFS


@dataclass(frozen=True)
class Cancellation:
    """How far the mean of two channels lies below that of two unrelated ones (dB, from 0): all in all, and in the worst
    second in which both are heard.
    """

    overall_db: float
    worst_db: float

    @property
    def is_opposite(self) -> bool:
        return self.overall_db > CANCELLATION_DB

    @property
    def is_opposite_at_times(self) -> bool:
        return not self.is_opposite and self.worst_db > CANCELLATION_DB


NO_CANCELLATION = Cancellation(0.0, 0.0)
NO_HUM = Hum(50, FLOOR_DBFS, FLOOR_DBFS)


def parse_volumedetect(stderr: str) -> tuple[Levels, ...]:
    """One `Levels` for each volumedetect of a filter graph, in the order of the graph.

    FFmpeg also prints a block of `n_samples: 0` when it configures the filter; a later line of the same instance
    replaces it. Nothing measured (no sample arrived) is `samples=0` at the floor.
    """
    found: dict[int, dict[str, str]] = defaultdict(dict)
    for match in _LINE.finditer(stderr):
        found[int(match["instance"])][match["name"]] = match["value"]
    return tuple(_levels(found[instance]) for instance in sorted(found))


def dead_channels(levels: Sequence[Levels], hums: Sequence[Hum]) -> tuple[int, ...]:
    """Indexes of channels without a signal, but for hum, while another has one; none when all are silent."""
    if all(level.is_digital_silence for level in levels):
        return ()
    signals_dbfs = [
        hum.loudest_rest_dbfs if hum.is_all else level.rms_dbfs for level, hum in zip(levels, hums, strict=True)
    ]
    quiet_dbfs = min(DEAD_DBFS, max(signals_dbfs) - DEAD_BELOW_LOUDEST_DB)
    return tuple(
        index
        for index, (level, hum, signal_dbfs) in enumerate(zip(levels, hums, signals_dbfs, strict=True))
        if level.is_digital_silence or (signal_dbfs <= quiet_dbfs and (hum.is_all or level.peak_dbfs < DEAD_PEAK_DBFS))
    )


def cancellation_db(levels: Sequence[Levels], mix: Levels) -> float:
    """How far the equal-weight mix of two channels lies below what unrelated channels would give (dB, from 0).

    Unrelated: the sum of the channels' powers divided by the square of their number.
    """
    if mix.samples == 0 or all(level.is_digital_silence for level in levels):
        return 0.0
    # At the floor of 16 bits both sides are equal, so that a very quiet recording does not look inverted.
    unrelated = sum(10 ** (level.rms_dbfs / 10) for level in levels) / len(levels) ** 2
    expected_dbfs = 10 * math.log10(unrelated)
    return round(max(0.0, expected_dbfs - mix.rms_dbfs), 1)


def _levels(values: dict[str, str]) -> Levels:
    samples = int(values.get("n_samples", "0"))
    if not samples:
        return Levels(0, FLOOR_DBFS, FLOOR_DBFS, 0.0)
    return Levels(
        samples,
        _dbfs(values["mean_volume"]),
        _dbfs(values["max_volume"]),
        int(values.get("histogram_0db", "0")) / samples,
    )


def _dbfs(value: str) -> float:
    return max(FLOOR_DBFS, float(value)) + 0.0  # FFmpeg writes -0.0 for full scale
