"""Turns what became of recordings of the library, or of results, into Dagster events. The metadata keys of the assets
`archived_audio`, `archived_outputs` and the plans of both are made here and nowhere else.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg

from audio_compressor.archive.explain import TierTotal, tier_totals, total_of
from audio_compressor.archive.outcome import Outcome
from audio_compressor.archive.plan import Decision, Plan
from audio_compressor.archive.records import Record
from audio_compressor.archive.restoring import Restored
from audio_compressor.audio.proof import Proof
from audio_compressor.defs import data_versions
from audio_compressor.defs.aged import Aged
from audio_compressor.defs.event_parts import bounded, iso, megabytes, version_tags
from audio_compressor.defs.names import DATA_VERSION_TAG
from audio_compressor.reporting import formatting
from audio_compressor.reporting.formatting import to_mb
from audio_compressor.reporting.lines import table_lines
from audio_compressor.texts import escape_cell, escape_line

# Of a plan; kept with each run.
_MOST_ROWS = 100
_PLAN = (
    ("recording", ":--"),
    ("action", ":--"),
    ("tier", ":--"),
    ("age in days", "--:"),
    ("MB", "--:"),
    ("expected MB", "--:"),
    ("saved MB", "--:"),
    ("reason", ":--"),
)
_TIERS = (
    ("tier", ":--"),
    ("recordings", "--:"),
    ("due", "--:"),
    ("MB", "--:"),
    ("expected MB", "--:"),
    ("saved MB", "--:"),
)

_Figure = str | int | float | bool
_Figures = dict[str, _Figure]


def archived(aged: Aged, root: Path, record: Record, outcome: Outcome, at: datetime) -> dg.AssetMaterialization:
    """Of a recording with which something was done just now."""
    return _materialized(
        aged,
        root,
        record,
        at,
        {
            "tier": bounded(outcome.tier),
            "reason": bounded(outcome.reason),
            **(_proof(outcome.proof) if outcome.proof else {}),
            "seconds": round(outcome.seconds, 1),
        },
    )


def told_again(aged: Aged, root: Path, record: Record, reason: str, at: datetime) -> dg.AssetMaterialization:
    """Of a recording that was archived before."""
    tier = {"tier": bounded(record.copy.tier)} if record.copy else {}
    return _materialized(aged, root, record, at, {**tier, "reason": bounded(reason), "was_archived_before": True})


def version_of(record: Record) -> str:
    """The data version of what stands for a recording."""
    original = record.original.sha256 if record.original else ""
    if record.deleted_at is not None or record.copy is None:
        return data_versions.of_archived(original, "deleted")
    return data_versions.of_archived(original, record.copy.sha256)


def _materialized(
    aged: Aged, root: Path, record: Record, at: datetime, more: Mapping[str, _Figure]
) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        aged.asset,
        partition=record.key,
        metadata={
            **_dates(record.recorded_at, record.dated_by, (at - record.recorded_at) / timedelta(days=1)),
            **_sizes(record),
            **_place(root, record),
            **more,
        },
        tags=version_tags(version_of(record)),
    )


def _dates(recorded_at: datetime, dated_by: str, age_days: float) -> _Figures:
    return {"recorded_at": iso(recorded_at), "dated_by": bounded(dated_by), "age_days": round(age_days, 2)}


def _sizes(record: Record) -> _Figures:
    """``saved_mb`` is what the original took, less what the recording takes in the library now."""
    original = record.original
    copy = record.copy if record.deleted_at is None else None
    figures: _Figures = {"compressed_size_mb": megabytes(copy.size_bytes)} if copy else {}
    if original is None:
        return figures
    in_library_bytes = copy.size_bytes if copy and copy.place == "library" else 0
    kept_bytes = original.size_bytes if record.original_is_kept else 0
    figures |= {
        "original_size_mb": megabytes(original.size_bytes),
        "saved_mb": megabytes(original.size_bytes - in_library_bytes - kept_bytes),
        "source_sha256": original.sha256,
        "duration_seconds": round(original.duration_seconds, 3),
    }
    return {**figures, "compression_ratio": round(original.size_bytes / copy.size_bytes, 2)} if copy else figures


def _place(root: Path, record: Record) -> _Figures:
    copy = record.copy
    if record.deleted_at is not None or copy is None:
        return {"location": "deleted"}
    figures: _Figures = {
        "location": "s3" if copy.place == "cold" else "local",
        "uri": bounded(copy.uri or (root / copy.path).as_uri()),
        "sha256": copy.sha256,
        "codec": copy.codec,
        "bitrate_kbps": round(copy.bitrate_kbps, 1),
    }
    if copy.made_from:
        figures["made_from"] = copy.made_from
    if copy.storage_class:
        figures["storage_class"] = copy.storage_class
    return figures


def _proof(proof: Proof) -> _Figures:
    return {
        "proof_duration_seconds": round(proof.duration_seconds, 3),
        "proof_source_duration_seconds": round(proof.source_duration_seconds, 3),
        "proof_worst_window_db": round(proof.worst_window_db, 2),
        "proof_share_within_tolerance": round(proof.share_within_tolerance, 4),
    }


def not_archived(aged: Aged, key: str, verdict: str, reason: str, decision: Decision | None) -> dg.AssetObservation:
    """Of a recording with which nothing was done; without a decision, there is none of that key."""
    figures: _Figures = {"verdict": verdict, "reason": bounded(reason)}
    version = data_versions.of_not_archived(verdict, 0, 0)
    if decision is not None:
        file = decision.file
        figures |= {
            **({"tier": bounded(str(decision.tier))} if decision.tier else {}),
            **_dates(file.recorded_at, file.dated_by, decision.age_days),
            "size_mb": megabytes(file.size_bytes),
        }
        if file.standing and file.standing.stamp:
            stamp = file.standing.stamp
            version = data_versions.of_not_archived(verdict, stamp.size_bytes, stamp.modified_ns)
    return dg.AssetObservation(
        aged.asset,
        partition=key,
        description=escape_line(bounded(f"{verdict}: {reason}")),
        metadata=figures,
        tags={DATA_VERSION_TAG: version},
    )


def brought_back(aged: Aged, restored: Restored) -> dg.AssetObservation:
    """By a person, from the trash or from cold storage."""
    reason = f"{restored.path} was brought back from {restored.came_from}; {restored.hold} keeps it"
    return not_archived(aged, restored.key, "held", reason, None)


def plan_observed(aged: Aged, plan: Plan, whole: Plan) -> dg.AssetObservation:
    """What is to become of a run's recordings, and of the whole library."""
    total, due, all_of_it = total_of(plan.decisions), total_of(plan.due), total_of(whole.decisions)
    return dg.AssetObservation(
        aged.plan,
        description=escape_line(
            f"{due.due} of {total.files} {aged.noun} of this run are due; {all_of_it.due} of {all_of_it.files} in all"
        ),
        metadata={
            "recordings": total.files,
            **_totals("", due),
            "plan": dg.MetadataValue.md(_plan_table(plan.due)),
            "tiers": dg.MetadataValue.md(_tier_table(tier_totals(plan.decisions))),
            "library_recordings": all_of_it.files,
            **_totals("library_", all_of_it),
            "library_tiers": dg.MetadataValue.md(_tier_table(tier_totals(whole.decisions))),
            "notes": dg.MetadataValue.json([bounded(note) for note in whole.notes]),
        },
    )


