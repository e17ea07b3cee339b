"""`audio-compressor verify`: are the stored files still what was published?"""

import sys
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from audio_compressor.cli.environment import (
    EXIT_ALL_FAILED,
    EXIT_SOME_FAILED,
    load_recording_environment,
    open_instance,
)
from audio_compressor.cli.terminal import console
from audio_compressor.defs.history import known_keys
from audio_compressor.defs.receipts import complete_receipt, open_inspector, read_receipts
from audio_compressor.defs.resources import build_resources
from audio_compressor.errors import AudioCompressorError
from audio_compressor.receipts import Condition, Finding, Receipt
from audio_compressor.reporting import formatting
from audio_compressor.settings import Settings
from audio_compressor.texts import visible

if TYPE_CHECKING:
    from dagster import DagsterInstance

_COLOURS: Mapping[Condition, str] = {
    "intact": "green",
    "missing": "red",
    "changed": "red",
    "damaged": "red",
    "unknown": "yellow",
}


def verify_stored(directories: Sequence[str] | None) -> int:
    """Look at the published files of these recordings, or of all (None); returns the exit code.

    Raises:
        AudioCompressorError: storage cannot be reached at all.
        KeyboardInterrupt: interrupted, or terminated.
    """
    settings = load_recording_environment()
    out = console()
    with open_instance() as instance:
        known = known_keys(instance)
        strangers = sorted(set(directories or ()) - set(known))
        if strangers:
            print(
                f"audio-compressor: nothing is recorded of {visible(', '.join(strangers))}; "
                "audio-compressor status tells what is outstanding",
                file=sys.stderr,
            )
        wanted = known if directories is None else [name for name in directories if name not in strangers]
        receipts = read_receipts(instance, None if directories is None else wanted)
        findings: list[Finding] = []
        try:
            _inspect(settings, instance, receipts, findings)
        except AudioCompressorError as error:
            if not any(finding.is_bad for finding in findings):
                raise
            print(f"audio-compressor: the rest was given up: {error}", file=sys.stderr)
            return EXIT_SOME_FAILED
        finally:
            _tell(findings, receipts, out)
    without = sorted(set(wanted) - {receipt.directory for receipt in receipts if receipt.is_audio})
    if directories is not None:
        for name in without:
            out.print(f"{escape(visible(name))}: [yellow]never published[/]: there is nothing to compare with")
    elif not findings:
        out.print("Nothing to verify: nothing has been published yet.")
    elif without:
        out.print(f"{len(without):,} more recordings have no published file on record.")
    return exit_code(findings, has_unpublished=bool(strangers or (directories and without)))


def exit_code(findings: Iterable[Finding], *, has_unpublished: bool) -> int:
    others = [finding for finding in findings if finding.condition != "intact"]
    if any(finding.is_bad for finding in others):
        return EXIT_SOME_FAILED
    return EXIT_ALL_FAILED if others or has_unpublished else 0


def _inspect(
    settings: Settings, instance: "DagsterInstance", receipts: Sequence[Receipt], findings: list[Finding]
) -> None:
    """Add to ``findings`` one for each receipt: what was found is worth knowing, also when the rest is given up."""
    bar = Progress(
        TextColumn("Verifying"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with (
        open_inspector(instance, build_resources(settings), f"verify-{uuid.uuid4()}") as inspector,
        closing(inspector.inspect(receipts)) as inspected,
        bar,
    ):
        task = bar.add_task("", total=len(receipts))
        for finding in inspected:
            findings.append(finding)
            complete_receipt(instance, finding)
            bar.advance(task)


def _tell(findings: Sequence[Finding], receipts: Sequence[Receipt], out: Console) -> None:
    """What is not intact, in the order of the receipts, and the table."""
    order = {receipt.directory: index for index, receipt in enumerate(receipts)}
    same: defaultdict[tuple[Condition, str], list[Finding]] = defaultdict(list)
    for finding in sorted(findings, key=lambda finding: (order[finding.receipt.directory], finding.receipt.name)):
        if finding.condition != "intact":
            same[finding.condition, finding.reason].append(finding)
    for alike in same.values():
        out.print(_line(alike), soft_wrap=True)
    if findings:
        out.print(_summary_table(findings))


def _line(alike: Sequence[Finding]) -> str:
    """Of those with the same reason, such as a disk that is not mounted, one line tells."""
    first = alike[0]
    name, reason = (escape(visible(text)) for text in (first.receipt.directory, first.reason))
    more = f" and {len(alike) - 1:,} more files" if len(alike) > 1 else ""
    return f"{name}{more}: [{_COLOURS[first.condition]}]{first.condition}[/]: {reason}"


def _summary_table(findings: Iterable[Finding]) -> Table:
    """One line for each condition. MB is 1,000,000 bytes."""
    groups: defaultdict[Condition, list[Receipt]] = defaultdict(list)
    for finding in findings:
        groups[finding.condition].append(finding.receipt)
    table = Table(show_footer=len(groups) > 1, caption="MB is 1,000,000 bytes.", caption_justify="left")
    everything = [receipt for receipts in groups.values() for receipt in receipts]
    table.add_column("stored files", footer="total")
    table.add_column("files", justify="right", footer=f"{len(everything):,}")
    table.add_column("MB", justify="right", footer=_size(everything))
    table.add_column("duration", justify="right", footer=_duration(everything))
    for condition, colour in _COLOURS.items():
        if receipts := groups.get(condition):
            table.add_row(f"[{colour}]{condition}[/]", f"{len(receipts):,}", _size(receipts), _duration(receipts))
    return table


def _size(receipts: Iterable[Receipt]) -> str:
    return formatting.megabytes(sum(receipt.size_mb for receipt in receipts))


def _duration(receipts: Iterable[Receipt]) -> str:
    return formatting.duration(sum(receipt.duration_seconds or 0.0 for receipt in receipts))
