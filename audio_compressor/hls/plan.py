"""Where a track is cut: the same frames for every rendition, so that segments line up exactly. Pure."""

from dataclasses import dataclass
from itertools import accumulate, pairwise

from audio_compressor.errors import EncodingError

# The `-segment_frames` of so many stay under the 128 KiB that Linux allows for one argument (execve(2)).
MOST_SEGMENTS = 10_000


@dataclass(frozen=True)
class SegmentPlan:
    """``frames``: how many AAC frames each segment holds. All last ``frame_samples``, only the very last one may be
    shorter in a container that says so."""

    frames: tuple[int, ...]
    frame_samples: int
    last_frame_samples: int
    sample_rate_hz: int

    @property
    def cuts(self) -> tuple[int, ...]:
        """The frames at which a segment ends; the last is the number of all."""
        return tuple(accumulate(self.frames))

    @property
    def durations_microseconds(self) -> tuple[int, ...]:
        """Differences of rounded positions, so that the rounding never adds up."""
        ends = [cut * self.frame_samples for cut in self.cuts]
        ends[-1] += self.last_frame_samples - self.frame_samples
        return tuple(end - start for start, end in pairwise([0, *(self._microseconds(end) for end in ends)]))

    @property
    def target_duration_seconds(self) -> int:
        """The longest, rounded to the nearest second (RFC 8216, 4.3.3.1)."""
        return _nearest_second(max(self.durations_microseconds))

    def _microseconds(self, samples: int) -> int:
        return (2_000_000 * samples + self.sample_rate_hz) // (2 * self.sample_rate_hz)


def plan_segments(
    frames: int,
    sample_rate_hz: int,
    segment_duration_seconds: float,
    *,
    frame_samples: int = 1024,
    last_frame_samples: int | None = None,
) -> SegmentPlan:
    """Segments of the whole number of frames that is nearest to the duration asked for; the last takes what is left.

    What is left joins the segment before it when that still rounds to the same target duration: a segment of one frame
    costs a request like any other, and players handle it worst.

    Raises:
        EncodingError: there is no frame, or there would be too many segments.
    """
    if frames < 1:
        raise EncodingError("an encode holds not one AAC frame, so there is nothing to cut into segments")
    each = max(1, round(segment_duration_seconds * sample_rate_hz / frame_samples))
    whole, rest = divmod(frames, each)
    if whole > MOST_SEGMENTS:
        raise EncodingError(
            f"{frames * frame_samples / sample_rate_hz:,.0f} s in segments of {segment_duration_seconds:g} s would be "
            f"{whole:,}, and {MOST_SEGMENTS:,} can be made; raise SEGMENT_DURATION"
        )
    counts = [each] * whole + [rest] * (rest > 0)
    last = frame_samples if last_frame_samples is None else last_frame_samples
    plan = SegmentPlan(tuple(counts), frame_samples, last, sample_rate_hz)
    if rest and whole:
        joined = SegmentPlan((*counts[:-2], each + rest), frame_samples, last, sample_rate_hz)
        if joined.target_duration_seconds == plan.target_duration_seconds:
            return joined
    return plan


def _nearest_second(microseconds: int) -> int:
    return max(1, (microseconds + 500_000) // 1_000_000)
