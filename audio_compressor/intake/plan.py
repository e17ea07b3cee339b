"""Decides what is outstanding: the difference between what the source holds and what was done, with a reason for each.

Pure: what it needs to know comes in as arguments, and carrying out a plan is somebody else's loop.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from audio_compressor.intake.listing import Ignored, Listing, SourceDirectory
from audio_compressor.intake.settling import Look, settle
from audio_compressor.recording import Fingerprint, Recording, too_large

SkipKind = Literal["no_audio", "unreadable", "too_large"]

# Two days, so that a clock that is wrong by hours does no harm.
QUIET_SECONDS = 2 * 24 * 3600


@dataclass(frozen=True)
class Success:
    """The last success of a recording: made from this source file or, when that is unknown, finished at this time.

    An old manifest tells when a recording was processed, but not from which state of its source file.
    """

    fingerprint: Fingerprint | None
    finished_at_seconds: float

    def covers(self, fingerprint: Fingerprint) -> bool:
        if self.fingerprint is not None:
            return self.fingerprint == fingerprint
        return self.finished_at_seconds >= fingerprint.modified_at_seconds


@dataclass(frozen=True)
class History:
    """What is known already. Mappings are by directory name."""

    known: Sequence[str] = ()
    observed: Mapping[str, Fingerprint] = field(default_factory=dict)
    successes: Mapping[str, Success] = field(default_factory=dict)
    failures: Mapping[str, Fingerprint | None] = field(default_factory=dict)
    skips: Mapping[str, tuple[SkipKind, Fingerprint | None]] = field(default_factory=dict)
    in_flight: Mapping[str, str] = field(default_factory=dict)
    overtaken: Collection[str] = ()  # the last outcome is a failure or a skip that came after the last success


@dataclass(frozen=True)
class Rules:
    """The settings that decide."""

    settle_seconds: float
    max_file_size_bytes: int
    skip_processed: bool = True


@dataclass(frozen=True)
class Reasoned:
    directory: str
    reason: str


@dataclass(frozen=True)
class Skip:
    """A recording that is passed over. ``is_news`` when its last recorded outcome was another one."""

    directory: str
    kind: SkipKind
    reason: str
    fingerprint: Fingerprint | None
    is_news: bool


@dataclass(frozen=True)
class Outstanding:
    """A recording to be processed. ``is_fresh`` when its source is new or changed since it was last observed."""

    recording: Recording
    reason: str
    is_fresh: bool

    @property
    def directory(self) -> str:
        return self.recording.directory


@dataclass(frozen=True)
class Plan:
    """Every directory of a listing is in exactly one of the tuples; ``looks`` is for the next time.

    What the listing passed over is done.
    """

    outstanding: tuple[Outstanding, ...]
    skips: tuple[Skip, ...]
    waiting: tuple[Reasoned, ...]
    in_flight: tuple[Reasoned, ...]
    done: tuple[str, ...]
    ignored: tuple[Ignored, ...]
    gone: tuple[str, ...]
    looks: Mapping[str, Look]

    @property
    def fresh(self) -> tuple[Outstanding, ...]:
        return tuple(item for item in self.outstanding if item.is_fresh)


def quiet_directories(
    modified_at_seconds: Mapping[str, int],
    history: History,
    rules: Rules,
    looks: Mapping[str, Look],
    now_seconds: float,
) -> frozenset[str]:
    """The recordings that are done, and in whose directory nothing was added, removed or renamed for two days.

    Their audio file can only have been rewritten in place, or replaced by a copy that set the directory's time back. To
    look for that all day, every half a minute, would be 100,000 requests for 100,000 recordings; the night does.
    """
    if not rules.skip_processed:
        return frozenset()
    latest_seconds = now_seconds - QUIET_SECONDS
    old = {directory for directory, seconds in modified_at_seconds.items() if seconds < latest_seconds}
    done = old & history.successes.keys()
    return frozenset(done - set(history.overtaken) - history.in_flight.keys() - looks.keys())


def make_plan(
    listing: Listing, history: History, rules: Rules, *, looks: Mapping[str, Look], now_seconds: float
) -> Plan:
    outstanding: list[Outstanding] = []
    skips: list[Skip] = []
    waiting: list[Reasoned] = []
    in_flight: list[Reasoned] = []
    done: list[str] = sorted(listing.passed_over)
    next_looks: dict[str, Look] = {}

    for source in listing.directories:
        directory, audio = source.directory, source.audio
        if run_id := history.in_flight.get(directory):
            in_flight.append(Reasoned(directory, f"run {run_id[:8]} is working on it"))
        elif audio is None and now_seconds - source.modified_at_seconds < rules.settle_seconds:
            waiting.append(Reasoned(directory, "the directory is new and holds no audio file yet"))
        elif _is_done(source, history, rules):
            done.append(directory)
        elif skip := _skip(source, history, rules):
            skips.append(skip)
        elif audio is not None:
            settling = settle(audio, looks.get(directory), now_seconds, rules.settle_seconds)
            if settling.is_settled:
                is_fresh = history.observed.get(directory) != audio
                outstanding.append(Outstanding(Recording(directory, audio), _why(directory, audio, history), is_fresh))
            else:
                waiting.append(Reasoned(directory, settling.reason))
                next_looks[directory] = settling.look

    listed = {source.directory for source in listing.directories}
    gone = tuple(key for key in history.known if key not in listed and key not in history.successes)
    return Plan(
        outstanding=tuple(outstanding),
        skips=tuple(skips),
        waiting=tuple(waiting),
        in_flight=tuple(in_flight),
        done=tuple(done),
        ignored=listing.ignored,
        gone=gone,
        looks=next_looks,
    )


def _is_done(source: SourceDirectory, history: History, rules: Rules) -> bool:
    """A success stays one when its audio file is removed later, or is larger than what is allowed by now.

    One that was followed by a failure does not: something of the recording was asked for again and is not there.
    """
    success = history.successes.get(source.directory)
    if success is None or source.problem is not None:
        return False
    if source.audio is None:
        return True
    return rules.skip_processed and success.covers(source.audio) and source.directory not in history.overtaken


def _skip(source: SourceDirectory, history: History, rules: Rules) -> Skip | None:
    audio = source.audio
    kind: SkipKind
    if source.problem is not None:
        kind, reason = "unreadable", source.problem
    elif audio is None:
        kind, reason = "no_audio", "there is no audio file in the directory"
    elif audio.size_bytes > rules.max_file_size_bytes:
        kind, reason = "too_large", too_large(audio.size_bytes, rules.max_file_size_bytes)
    else:
        return None
    is_news = history.skips.get(source.directory) != (kind, audio)
    return Skip(source.directory, kind, reason, audio, is_news)


def _why(directory: str, audio: Fingerprint, history: History) -> str:
    success = history.successes.get(directory)
    if success is not None and not success.covers(audio):
        return "the source changed after it was compressed"
    if success is not None and directory in history.overtaken:
        return "done before, but its last attempt did not succeed"
    if success is not None:
        return "done before, and SKIP_PROCESSED is false"
    if history.failures.get(directory) == audio:
        return "failed before"
    if directory in history.observed:
        return "seen before, but never finished"
    return "new"
