"""What `audio-compressor doctor` looks at of the library. Nothing is written to it."""

import os
from collections.abc import Iterator
from pathlib import Path

from audio_compressor.archive.collection import LIBRARY, RESULTS, Collection
from audio_compressor.archive.explain import explain_decision, total_of
from audio_compressor.archive.holds import read_holds
from audio_compressor.archive.library import Library
from audio_compressor.archive.opening import setup_of
from audio_compressor.archive.plan import Plan
from audio_compressor.archive.policy import Policy
from audio_compressor.archive.trash import read_trash
from audio_compressor.errors import AccessDeniedError, ConfigurationError, LibraryError, OutOfSpaceError
from audio_compressor.reporting.formatting import megabytes, to_mb
from audio_compressor.retries import Retry
from audio_compressor.settings import Settings
from audio_compressor.space import look_at_space
from audio_compressor.texts import visible

# A person is waiting, and asks again.
_AT_ONCE = Retry(attempts=1, delay_seconds=0)
_EXAMPLES = 3


def check_directory(collection: Collection, settings: Settings) -> str:
    """
    Raises:
        LibraryError: the directory is not there.
        AccessDeniedError: it cannot be written.
        OutOfSpaceError: nothing fits.
    """
    root = setup_of(collection, settings).layout.root
    if not root.is_dir():
        raise LibraryError(f"{collection.setting} {root} is no directory; is its disk mounted?")
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        raise AccessDeniedError(
            f"{collection.setting} {root} cannot be read and written; change its owner or its permissions"
        )
    space = look_at_space(root, warning_bytes=settings.disk_warning_bytes)
    if not space.is_enough:
        raise OutOfSpaceError(f"{root}: {space.sentence}")
    return f"{root} can be read and written; {space.sentence}"


def check_policy(collection: Collection, settings: Settings) -> str:
    """
    Raises:
        ConfigurationError: it is none, or wants cold storage where there is none.
        AudioCompressorError: its file cannot be read.
    """
    setup = setup_of(collection, settings)
    policy = setup.policy()
    if not settings.cold_bucket and any(tier.action.kind == "cold" for tier in policy.tiers):
        raise ConfigurationError([f"{setup.policy_path} has a tier for cold storage; set COLD_BUCKET"])
    return ". ".join([_tiers(policy), *(visible(note) for note in policy.notes)])


def _tiers(policy: Policy) -> str:
    tiers = ", ".join(visible(str(tier)) for tier in policy.tiers)
    return f"{tiers}; originals are {'deleted' if policy.delete_originals else 'kept'}"


def check_cold_storage(settings: Settings) -> str:
    """Raises AudioCompressorError: nothing can be written there, or read."""
    cold = setup_of(LIBRARY if settings.library_dir else RESULTS, settings).open_cold_archive(_AT_ONCE)
    if cold is None:
        raise ConfigurationError(["COLD_BUCKET is not set, so there is no cold storage"])
    with cold:
        return cold.check_writable()


def look_at_recordings(collection: Collection, settings: Settings) -> str:
    """How many there are, what is due, and what a person should know of.

    Raises:
        AccessDeniedError: some that are due lie in a directory that cannot be written.
        AudioCompressorError: the library cannot be looked at.
    """
    with setup_of(collection, settings).open(_AT_ONCE) as library:
        plan = library.look().plan
        facts = [_counts(plan), *_facts(library, plan)]
        denied = sorted(_denied(library, plan))
    if denied:
        raise AccessDeniedError(
            f"{len(denied):,} directories with recordings that are due cannot be written, such as "
            f"{visible(denied[0])}; change their owner or their permissions"
        )
    return "; ".join(facts)


def _counts(plan: Plan) -> str:
    due = total_of(plan.due)
    now, saved = megabytes(to_mb(due.size_bytes)), megabytes(to_mb(due.saved_bytes))
    return f"{len(plan.decisions):,}, of which {due.due:,} are due ({now} MB, of which {saved} MB would be saved)"


def _facts(library: Library, plan: Plan) -> Iterator[str]:
    if interrupted := len(library.changing.unfinished()):
        yield f"{interrupted:,} changes were interrupted, or go on now; the next run finishes them"
    if doubts := [decision for decision in plan.decisions if decision.verdict == "doubt"]:
        first = "; ".join(explain_decision(decision) for decision in doubts[:_EXAMPLES])
        yield f"{len(doubts):,} are in doubt and stay as they are, such as {first}"
    if holds := read_holds(library.layout):
        held = sum(decision.verdict == "held" for decision in plan.decisions)
        yield f"{len(holds):,} holds are on {held:,} of them"
    if entries := read_trash(library.layout)[0]:
        size_bytes = sum(entry.size_bytes for entry in entries)
        yield f"{len(entries):,} files ({megabytes(to_mb(size_bytes))} MB) lie in the trash"


def _denied(library: Library, plan: Plan) -> set[str]:
    directories = {Path(decision.file.key).parent for decision in plan.due}
    return {str(each) for each in directories if not os.access(library.layout.root / each, os.W_OK | os.X_OK)}
