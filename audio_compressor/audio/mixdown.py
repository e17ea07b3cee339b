"""Which channels of the source go into which channel of the output, and why: a pure decision on measured levels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audio_compressor.audio.levels import NO_CANCELLATION, Cancellation, Hum, Levels, Pair, dead_channels

Weights = tuple[tuple[float, ...], ...]

_PLAIN_LAYOUTS = {1: "mono", 2: "stereo"}


@dataclass(frozen=True)
class Mixdown:
    """One row of weights for each output channel, one weight for each source channel; ``reason`` is a sentence.
    ``turned`` are source channels whose phase is shifted by 90 degrees, at every frequency, before they are mixed.
    """

    weights: Weights
    reason: str
    turned: frozenset[int] = frozenset()

    def filters(self, source_layout: str, sample_rate_hz: int) -> str:
        """The FFmpeg filters that mix and resample. ``source_layout`` is FFmpeg's name of the source's layout.

        The plain average of stereo is left to FFmpeg's resampler: bit for bit what `-ac 1` gives. `rematrix_maxval`
        keeps it an average on the way to a float encoder too, where FFmpeg would add 3 dB and might clip.
        """
        channels = len(self.weights[0])
        if self.turned:
            return f"{self._turn_and_mix()},aresample={sample_rate_hz}"
        if source_layout == _PLAIN_LAYOUTS.get(channels):
            if self.weights == _identity(channels):
                return f"aresample={sample_rate_hz}"
            if self.weights == _average(2):
                return f"aresample={sample_rate_hz}:rematrix_maxval=1,aformat=channel_layouts=mono"
        if self.weights == _identity(channels) and channels > 1:
            # Two channels that are not left and right by their speaker mask; pan refuses to rename them.
            return f"channelmap=0|1:{_PLAIN_LAYOUTS[channels]},aresample={sample_rate_hz}"
        return f"{pan(self.weights)},aresample={sample_rate_hz}"

    def _turn_and_mix(self) -> str:
        """Both parts go through the filter, which delays what it does not turn by as much."""
        straight, turned = (pan(self._weights_of(turned=turned)) for turned in (False, True))
        return (
            f"asplit=2[straight][turned];[straight]{straight},aphaseshift=shift=0[part0];"
            f"[turned]{turned},aphaseshift=shift=0.5[part1];[part0][part1]amix=inputs=2:normalize=0"
        )

    def _weights_of(self, *, turned: bool) -> Weights:
        return tuple(
            tuple(weight if (index in self.turned) == turned else 0.0 for index, weight in enumerate(row))
            for row in self.weights
        )


def pan(weights: Weights) -> str:
    """FFmpeg's pan filter for these weights."""
    rows = (
        f"c{row_index}=" + ("+".join(f"{weight:.9g}*c{index}" for index, weight in enumerate(row) if weight) or "0*c0")
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
    levels: Sequence[Levels], hums: Sequence[Hum], cancellations: Mapping[Pair, Cancellation], channels: int
) -> Mixdown:
    """Decide on the levels and the hum of each source channel, and on how much the mix of two of them cancels out.

    Of the channels that are mixed into one, those that are silent, or hold nothing but hum, are left out (a mean with
    silence loses 6 dB for two channels), and of two that cancel each other out the quieter one. Where they do so at
    times only, each holds something of its own: the quieter one is turned by 90 degrees, so that nothing cancels.
    """
    plain = plain_mixdown(len(levels), channels)
    dead = dead_channels(levels, hums)
    rows = [_row(_sources(weights), levels, dead, cancellations) for weights in plain.weights]
    turned = frozenset(index for row in rows for index in _turned(row, levels, cancellations))
    weights = tuple(_mean_of(row, len(levels)) for row in rows)
    if weights == plain.weights and not turned:
        return plain
    kept = " and ".join(f"{_named(row)} {'alone' if len(row) == 1 else 'in equal parts'}" for row in rows)
    mixed = {index for row in rows for index in row}
    reasons = []
    if without_signal := [index for index in dead if index not in mixed]:
        verb = "holds" if len(without_signal) == 1 else "hold"
        reasons.append(f"{_named(without_signal)} {verb} no signal ({_found_in(without_signal, levels, hums)})")
    if opposite := sorted(set(range(len(levels))) - mixed - set(dead)):
        verb = "is" if len(opposite) == 1 else "are"
        worst_db = max(found.overall_db for pair, found in cancellations.items() if not mixed.issuperset(pair))
        reasons.append(
            f"{_named(opposite)} {verb} in opposite phase to a louder one, "
            f"and their mix would be {worst_db:.0f} dB too quiet"
        )
    if turned:
        reasons.append(f"{_named(sorted(turned))} turned by 90 degrees, for at times they cancel each other out")
    return Mixdown(weights, f"{kept}: {'; '.join(reasons)}", turned)


def _sources(weights: Sequence[float]) -> list[int]:
    return [index for index, weight in enumerate(weights) if weight]


def _row(
    indexes: Sequence[int],
    levels: Sequence[Levels],
    dead: Sequence[int],
    cancellations: Mapping[Pair, Cancellation],
) -> list[int]:
    """Which of these source channels to mix; never none."""
    kept: list[int] = []
    for index in _loudest_first([index for index in indexes if index not in dead] or indexes, levels):
        if not any(_between(index, louder, cancellations).is_opposite for louder in kept):
            kept.append(index)
    return sorted(kept)


def _turned(row: Sequence[int], levels: Sequence[Levels], cancellations: Mapping[Pair, Cancellation]) -> list[int]:
    turned: list[int] = []
    straight: list[int] = []
    for index in _loudest_first(row, levels):
        cancels = any(_between(index, louder, cancellations).is_opposite_at_times for louder in straight)
        (turned if cancels else straight).append(index)
    return turned


def _loudest_first(indexes: Sequence[int], levels: Sequence[Levels]) -> list[int]:
    return sorted(indexes, key=lambda index: levels[index].rms_dbfs, reverse=True)


def _between(first: int, second: int, cancellations: Mapping[Pair, Cancellation]) -> Cancellation:
    return cancellations.get((min(first, second), max(first, second)), NO_CANCELLATION)


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
