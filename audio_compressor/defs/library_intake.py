"""One look at a library, and what it means for Dagster: new partitions, and the runs to ask for."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dagster import DagsterInstance

from audio_compressor.archive.explain import explain_plan
from audio_compressor.archive.library import Library, Look
from audio_compressor.archive.matching import EVERYTHING, Matcher
from audio_compressor.archive.plan import Decision
from audio_compressor.defs.dead_runs import end_dead_runs
from audio_compressor.defs.history import in_flight, known_keys
from audio_compressor.defs.lines import Line
from audio_compressor.intake.ranges import KeyRange, contiguous_ranges


@dataclass(frozen=True)
class LibrarySurvey:
    """``due`` is to be done now; ``in_work`` is due as well, and left to the runs that work on it.

    ``looked_at_seconds`` is when the look began (seconds since the epoch).
    """

    look: Look
    looked_at_seconds: float
    due: tuple[Decision, ...]
    in_work: Mapping[str, str]
    new_keys: tuple[str, ...]
    keys_in_order: tuple[str, ...]

    def ranges(self, batch_size: int) -> list[KeyRange]:
        return contiguous_ranges(self.keys_in_order, {decision.file.key for decision in self.due}, batch_size)

    @property
    def sentence(self) -> str:
        """What there is to do, for the Dagster UI and the log."""
        in_work = f"\nAnother run works on {len(self.in_work):,} of them." if self.in_work else ""
        return explain_plan(self.look.plan) + in_work


def look_at_library(
    instance: DagsterInstance, library: Library, line: Line, only: Matcher = EVERYTHING
) -> LibrarySurvey:
    """What is due; ``only`` of what it matches. Where the policy says ``dry_run``, that is nothing.

    Raises:
        AudioCompressorError: the library cannot be looked at.
    """
    began_at_seconds = time.time()
    end_dead_runs(instance)
    keys = known_keys(instance, line)
    look = library.look()
    busy = in_flight(instance, keys, line)
    due = [
        decision
        for decision in look.plan.due
        if not library.rules.policy.dry_run and only.matches(decision.file.key, decision.file.fields)
    ]
    new_keys = _new_keys(look.plan.decisions, keys)
    return LibrarySurvey(
        look,
        began_at_seconds,
        tuple(decision for decision in due if decision.file.key not in busy),
        {decision.file.key: busy[decision.file.key] for decision in due if decision.file.key in busy},
        new_keys,
        (*keys, *new_keys),
    )


def _new_keys(decisions: Sequence[Decision], keys: Sequence[str]) -> tuple[str, ...]:
    """The oldest recording first, so that what is due lies side by side. What may still be written is left out: it may
    yet get another name.
    """
    known = frozenset(keys)
    files = [each.file for each in decisions if each.file.key not in known and each.verdict != "waiting"]
    return tuple(file.key for file in sorted(files, key=lambda file: (file.recorded_at, file.key)))
