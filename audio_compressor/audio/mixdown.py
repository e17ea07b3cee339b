"""Which channels of the source go into which channel of the output, and why: a pure decision on measured levels."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from audio_compressor.audio.levels import CANCELLATION_DB, Hum, Levels, dead_channels

Weights = tuple[tuple[float, ...], ...]
Pair = tuple[int, int]

_PLAIN_LAYOUTS = {1: "mono", 2: "stereo"}


@dataclass(frozen=True)
class Mixdown:
    """One row of weights for each output channel, one weight for each source channel; ``reason`` is a sentence."""

    weights: Weights
    reason: str

    def filters(self, source_layout: str, sample_rate_hz: int) -> str:
        """The FFmpeg filters that mix and resample. ``source_layout`` is FFmpeg's name of the source's layout.

        The plain average of stereo is left to FFmpeg's resampler: bit for bit what `-ac 1` gives. `rematrix_maxval`
        keeps it an average on the way to a float encoder too, where FFmpeg would add 3 dB and might clip.
        """
        channels = len(self.weights[0])
        if source_layout == _PLAIN_LAYOUTS.get(channels):
            if self.weights == _identity(channels):
                return f"aresample={sample_rate_hz}"
            if self.weights == _average(2):
                return f"aresample={sample_rate_hz}:rematrix_maxval=1,aformat=channel_layouts=mono"
        if self.weights == _identity(channels) and channels > 1:
            # Two channels that are not left and right by their speaker mask; pan refuses to rename them.
            return f"channelmap=0|1:{_PLAIN_LAYOUTS[channels]},aresample={sample_rate_hz}"
        return f"{pan(self.weights)},aresample={sample_rate_hz}"


def pan(weights: Weights) -> str:
    """FFmpeg's pan filter for these weights."""
    rows = (
        f"c{row_index}=" + "+".join(f"{weight:.9g}*c{index}" for index, weight in enumerate(row) if weight)
        for row_index, row in enumerate(weights)
    )
    return f"pan={_PLAIN_LAYOUTS[len(weights)]}|" + "|".join(rows)


def plain_mixdown(source_channels: int, channels: int) -> Mixdown:
    """What is done when nothing is wrong with any channel.

    More than two channels are mixed with equal weights: FFmpeg's own way weighs them by speaker positions and drops the
    fourth of six as the bass channel, but the channels of a recorder are microphones.
    """
    if source_channels == channels:
        return Mixdown(_identity(channels), "every channel as it is")
    if source_channels == 1:
        return Mixdown(((1.0,),) * channels, "the one channel of the source on both sides")
    if channels == 1:
        return Mixdown(
            _average(source_channels),
            "the mean of " + ("both channels" if source_channels == 2 else f"all {source_channels} channels"),
        )
    sides = tuple(_mean_of(range(side, source_channels, 2), source_channels) for side in (0, 1))
    return Mixdown(sides, f"odd channels of {source_channels} on the left, even ones on the right, equal weights")


def choose_mixdown(
    levels: Sequence[Levels], hums: Sequence[Hum], cancellations_db: Mapping[Pair, float], channels: int
) -> Mixdown:
    """Decide on the levels and the hum of each source channel, and on how much the mix of two of them cancels out (dB).

    Of the channels that are mixed into one, those that are silent, or hold nothing but hum, are left out (a mean with
    silence loses 6 dB for two channels), and of two that cancel each other out the quieter one.
    """
    plain = plain_mixdown(len(levels), channels)
    dead = dead_channels(levels, hums)
    inverted = {pair: db for pair, db in cancellations_db.items() if db > CANCELLATION_DB}
    rows = [_row(_sources(weights), levels, dead, inverted) for weights in plain.weights]
    mixdown = Mixdown(tuple(_mean_of(row, len(levels)) for row in rows), plain.reason)
    if mixdown.weights == plain.weights:
        return plain
    kept = " and ".join(f"{_named(row)} {'alone' if len(row) == 1 else 'in equal parts'}" for row in rows)
    mixed = {index for row in rows for index in row}
    reasons = []
    if without_signal := [index for index in dead if index not in mixed]:
        verb = "holds" if len(without_signal) == 1 else "hold"
        reasons.append(f"{_named(without_signal)} {verb} no signal ({_found_in(without_signal, levels, hums)})")
    if lost := [
        (pair, db) for pair, db in inverted.items() if not mixed.issuperset(pair) and not set(dead) & set(pair)
    ]:
        quieter = sorted({index for pair, _ in lost for index in pair if index not in mixed})
        verb = "is" if len(quieter) == 1 else "are"
        worst_db = max(db for _, db in lost)
        reasons.append(
            f"{_named(quieter)} {verb} in opposite phase to a louder one, "
            f"and their mix would be {worst_db:.0f} dB too quiet"
        )
    return Mixdown(mixdown.weights, f"{kept}: {'; '.join(reasons)}")


def _sources(weights: Sequence[float]) -> list[int]:
    return [index for index, weight in enumerate(weights) if weight]


def _row(
    indexes: Sequence[int], levels: Sequence[Levels], dead: Sequence[int], inverted: Collection[Pair]
) -> list[int]:
    """Which of these source channels to mix; never none."""
    live = [index for index in indexes if index not in dead] or indexes
    kept: list[int] = []
    for index in sorted(live, key=lambda index: levels[index].rms_dbfs, reverse=True):
        if not any(tuple(sorted((index, louder))) in inverted for louder in kept):
            kept.append(index)
    return sorted(kept)


def _named(indexes: Sequence[int]) -> str:
    numbers = [str(index + 1) for index in indexes]
    if len(numbers) == 1:
        return f"channel {numbers[0]}"
    return f"channels {', '.join(numbers[:-1])} and {numbers[-1]}"


def _found_in(indexes: Sequence[int], levels: Sequence[Levels], hums: Sequence[Hum]) -> str:
    if all(levels[index].is_digital_silence for index in indexes):
        return "digital silence"
    loudest_dbfs = max(levels[index].rms_dbfs for index in indexes)
    humming = [hums[index] for index in indexes if hums[index].is_all]
    if humming:
        return f"hum of {humming[0].mains_hz} Hz, {loudest_dbfs:.1f} dBFS at most"
    return f"{loudest_dbfs:.1f} dBFS at most"


def _identity(channels: int) -> Weights:
    return tuple(_mean_of([index], channels) for index in range(channels))


def _average(channels: int) -> Weights:
    return (_mean_of(range(channels), channels),)


def _mean_of(indexes: Sequence[int], channels: int) -> tuple[float, ...]:
    return tuple(1 / len(indexes) if index in indexes else 0.0 for index in range(channels))
