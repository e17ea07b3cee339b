"""A plan in words: what is outstanding, what is being waited for, and why."""

from collections import Counter
from collections.abc import Iterable, Iterator

from audio_compressor.intake.plan import Plan
from audio_compressor.texts import visible

_EXAMPLES = 5


def explain(plan: Plan) -> str:
    """One line for each kind, with the first few names; a person reads this in the Dagster UI or a terminal."""
    return "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    yield f"{len(plan.outstanding)} outstanding, {len(plan.done)} done."
    for reason, names in _grouped((item.reason, item.directory) for item in plan.fresh):
        yield f"Outstanding ({reason}): {names}."
    for reason, names in _grouped((item.reason, item.directory) for item in plan.outstanding if not item.is_fresh):
        yield f"Outstanding for the next night ({reason}): {names}."
    for item in plan.waiting[:_EXAMPLES]:
        yield f"Waiting for {item.directory}: {item.reason}."
    if len(plan.waiting) > _EXAMPLES:
        yield f"Waiting for {len(plan.waiting) - _EXAMPLES} more."
    for item in plan.in_flight[:_EXAMPLES]:
        yield f"In work: {item.directory}: {item.reason}."
    if len(plan.in_flight) > _EXAMPLES:
        yield f"In work: {len(plan.in_flight) - _EXAMPLES} more."
    for skip in plan.skips[:_EXAMPLES]:
        yield f"Skipped {skip.directory}: {skip.reason}."
    if len(plan.skips) > _EXAMPLES:
        yield f"Skipped {len(plan.skips) - _EXAMPLES} more."
    if plan.gone:
        yield f"Gone from the source before they were compressed: {_some(plan.gone)}."
    for reason, names in _grouped((item.reason, item.name) for item in plan.ignored):
        yield f"Not recordings ({reason}): {names}."


def _grouped(items: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    items = list(items)
    for reason, _count in Counter(reason for reason, _ in items).most_common():
        yield reason, _some([name for its_reason, name in items if its_reason == reason])


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _EXAMPLES} more" if len(names) > _EXAMPLES else ""
    # What is not a recording may have any name, such as one that clears a terminal.
    return ", ".join(visible(name).replace("\n", " ") for name in names[:_EXAMPLES]) + more