def _totals(prefix: str, total: TierTotal) -> _Figures:
    return {
        f"{prefix}due": total.due,
        f"{prefix}size_mb": megabytes(total.size_bytes),
        f"{prefix}expected_mb": megabytes(total.expected_bytes),
        f"{prefix}saved_mb": megabytes(total.saved_bytes),
    }


def _plan_table(due: Sequence[Decision]) -> str:
    lines = table_lines(_PLAN, (_plan_row(decision) for decision in due[:_MOST_ROWS]))
    if len(due) > _MOST_ROWS:
        lines += ["", f"The first {_MOST_ROWS} of {len(due):,}."]
    return "\n".join(lines) + "\n"


def _plan_row(decision: Decision) -> Iterator[str]:
    yield escape_cell(decision.file.key)
    yield escape_cell(str(decision.action))
    yield escape_cell(str(decision.tier))
    yield f"{decision.age_days:,.1f}"
    for size in (decision.file.size_bytes, decision.expected_bytes, decision.saved_bytes):
        yield formatting.megabytes(to_mb(size))
    yield escape_cell(bounded(decision.reason))


def _tier_table(totals: Sequence[TierTotal]) -> str:
    rows = (
        (
            escape_cell(total.tier or "none, or not yet"),
            f"{total.files:,}",
            f"{total.due:,}",
            *(
                formatting.megabytes(to_mb(size))
                for size in (total.size_bytes, total.expected_bytes, total.saved_bytes)
            ),
        )
        for total in totals
    )
    return "\n".join(table_lines(_TIERS, rows)) + "\n"
