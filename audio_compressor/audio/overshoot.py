"""What an AAC encoder adds on top of a true peak, taken back exactly where it happened.

A decoded peak lies up to 3 dB over the one that was encoded, in some frames of a thousand. To encode everything again,
quieter, would take as long as before and put other peaks elsewhere. So only the seconds around each peak are encoded
again, with a dip in the gain there, and their packets exchanged for the ones in the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audio_compressor.audio.aac import Span
from audio_compressor.audio.ladder import PACKET_FRAMES
from audio_compressor.audio.limiter import Decibels, attenuation_db, over_ceiling_db
from audio_compressor.audio.m4a import Packets, window
from audio_compressor.audio.true_peak import BLOCK, Floats

# An encoder that begins in the middle has to find its step sizes and windows first, and where two windows meet both
# have to be of one kind: of 8 packets that was so for all but two or three in a hundred, of talk and of drums.
_BEFORE_PACKETS = 20
_AFTER_PACKETS = 12
_SETTLED_PACKETS = 8
# A dip is this much deeper than the peak was over, since what is encoded next to it changes as well; and twice as much
# with each round, up to 2.4 dB: the last few of hundreds of peaks took four rounds more otherwise.
_DEEPER_DB = 0.3
_MOST_DOUBLINGS = 3


@dataclass(frozen=True)
class Excerpt:
    """Packets of ``first`` to ``end`` (not included) are encoded again; ``needed`` are those that must change."""

    first: int
    end: int
    needed: range

    def span(self, frames: int) -> Span:
        first_frame = self.first * PACKET_FRAMES
        return first_frame, min(self.end * PACKET_FRAMES, frames) - first_frame


def dips_db(peaks: Floats, limit_dbtp: float, rounds_before: int = 0) -> Decibels:
    """What to take off at each edge of a block, for the decoded ``peaks`` that are over the limit."""
    over_db = over_ceiling_db(peaks, 0.0, limit_dbtp)
    over_db[over_db > 0] += _DEEPER_DB * 2 ** min(rounds_before, _MOST_DOUBLINGS)
    return attenuation_db(over_db)


def excerpts(dips: Decibels, frames: int) -> list[Excerpt]:
    """The stretches to encode again, so that each packet whose sound changes is among them; none overlap.

    Packet n is made of the blocks n - 1 and n of 1024 frames, so the last packet is the one after the last block.
    """
    last = -(-frames // PACKET_FRAMES)
    found: list[Excerpt] = []
    for start, end in _runs(dips):
        needed = range(start * BLOCK // PACKET_FRAMES, min(last, end * BLOCK // PACKET_FRAMES + 1) + 1)
        first, stop = max(0, needed.start - _BEFORE_PACKETS), min(last, needed.stop + _AFTER_PACKETS)
        if found and first <= found[-1].end:
            before = found.pop()
            first, needed = before.first, range(before.needed.start, needed.stop)
        found.append(Excerpt(first, stop, needed))
    return found


def replacements(old: Packets, new: Packets, exchanged: Sequence[Excerpt]) -> Mapping[int, bytes] | None:
    """Which packets of ``new`` (the excerpts, encoded as one sound) take the place of which of ``old``.

    At both ends of what is exchanged stands a packet whose windows are the same in both, so that the next one overlaps
    with what it was made for. None where there is no such packet.
    """
    replaced: dict[int, bytes] = {}
    offset = 0
    for excerpt in exchanged:
        begin, end = _begin(old, new, excerpt, offset), _end(old, new, excerpt, offset)
        if begin is None or end is None:
            return None
        replaced |= {number: new[number - excerpt.first + offset] for number in range(begin, end + 1)}
        offset += excerpt.end - excerpt.first
    return replaced


def _begin(old: Packets, new: Packets, excerpt: Excerpt, offset: int) -> int | None:
    if excerpt.first == 0:
        return 0
    for number in range(excerpt.needed.start, excerpt.first + _SETTLED_PACKETS, -1):
        if _fits(old[number - 1], new[number - 1 - excerpt.first + offset]):
            return number
    return None


def _end(old: Packets, new: Packets, excerpt: Excerpt, offset: int) -> int | None:
    last = len(old) - 1
    if excerpt.end >= last:
        return last
    for number in range(excerpt.needed.stop - 1, excerpt.end - 1):
        if _fits(old[number], new[number - excerpt.first + offset]):
            return number
    return None


def _fits(old: bytes, new: bytes) -> bool:
    return window(old) is not None and window(old) == window(new)


def _runs(dips: Decibels) -> list[tuple[int, int]]:
    """First block and the one after the last of each stretch in which something is taken off."""
    changed = np.flatnonzero(np.maximum(dips[:-1], dips[1:]) > 0)
    if not len(changed):
        return []
    breaks = np.flatnonzero(np.diff(changed) > 1)
    starts = np.concatenate([changed[:1], changed[breaks + 1]])
    ends = np.concatenate([changed[breaks], changed[-1:]]) + 1
    return [(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]
