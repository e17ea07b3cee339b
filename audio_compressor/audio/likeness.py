"""Are two envelopes those of the same sound? How far they may be apart was measured, not chosen by taste.

The distance of two windows is the mean of what their six bands differ by (dB). What nobody hears does not count: less
than -30 dB of the loudest of the same band within half a second, -25 dB of that of the bands beside it, -50 dB of that
of all bands, or -105 dBFS. Means over runs of windows are judged, for one window alone may deviate where Opus smears a
click or the edge of a pause: it may be as far away as it likes, as long as three in a row (0.4 s of sound) are near on
average.

Measured with the Opus of FFmpeg 9.0 (constrained VBR) against its source, Opus at 128 kbit/s or Vorbis: the largest
mean of 3 windows, of 20 windows (2 s) and of all; in brackets that of the one band that is furthest away.

    the same sound at 64 and 96 kbit/s                    3 windows    20 windows   all
    talk, music, also in stereo, noise, clicks, silence,
      talk at -80 dBFS or 50 dB softer than music         0.5  (2.3)   0.3  (0.9)   0.2  (0.3)
    one and two tones                                     0.1  (0.1)   0.1  (0.1)   0.1  (0.1)
    a sine that sweeps over 7 octaves in 10 s             1.7  (4.6)   0.3  (0.7)   0.1  (0.1)
    the same sound at 24, 32 and 48 kbit/s
    talk                                                  0.9  (3.8)   0.5  (1.5)   0.3  (1.0)
    talk at -80 dBFS                                      1.8  (5.4)   1.3  (3.4)   1.0  (2.2)
    talk 50 dB softer than the music before               1.6  (4.9)   1.1  (2.0)   0.5  (0.8)
    music                                                 1.1  (2.3)   0.7  (1.0)   0.5  (0.6)
    noise, which comes out up to 4 dB softer              2.5  (4.7)   2.2  (4.5)   2.1  (4.4)
    one and two tones                                     0.4  (1.3)   0.2  (0.9)   0.2  (0.9)
    another sound; the least of talk, music and both in stereo, at 24 to 96 kbit/s
    1 s of silence inside                                12.8 (21.3)   2.6  (4.2)   0.3  (0.4)
    0.3 s late from the middle on                         7.8 (17.0)   5.9 (10.5)   2.3  (4.0)
    0.5 s missing, another 0.5 s repeated                 6.4 (11.5)   4.3  (6.9)   1.5  (1.7)
    0.1 s missing, another 0.1 s repeated                 5.8 (15.1)   4.7  (9.5)   2.1  (3.8)
    0.5 % slower                                          5.9 (13.2)   4.6  (9.1)   2.4  (4.7)
    another talk or other music, as loud                  7.6 (16.1)   4.9  (8.7)   3.3  (4.7)
    nothing above 1 kHz                                   8.0 (20.0)   5.2 (14.8)   3.5  (9.1)
    nothing above 3.2 kHz                                 2.9 (16.6)   2.4 (13.2)   1.5  (8.7)
    clipped 12 dB below its peak, and 6 dB softer         3.4 (10.1)   2.8  (6.6)   2.4  (4.8)
    channels swapped                                      6.0  (7.8)   5.5  (6.2)   5.2  (5.8)
    one channel twice, or both mixed                      5.8  (8.0)   5.2  (6.2)   4.6  (5.3)
    one channel lost                                     16.2 (23.8)  12.4 (18.2)   9.4 (12.1)
    3 dB softer (found from 64 kbit/s on)                 2.9  (3.0)   2.4  (2.8)   1.9  (2.3)
    1 dB softer (found from 64 kbit/s on)                 1.0  (1.1)   0.8  (1.0)   0.7  (0.8)

No proof is found, and none should be, where Opus at 24 kbit/s mixes two channels of different talk (12 dB); nor is one
for the sweep below 64 kbit/s (9 dB). What an envelope cannot tell: a stretch of steady noise from another stretch of
it, silence of a tenth of a second from a pause between words, and a sound from the same one turned upside down.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from audio_compressor.audio.envelope import BANDS_HZ, STEP_SECONDS, Floats

_BAND_FLOOR = 10 ** (-30 / 10)
_NEIGHBOUR_FLOOR = 10 ** (-25 / 10)
_SOUND_FLOOR = 10 ** (-50 / 10)
_ABSOLUTE_FLOOR = 10 ** (-105 / 10)
_REACH = 5


@dataclass(frozen=True)
class Tolerance:
    """The largest mean distance (dB) over ``windows`` windows in a row, or over all, and that of one band alone."""

    windows: int | None
    sound_db: float
    band_db: float


# At 64 kbit/s Opus has bits for all that is compared, at 48 it has not. Noise takes 57 instead of 64 without VBR's
# constraint; silence takes next to nothing.
FINE_FROM_KBPS = 60.0
FINE = (Tolerance(3, 3.0, 7.0), Tolerance(20, 1.0, 3.0), Tolerance(None, 0.5, 1.0))
COARSE = (Tolerance(3, 3.5, 8.0), Tolerance(20, 2.6, 5.5), Tolerance(None, 2.5, 5.2))


@dataclass(frozen=True)
class Likeness:
    """``worst_window_db`` is the largest distance of one window; ``share_within`` is the share of all windows (of each
    channel) that are nearer than what three in a row may be; ``difference`` says where and how far the sounds are
    apart, or is None.
    """

    worst_window_db: float
    share_within: float
    difference: str | None


def compare(source: Floats, copy: Floats, tolerances: tuple[Tolerance, ...]) -> Likeness:
    """Compare two envelopes of as many channels."""
    windows = min(len(source), len(copy))
    worst_db, within, difference = 0.0, 0, None
    if max(len(source), len(copy)) > windows + 1:
        difference = f"one has {len(source)} windows and the other {len(copy)}"
    # One channel after the other: ten hours of both would take a few hundred MB.
    for channel in range(source.shape[1]):
        bands = _distances(source[:windows, channel], copy[:windows, channel])
        sound = bands.mean(axis=1)
        worst_db = max(worst_db, float(sound.max()))
        within += int(np.count_nonzero(sound <= tolerances[0].sound_db))
        difference = difference or next(_differences(channel, sound, bands, tolerances), None)
    return Likeness(worst_db, within / (windows * source.shape[1]), difference)


def lag_samples(source: bytes, copy: bytes, channels: int, most_samples: int) -> int:
    """How many samples later the copy's sound begins than the source's, or 0 when that is more than ``most_samples``.

    Both are interleaved little-endian floats. It is where they correlate most.
    """
    first, second = (_mono(data, channels) for data in (source, copy))
    length = 1 << (len(first) + len(second)).bit_length()
    product = np.conj(np.fft.rfft(first, length)) * np.fft.rfft(second, length)
    correlation = np.fft.irfft(product, length)
    near = np.concatenate([correlation[-most_samples:], correlation[: most_samples + 1]])
    best = int(np.argmax(near))
    return best - most_samples if near[best] >= correlation.max() else 0


def _mono(samples: bytes, channels: int) -> npt.NDArray[np.float64]:
    mono: npt.NDArray[np.float64] = np.frombuffer(samples, "<f4").reshape(-1, channels).sum(axis=1, dtype=np.float64)
    return mono


def _differences(
    channel: int, sound: npt.NDArray[np.float64], bands: npt.NDArray[np.float64], tolerances: tuple[Tolerance, ...]
) -> Iterator[str]:
    for tolerance in tolerances:
        run = min(tolerance.windows or len(sound), len(sound))
        columns = [("", sound, tolerance.sound_db)]
        columns += [
            (f" between {low} and {high} Hz", bands[:, band], tolerance.band_db)
            for band, (low, high) in enumerate(pairwise(BANDS_HZ))
        ]
        for where, distances, most_db in columns:
            means = _means(distances, run)
            first = int(np.argmax(means))
            if not means[first] <= most_db:
                stretch = f"in the {run * STEP_SECONDS:.1f} s from {_clock(first * STEP_SECONDS)} on"
                yield (
                    f"channel {channel + 1} differs by {means[first]:.1f} dB{where} "
                    f"{stretch if tolerance.windows else 'over the whole length'}, "
                    f"where {most_db:.1f} dB are allowed"
                )


def _distances(source: Floats, copy: Floats) -> npt.NDArray[np.float64]:
    louder = _loudest_near(np.maximum(source, copy))
    neighbours = np.zeros_like(louder)
    neighbours[:, 1:] = louder[:, :-1]
    neighbours[:, :-1] = np.maximum(neighbours[:, :-1], louder[:, 1:])
    floor = (
        _BAND_FLOOR * louder
        + _NEIGHBOUR_FLOOR * neighbours
        + _SOUND_FLOOR * louder.max(axis=1, keepdims=True)
        + np.float32(_ABSOLUTE_FLOOR)
    )
    distances: npt.NDArray[np.float64] = np.abs(10 * np.log10((copy + floor) / (source + floor)))
    return distances.astype(np.float64)


def _loudest_near(powers: Floats) -> Floats:
    """The maximum of each window and its neighbours within half a second."""
    loudest = powers.copy()
    for away in range(1, _REACH + 1):
        np.maximum(loudest[away:], powers[:-away], out=loudest[away:])
        np.maximum(loudest[:-away], powers[away:], out=loudest[:-away])
    return loudest


def _means(distances: npt.NDArray[np.float64], run: int) -> npt.NDArray[np.float64]:
    """Of each ``run`` windows in a row."""
    sums = np.concatenate([[0.0], np.cumsum(distances)])
    means: npt.NDArray[np.float64] = (sums[run:] - sums[:-run]) / run
    return means


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:04.1f}"
