"""Recordings as a look at a library finds them, made up; for all tests of what is planned."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from audio_compressor.archive.model import Hold, LibraryFile, Stamp, Standing
from audio_compressor.archive.policy import Action, Policy, Tier

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LONG_AGO_NS = 1_000_000_000 * 10**9
OPUS_96, OPUS_64, COLD, DELETE = Action("opus", 96), Action("opus", 64), Action("cold", 0, "GLACIER"), Action("delete")
POLICY = Policy((Tier(0, Action("keep")), Tier(7, OPUS_96), Tier(30, OPUS_64), Tier(90, COLD), Tier(365, DELETE)))


def stamp_of(size_bytes: int, modified_ns: int = LONG_AGO_NS) -> Stamp:
    return Stamp(1, 2, size_bytes, modified_ns)


def original(
    key: str = "2026/talk.webm",
    age_days: float = 10,
    size_bytes: int = 1_000_000,
    modified_ns: int = LONG_AGO_NS,
    **more: Any,
) -> LibraryFile:
    """A recording as it was recorded."""
    stamp = stamp_of(size_bytes, modified_ns)
    more.setdefault("standing", Standing("library", key, size_bytes, stamp.modified_at, stamp=stamp))
    recorded_at = NOW - timedelta(days=age_days)
    return LibraryFile(key, recorded_at, "its name", original_bytes=size_bytes, original_stamp=stamp, **more)


def archived(
    key: str = "2026/talk.webm",
    age_days: float = 40,
    size_bytes: int = 700_000,
    bitrate_kbps: float = 96,
    *,
    is_cold: bool = False,
    fields: Mapping[str, Any] | None = None,
    **more: Any,
) -> LibraryFile:
    """A recording of which there is a copy."""
    path = key.removesuffix(".webm") + ".opus"
    stamp = None if is_cold else stamp_of(size_bytes)
    place = "cold" if is_cold else "library"
    standing = Standing(place, path, size_bytes, NOW, bitrate_kbps, "ab" * 32, stamp)  # type: ignore[arg-type]
    recorded_at = NOW - timedelta(days=age_days)
    more.setdefault("original_bytes", 1_000_000)
    return LibraryFile(key, recorded_at, "its name", standing, fields or {}, **more)


def hold_of(matcher: Any, reason: str = "") -> Hold:
    return Hold("0a1b2c3d", matcher, reason, NOW)
