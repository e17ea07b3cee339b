"""`audio-compressor archive --dry-run`: what would be done, file by file, and what it would save."""

import json
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from rich.markup import escape

from audio_compressor.archive.explain import plan_json, tier_totals, total_of
from audio_compressor.archive.library import Library
from audio_compressor.archive.matching import EVERYTHING, Matcher, why_no_pattern
from audio_compressor.archive.plan import Plan
from audio_compressor.cli.library import name_in
from audio_compressor.cli.library_tables import SUMMED_UP, plan_table, print_table, summed_up_table, tier_table
from audio_compressor.cli.terminal import console
from audio_compressor.errors import ConfigurationError
from audio_compressor.texts import visible


def matcher_of(library: Library, patterns: Sequence[str]) -> Matcher:
    """What matches one of these paths or patterns; everything where there is none.

    Raises:
        ConfigurationError: one of them could match nothing.
    """
    if not patterns:
        return EVERYTHING
    paths = tuple(name_in(library.layout, pattern) for pattern in patterns)
    problems = [f"the path '{visible(path)}' matches nothing: {why}" for path in paths if (why := why_no_pattern(path))]
    if problems:
        raise ConfigurationError(problems)
    return Matcher(paths=paths)


def show_plan(library: Library, only: Matcher, *, show_all: bool, as_json: bool) -> int:
    """Print what would be done; returns the exit code.

    Raises:
        AudioCompressorError: the library cannot be looked at.
    """
    look, out = library.look(), console()
    decisions = tuple(each for each in look.plan.decisions if only.matches(each.file.key, each.file.fields))
    plan = replace(look.plan, decisions=decisions)
    if as_json:
        out.out(json.dumps(plan_json(plan, library.rules.policy, look.problems), indent=2))
        return 0
    for note in plan.notes:
        out.print(escape(f"Policy: {visible(note)}."), soft_wrap=True)
    _show(plan, out, show_all=show_all)
    print_problems(out, look.problems)
    if any(decision.saved_bytes for decision in plan.due) and library.rules.trash_days:
        days = f"{library.rules.trash_days:g} days"
        out.print(f"What is replaced or deleted lies in the trash for {days} first; its space is free after them.")
    out.print("Nothing was done. MB is 1,000,000 bytes; what is expected is an estimate.")
    return 0


def _show(plan: Plan, out: Console, *, show_all: bool) -> None:
    if not plan.decisions:
        out.print("There are no recordings.")
        return
    shown = [each for each in plan.decisions if show_all or each.verdict not in SUMMED_UP]
    others = [each for each in plan.decisions if not show_all and each.verdict in SUMMED_UP]
    if shown:
        print_table(out, plan_table(shown))
    if others:
        print_table(out, summed_up_table(others))
        out.print("These are summed up; --all shows each.")
    print_table(out, tier_table(tier_totals(plan.decisions), total_of(plan.decisions)))


def print_problems(out: Console, problems: Sequence[str]) -> None:
    for problem in problems:
        out.print(f"[yellow]look at[/] {escape(visible(problem))}", soft_wrap=True)
