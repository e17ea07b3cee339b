"""What a policy means for each recording now, with the reason. A pure function of time, files, policy and holds.

A tier that names recordings (by path, language or a field) goes before those that are for all: where one or more of
them match, only these count. Among those that count and whose age is reached, the one of the greatest age decides, and
of several of one age the first in the file.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from audio_compressor.archive.model import Hold, LibraryFile, Standing
from audio_compressor.archive.policy import Action, Policy, Tier

Verdict = Literal["due", "done", "kept", "held", "waiting", "refused", "doubt"]

# The document's figure: browsers write about 1 MB a minute. An estimate where the duration is not known.
_USUAL_KBPS = 1_000_000 * 8 / 60 / 1000


@dataclass(frozen=True)
class Decision:
    """``due``: ``action`` is to be done now. Otherwise nothing is, for the reason that is given.

    ``expected_bytes`` is what the recording will take in the library afterwards; where nothing is done, what it takes.
    """

    file: LibraryFile
    verdict: Verdict
    reason: str
    age_days: float
    expected_bytes: int
    action: Action | None = None
    tier: Tier | None = None

    @property
    def saved_bytes(self) -> int:
        return self.file.size_bytes - self.expected_bytes


@dataclass(frozen=True)
class Plan:
    """One decision for each recording, in the order of their keys."""

    at: datetime
    decisions: tuple[Decision, ...]
    notes: tuple[str, ...] = ()

    @property
    def due(self) -> tuple[Decision, ...]:
        return tuple(decision for decision in self.decisions if decision.verdict == "due")


def make_plan(
    now: datetime,
    files: Iterable[LibraryFile],
    policy: Policy,
    holds: Sequence[Hold],
    settle_seconds: float,
    again: Collection[str] = (),
) -> Plan:
    """What is to be done with each file that is still there, and why.

    ``again`` are the keys of those with which somebody wants to be tried what came to nothing before.
    """
    again = frozenset(again)
    decisions = (
        decide(now, file, policy, holds, settle_seconds, again=file.key in again)
        for file in sorted(files, key=lambda file: file.key)
    )
    return Plan(now, tuple(decisions), policy.notes)


def decide(
    now: datetime,
    file: LibraryFile,
    policy: Policy,
    holds: Sequence[Hold],
    settle_seconds: float,
    *,
    again: bool = False,
) -> Decision:
    """What is to be done with one file."""
    age_days = (now - file.recorded_at) / timedelta(days=1)

    def nothing(verdict: Verdict, reason: str, tier: Tier | None = None) -> Decision:
        return Decision(file, verdict, reason, age_days, file.size_bytes, tier.action if tier else None, tier)

    if file.trouble:
        return nothing("doubt", file.trouble)
    if file.standing is None:
        return nothing("doubt", "no copy of it is known")
    if hold := next((hold for hold in holds if hold.covers(file)), None):
        return nothing("held", str(hold))
    if age_days < 0:
        return nothing("doubt", f"its date, {_date(file)}, lies in the future")
    if reason := _why_unsettled(now, file, settle_seconds):
        return nothing("waiting", reason)
    tier = _deciding_tier(policy, file, age_days)
    if tier is None:
        return nothing("kept", f"{_age(age_days)}, by {file.dated_by}; no tier is for it yet")
    because = f"{tier}: {_age(age_days)}, by {file.dated_by}"
    if tier.action.kind == "keep":
        return nothing("kept", because, tier)
    if reason := _why_done(tier.action, file.standing):
        if file.original_stamp is not None and policy.delete_originals:
            reason += "; its original is from when the policy deleted none, and stays"
        return nothing("done", reason, tier)
    if (reason := file.refusals.get(str(tier.action))) and not again:
        return nothing("refused", reason, tier)
    expected_bytes = _expected_bytes(file, file.standing, tier.action, keeps_originals=not policy.delete_originals)
    return Decision(file, "due", because, age_days, expected_bytes, tier.action, tier)


def _deciding_tier(policy: Policy, file: LibraryFile, age_days: float) -> Tier | None:
    naming = [tier for tier in policy.naming_tiers if tier.matcher.matches(file.key, file.fields)]
    counting = naming or policy.general_tiers
    reached = [tier for tier in counting if tier.after_days <= age_days]
    return max(reached, key=lambda tier: tier.after_days, default=None)  # the first of several


def _why_unsettled(now: datetime, file: LibraryFile, settle_seconds: float) -> str | None:
    """Somebody may be writing to it still."""
    if file.original_stamp is None:
        return None
    modified_at = file.original_stamp.modified_at
    still_seconds = (now - modified_at).total_seconds()
    if still_seconds < -settle_seconds:
        return f"its modification time, {modified_at:%Y-%m-%d %H:%M}, lies in the future"
    if still_seconds < settle_seconds:
        return f"changed {max(0.0, still_seconds):.0f} s ago; it may still be written"
    return None


def _why_done(action: Action, standing: Standing) -> str | None:
    if action.kind == "delete":
        return None
    if standing.place == "cold":
        return "lies in cold storage"
    if action.kind == "opus" and standing.bitrate_kbps is not None and standing.bitrate_kbps <= action.bitrate_kbps:
        return f"is Opus {standing.bitrate_kbps:g}k already"
    return None


def _expected_bytes(file: LibraryFile, standing: Standing, action: Action, *, keeps_originals: bool) -> int:
    """An estimate: how much there is to encode is not known before."""
    kept_bytes = file.original_stamp.size_bytes if file.original_stamp and keeps_originals else 0
    if action.kind != "opus":
        return kept_bytes
    if file.duration_seconds:
        new_bytes = file.duration_seconds * action.bitrate_kbps * 1000 / 8
    else:
        new_bytes = standing.size_bytes * action.bitrate_kbps / (standing.bitrate_kbps or _USUAL_KBPS)
    return kept_bytes + round(min(new_bytes, standing.size_bytes))


def _age(days: float) -> str:
    return f"{days:.1f} days old" if days < 10 else f"{days:,.0f} days old"


def _date(file: LibraryFile) -> str:
    return f"{file.recorded_at:%Y-%m-%d} by {file.dated_by}"
