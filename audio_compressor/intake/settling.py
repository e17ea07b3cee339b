"""Half an upload is never compressed: an audio file is taken only once it has stopped changing."""

from collections.abc import Mapping
from dataclasses import dataclass

from audio_compressor.recording import Fingerprint


@dataclass(frozen=True)
class Look:
    """A fingerprint and when it was first seen (seconds since the epoch, our clock)."""

    fingerprint: Fingerprint
    first_seen_at_seconds: float


@dataclass(frozen=True)
class Settling:
    """Whether a file has settled; if not, why, and what to remember until the next look."""

    is_settled: bool
    reason: str
    look: Look


def settle(fingerprint: Fingerprint, previous: Look | None, now_seconds: float, settle_seconds: float) -> Settling:
    """Decide by age on the first look, by two equal looks otherwise.

    The second rule does not depend on the server's clock: a server that is ahead of ours gives times in the future.
    """
    look = previous if previous and previous.fingerprint == fingerprint else Look(fingerprint, now_seconds)
    age_seconds = now_seconds - fingerprint.modified_at_seconds
    if settle_seconds == 0 or age_seconds >= settle_seconds:
        return Settling(True, f"unchanged for {age_seconds:.0f} s", look)
    watched_seconds = now_seconds - look.first_seen_at_seconds
    if previous and look is previous and watched_seconds >= settle_seconds:
        return Settling(True, f"watched unchanged for {watched_seconds:.0f} s", look)
    remaining_seconds = settle_seconds - max(watched_seconds, min(age_seconds, settle_seconds), 0)
    change = "is new" if previous is None else "has just changed" if look is not previous else "may still be written"
    return Settling(
        False, f"{change} ({fingerprint.size_bytes:,} bytes); {remaining_seconds:.0f} s until settled", look
    )


def looks_to_json(looks: Mapping[str, Look]) -> dict[str, list[str | float]]:
    return {key: [str(look.fingerprint), look.first_seen_at_seconds] for key, look in looks.items()}


def looks_from_json(value: object) -> dict[str, Look]:
    """The inverse of ``looks_to_json``; what cannot be read is forgotten, which only makes us look once more."""
    looks: dict[str, Look] = {}
    if isinstance(value, dict):
        for key, item in value.items():
            try:
                fingerprint, seen = item
                looks[str(key)] = Look(Fingerprint.parse(fingerprint), float(seen))
            except (TypeError, ValueError, AttributeError, OverflowError):
                continue
    return looks
