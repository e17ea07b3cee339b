"""A plan and its outcomes: in words for logs and terminals, and as data for programs.

`plan_json` and `outcomes_json` are for programs that others write: their keys stay. Sizes are in bytes, ages in days,
times in ISO 8601 (UTC); what is not known or does not apply is null.

The plan:

    at          when it was made
    dry_run     whether the policy says that nothing is to be done
    notes       sentences about the policy
    problems    sentences about what lies in the library and does not fit together
    files       for each recording:
        key             path of the original below LIBRARY_DIR; its partition
        verdict         due, done, kept, held, waiting, refused or doubt
        action          what is done now: such as "Opus 64k"; null unless it is due
        tier, reason    what decided
        recorded_at, dated_by, age_days
        original_bytes  of the original; 0 where that is not known
        size_bytes, expected_bytes, saved_bytes
                        what it takes in the library now and afterwards, and the difference
        place, path     "library" or "cold", and the file that stands for it; null where none is known
    tiers       for each tier, and for what none is for (tier is null): files, due, size_bytes, expected_bytes,
                saved_bytes
    totals      the same of everything

The outcomes:

    outcomes    for each recording that was due:
        key, status (success, refused, skipped or failed), action, tier, reason
        before_bytes, after_bytes, saved_bytes, seconds
        place, path, uri, sha256
                        of its copy, where there is one: "library" or "cold", its path, and the object in cold storage
    saved_bytes of all of them
    in_work     how many are left to another run
    problems    sentences
    trash       removed (files), freed_bytes, kept (sentences about what had to stay)
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from audio_compressor.archive.outcome import Outcome
from audio_compressor.archive.plan import Decision, Plan
from audio_compressor.archive.policy import Policy
from audio_compressor.archive.purging import Purge
from audio_compressor.reporting.formatting import megabytes, to_mb
from audio_compressor.texts import visible

_EXAMPLES = 5


@dataclass(frozen=True)
class TierTotal:
    """Of the recordings that a tier decides on; ``tier`` is None for those that no tier is for, or not yet."""

    tier: str | None
    files: int
    due: int
    size_bytes: int
    expected_bytes: int

    @property
    def saved_bytes(self) -> int:
        return self.size_bytes - self.expected_bytes


def total_of(decisions: Sequence[Decision], tier: str | None = None) -> TierTotal:
    return TierTotal(
        tier,
        len(decisions),
        sum(decision.verdict == "due" for decision in decisions),
        sum(decision.file.size_bytes for decision in decisions),
        sum(decision.expected_bytes for decision in decisions),
    )


def tier_totals(decisions: Iterable[Decision]) -> tuple[TierTotal, ...]:
    """The youngest tier first; what no tier decides on at the end."""
    groups: dict[str | None, list[Decision]] = {}
    ages: dict[str | None, float] = {}
    for decision in decisions:
        name = str(decision.tier) if decision.tier else None
        groups.setdefault(name, []).append(decision)
        ages[name] = decision.tier.after_days if decision.tier else float("inf")
    return tuple(total_of(groups[name], name) for name in sorted(groups, key=lambda name: (ages[name], name or "")))


def explain_plan(plan: Plan) -> str:
    """A line for the whole and for each tier and verdict; a person reads this in the Dagster UI or a terminal."""
    return "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    total = total_of(plan.decisions)
    due = total_of(plan.due)
    yield f"{due.due:,} of {total.files:,} recordings are due{_sizes(due)}."
    for tier in tier_totals(plan.due):
        yield f"{tier.tier}: {tier.due:,} due{_sizes(tier)}."
    counts = Counter(decision.verdict for decision in plan.decisions if decision.verdict != "due")
    if counts:
        yield "Others: " + ", ".join(f"{count:,} {verdict}" for verdict, count in counts.most_common()) + "."
    for verdict, start in (("doubt", "In doubt"), ("waiting", "Waiting for")):
        found = [decision for decision in plan.decisions if decision.verdict == verdict]
        yield from (f"{start}: {explain_decision(decision)}." for decision in found[:_EXAMPLES])
        if len(found) > _EXAMPLES:
            yield f"{start}: {len(found) - _EXAMPLES:,} more."
    for note in plan.notes:
        yield f"{visible(note)}."


def _sizes(total: TierTotal) -> str:
    if not total.files:
        return ""
    now, then, saved = (megabytes(to_mb(size)) for size in (total.size_bytes, total.expected_bytes, total.saved_bytes))
    return f": {now} MB now, {then} MB expected, {saved} MB saved"


def explain_decision(decision: Decision) -> str:
    return f"{visible(decision.file.key)}: {visible(decision.reason)}"


def explain_outcome(outcome: Outcome) -> tuple[int, str]:
    """The level at which it is logged, and one line."""
    key = visible(outcome.key)
    if outcome.status == "failed":
        return logging.ERROR, f"{key}: failed: {outcome.reason}"
    if outcome.status != "success":
        return logging.WARNING, f"{key}: {outcome.status}: {outcome.reason}"
    return logging.INFO, f"{key}: {_done(outcome)} in {outcome.seconds:.1f} s"


def _done(outcome: Outcome) -> str:
    before, after = megabytes(to_mb(outcome.before_bytes)), megabytes(to_mb(outcome.after_bytes))
    copy = outcome.record.copy if outcome.record else None
    if outcome.action.kind == "delete":
        return f"{before} MB deleted, as {outcome.tier} says"
    if copy and copy.place == "cold":
        return f"{before} MB moved to {copy.uri} ({copy.storage_class})"
    proof = outcome.proof
    proven = f", {proof.duration_seconds:.1f} s of sound proven to be the same" if proof else ""
    return f"{before} MB to {after} MB ({outcome.action}){proven}"


def plan_json(plan: Plan, policy: Policy, problems: Sequence[str]) -> dict[str, Any]:
    """See above."""
    return {
        "at": _iso(plan.at),
        "dry_run": policy.dry_run,
        "notes": list(plan.notes),
        "problems": list(problems),
        "files": [_decision_json(decision) for decision in plan.decisions],
        "tiers": [_total_json(total) for total in tier_totals(plan.decisions)],
        "totals": {name: value for name, value in _total_json(total_of(plan.decisions)).items() if name != "tier"},
    }


def _decision_json(decision: Decision) -> dict[str, Any]:
    file = decision.file
    return {
        "key": file.key,
        "verdict": decision.verdict,
        "action": str(decision.action) if decision.verdict == "due" else None,
        "tier": str(decision.tier) if decision.tier else None,
        "reason": decision.reason,
        "recorded_at": _iso(file.recorded_at),
        "dated_by": file.dated_by,
        "age_days": round(decision.age_days, 3),
        "original_bytes": file.original_bytes,
        "size_bytes": file.size_bytes,
        "expected_bytes": decision.expected_bytes,
        "saved_bytes": decision.saved_bytes,
        "place": file.standing.place if file.standing else None,
        "path": file.standing.path if file.standing else None,
    }


def _total_json(total: TierTotal) -> dict[str, Any]:
    return {**asdict(total), "saved_bytes": total.saved_bytes}


def outcomes_json(
    outcomes: Sequence[Outcome], in_work: int, problems: Sequence[str], purge: Purge | None
) -> dict[str, Any]:
    """See above."""
    return {
        "outcomes": [_outcome_json(outcome) for outcome in outcomes],
        "saved_bytes": sum(outcome.saved_bytes for outcome in outcomes),
        "in_work": in_work,
        "problems": list(problems),
        "trash": {
            "removed": len(purge.removed) if purge else 0,
            "freed_bytes": purge.freed_bytes if purge else 0,
            "kept": list(purge.kept) if purge else [],
        },
    }


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    copy = outcome.record.copy if outcome.record else None
    return {
        "key": outcome.key,
        "status": outcome.status,
        "action": str(outcome.action),
        "tier": outcome.tier,
        "reason": outcome.reason,
        "before_bytes": outcome.before_bytes,
        "after_bytes": outcome.after_bytes,
        "saved_bytes": outcome.saved_bytes,
        "seconds": round(outcome.seconds, 3),
        "place": copy.place if copy else None,
        "path": copy.path if copy else None,
        "uri": (copy.uri or None) if copy else None,
        "sha256": copy.sha256 if copy else None,
    }


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
