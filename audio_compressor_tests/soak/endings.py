"""Judges how commands ended: exit codes, time after a signal, hanging, survivors."""

import signal
from collections.abc import Iterator, Sequence

from audio_compressor_tests.soak.judge import Finding
from audio_compressor_tests.soak.night import Ending

INTERRUPTED = 130
ENDING_SECONDS = 5.0
_TRACEBACK = "Traceback (most recent call last)"


def judge_ending(ending: Ending, expected: frozenset[int], survivors: Sequence[str]) -> Iterator[Finding]:
    """``expected`` are the codes of a command that got no signal; ``survivors`` its processes that still live."""
    if ending.hung:
        yield Finding("wrong", ending.night, f"it hung and was ended; where: {ending.err[-1500:]}")
    elif ending.was_interrupted:
        yield from _judge_interruption(ending, expected)
    elif ending.signal_number is None and ending.code not in expected:
        text = f"exit code {ending.code} instead of {sorted(expected)}: {_last_line(ending)}"
        yield Finding("wrong", ending.night, text)
    was_starting = ending.was_interrupted and not ending.signal_was_caught
    _, header, traceback = ending.err.partition(_TRACEBACK)
    if header and not (ending.was_killed or ending.hung or was_starting):
        yield Finding("wrong", ending.night, f"a traceback instead of a message: {header}{traceback[:4000]}")
    for process in survivors:
        yield Finding("left over", ending.night, f"process {process}")


def _judge_interruption(ending: Ending, expected: frozenset[int]) -> Iterator[Finding]:
    name = ending.signal_number.name if ending.signal_number else ""
    if ending.seconds_after_signal > ENDING_SECONDS:
        yield Finding("wrong", ending.night, f"it took {ending.seconds_after_signal:.1f} s to end after {name}")
    allowed = {INTERRUPTED}
    if not ending.signal_was_caught:
        allowed |= {-signal.SIGTERM, -signal.SIGINT}  # while Python starts, and when it ends
    if ending.signal_came_late:
        allowed |= expected | {1, 2}
    if ending.code not in allowed:
        text = f"exit code {ending.code} after {name} instead of {INTERRUPTED}: {_last_line(ending)}"
        yield Finding("wrong", ending.night, text)


def _last_line(ending: Ending) -> str:
    lines = (ending.out + ending.err).strip().splitlines()
    return lines[-1][:400] if lines else "it printed nothing"
