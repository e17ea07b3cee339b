"""What is outstanding, skipped, waited for or done, and why."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_compressor.intake.listing import Ignored, Listing, SourceDirectory
from audio_compressor.intake.plan import (
    QUIET_SECONDS,
    History,
    Outstanding,
    Plan,
    Reasoned,
    Rules,
    Skip,
    SkipKind,
    Success,
    make_plan,
    quiet_directories,
)
from audio_compressor.intake.settling import Look
from audio_compressor.recording import Fingerprint
from audio_compressor_tests.intake import strategies

NOW = strategies.NOW_SECONDS
HOUR_AGO = int(NOW) - 3600
SETTLED = Fingerprint(1000, HOUR_AGO)
RULES = Rules(settle_seconds=60, max_file_size_bytes=strategies.MAX_FILE_SIZE_BYTES)


def plan(
    *sources: SourceDirectory,
    history: History | None = None,
    rules: Rules = RULES,
    looks: Mapping[str, Look] | None = None,
    now_seconds: float = NOW,
) -> Plan:
    listing = Listing(sources, ())
    return make_plan(listing, history or History(), rules, looks=looks or {}, now_seconds=now_seconds)


def source(
    audio: Fingerprint | None = SETTLED, problem: str | None = None, changed_at: int = HOUR_AGO
) -> SourceDirectory:
    return SourceDirectory("a", changed_at, audio, problem)


def outstanding_reason(history: History, rules: Rules = RULES) -> str:
    (item,) = plan(source(), history=history, rules=rules).outstanding
    assert item.recording.fingerprint == SETTLED
    return item.reason


@given(strategies.listings, strategies.histories, strategies.rules, strategies.looks)
@settings(deadline=None)
def test_each_directory_is_in_exactly_one_place(
    listing: Listing, history: History, rules: Rules, looks: dict[str, Look]
) -> None:
    made = make_plan(listing, history, rules, looks=looks, now_seconds=NOW)
    items: list[Outstanding | Skip | Reasoned] = [*made.outstanding, *made.skips, *made.waiting, *made.in_flight]
    placed = Counter([*(item.directory for item in items), *made.done])
    assert placed == Counter(found.directory for found in listing.directories)
    assert made.ignored == listing.ignored
    assert set(made.fresh) <= set(made.outstanding)
    assert not set(made.gone) & set(placed)
    assert all(item.reason for item in items)


@given(strategies.listings, strategies.histories, strategies.rules, strategies.looks)
@settings(deadline=None)
def test_outstanding_is_readable_settled_small_enough_and_in_listing_order(
    listing: Listing, history: History, rules: Rules, looks: dict[str, Look]
) -> None:
    made = make_plan(listing, history, rules, looks=looks, now_seconds=NOW)
    sources = {found.directory: found for found in listing.directories}
    order = list(sources)
    for item in made.outstanding:
        assert sources[item.directory].audio == item.recording.fingerprint
        assert item.recording.fingerprint.size_bytes <= rules.max_file_size_bytes
        assert item.directory not in history.in_flight
        assert item.directory not in made.looks
    positions = [order.index(item.directory) for item in made.outstanding]
    assert positions == sorted(positions)
    assert set(made.looks) <= {item.directory for item in made.waiting}


@given(strategies.listings, strategies.histories, strategies.looks)
@settings(deadline=None)
def test_the_same_again_after_success_is_nothing_to_do(
    listing: Listing, history: History, looks: dict[str, Look]
) -> None:
    made = make_plan(listing, history, RULES, looks=looks, now_seconds=NOW)
    done = {item.directory: Success(item.recording.fingerprint, 0.0) for item in made.outstanding}
    later = replace(history, successes={**history.successes, **done})
    again = make_plan(listing, later, RULES, looks=made.looks, now_seconds=NOW + 1)
    assert set(done) <= set(again.done)


def test_why_it_is_outstanding() -> None:
    changed = Fingerprint(999, HOUR_AGO)
    assert outstanding_reason(History()) == "new"
    assert outstanding_reason(History(observed={"a": SETTLED})) == "seen before, but never finished"
    assert outstanding_reason(History(failures={"a": SETTLED})) == "failed before"
    assert outstanding_reason(History(failures={"a": changed})) == "new"
    changed_since = "the source changed after it was compressed"
    assert outstanding_reason(History(successes={"a": Success(changed, 0.0)})) == changed_since
    again = replace(RULES, skip_processed=False)
    assert outstanding_reason(History(successes={"a": Success(SETTLED, 0.0)}), again) == (
        "done before, and SKIP_PROCESSED is false"
    )


def test_done_is_a_success_from_the_same_source() -> None:
    assert plan(source(), history=History(successes={"a": Success(SETTLED, 0.0)})).done == ("a",)


@pytest.mark.parametrize(("finished_at_seconds", "is_done"), [(HOUR_AGO, True), (HOUR_AGO - 1, False)])
def test_an_imported_success_covers_a_source_that_is_not_newer(finished_at_seconds: int, is_done: bool) -> None:
    made = plan(source(), history=History(successes={"a": Success(None, finished_at_seconds)}))
    assert bool(made.done) == is_done
    assert bool(made.outstanding) != is_done


@pytest.mark.parametrize("audio", [None, Fingerprint(3000, HOUR_AGO)])
def test_a_success_is_not_turned_into_a_skip(audio: Fingerprint | None) -> None:
    """Its audio file was cleaned away at the source, or MAX_FILE_SIZE_MB was lowered afterwards."""
    success = Success(audio or SETTLED, 0.0)
    made = plan(source(audio), history=History(successes={"a": success}))
    assert (made.done, made.skips) == (("a",), ())


def test_fresh_is_what_was_not_observed_in_this_state() -> None:
    assert plan(source()).fresh
    assert plan(source(), history=History(observed={"a": Fingerprint(1, 1)})).fresh
    assert not plan(source(), history=History(observed={"a": SETTLED})).fresh


@pytest.mark.parametrize(
    ("found", "kind", "reason"),
    [
        (source(None), "no_audio", "there is no audio file in the directory"),
        (source(None, "permission denied"), "unreadable", "permission denied"),
        (source(Fingerprint(3000, HOUR_AGO)), "too_large", "3,000 bytes are more than MAX_FILE_SIZE_MB allows (0.002)"),
        (source(Fingerprint(3000, int(NOW))), "too_large", "3,000 bytes are more than MAX_FILE_SIZE_MB allows (0.002)"),
    ],
)
def test_skips_are_news_only_once(found: SourceDirectory, kind: SkipKind, reason: str) -> None:
    assert plan(found).skips == (Skip("a", kind, reason, found.audio, is_news=True),)
    (again,) = plan(found, history=History(skips={"a": (kind, found.audio)})).skips
    assert not again.is_news
    (other,) = plan(found, history=History(skips={"a": (kind, Fingerprint(1, 1))})).skips
    assert other.is_news


def test_the_size_limit_itself_is_allowed() -> None:
    assert plan(source(Fingerprint(strategies.MAX_FILE_SIZE_BYTES, HOUR_AGO))).outstanding


@pytest.mark.parametrize(("age_seconds", "is_waiting"), [(59, True), (60, False)])
def test_a_new_directory_without_audio_is_given_time(age_seconds: int, is_waiting: bool) -> None:
    made = plan(source(None, changed_at=int(NOW) - age_seconds))
    assert bool(made.waiting) == is_waiting
    assert bool(made.skips) != is_waiting


def test_an_upload_is_waited_for_until_it_has_settled() -> None:
    growing = source(Fingerprint(1000, int(NOW)))
    first = plan(growing)
    assert [item.directory for item in first.waiting] == ["a"]
    assert first.looks == {"a": Look(Fingerprint(1000, int(NOW)), NOW)}
    ahead = source(Fingerprint(1000, int(NOW) + 3600))  # by the clock of a server that is ahead of ours
    looks = plan(ahead).looks
    assert plan(ahead, looks=looks, now_seconds=NOW + 30).looks == looks
    assert plan(ahead, looks=looks, now_seconds=NOW + 60).outstanding
    last = plan(growing, looks=first.looks, now_seconds=NOW + 60)
    assert [item.directory for item in last.outstanding] == ["a"]
    assert last.looks == {}


def test_what_a_run_works_on_is_left_alone() -> None:
    made = plan(source(), history=History(in_flight={"a": "0123456789abcdef"}))
    assert made.in_flight == (Reasoned("a", "run 01234567 is working on it"),)
    assert not made.outstanding


def test_gone_is_what_was_known_but_never_finished() -> None:
    known = History(known=["a", "b", "c"], successes={"b": Success(SETTLED, 0.0)})
    assert plan(source(), history=known).gone == ("c",)


def test_what_is_no_recording_is_handed_on() -> None:
    ignored = (Ignored("lost+found", "the name does not match"),)
    assert make_plan(Listing((), ignored), History(), RULES, looks={}, now_seconds=NOW).ignored == ignored


@given(strategies.fingerprints, st.none() | strategies.fingerprints, st.floats(0, 2 * NOW))
@settings(deadline=None)
def test_covers(source_now: Fingerprint, made_from: Fingerprint | None, finished_at_seconds: float) -> None:
    covers = Success(made_from, finished_at_seconds).covers(source_now)
    if made_from is None:
        assert covers == (source_now.modified_at_seconds <= finished_at_seconds)
    else:
        assert covers == (made_from == source_now)


DONE = History(known=["a"], successes={"a": Success(SETTLED, 0.0)}, observed={"a": SETTLED})
LONG_AGO = int(NOW) - QUIET_SECONDS - 1


@pytest.mark.parametrize(
    ("changed_at", "history", "rules", "looks", "is_quiet"),
    [
        (LONG_AGO, DONE, RULES, {}, True),
        (LONG_AGO + 1, DONE, RULES, {}, False),
        (LONG_AGO, History(), RULES, {}, False),
        (LONG_AGO, replace(DONE, overtaken=["a"]), RULES, {}, False),
        (LONG_AGO, replace(DONE, in_flight={"a": "run"}), RULES, {}, False),
        (LONG_AGO, DONE, replace(RULES, skip_processed=False), {}, False),
        (LONG_AGO, DONE, RULES, {"a": Look(SETTLED, NOW - 10)}, False),
    ],
)
def test_only_what_is_done_and_untouched_for_two_days_is_passed_over(
    changed_at: int, history: History, rules: Rules, looks: Mapping[str, Look], is_quiet: bool
) -> None:
    assert quiet_directories({"a": changed_at}, history, rules, looks, NOW) == ({"a"} if is_quiet else set())


@given(strategies.listings, strategies.histories, strategies.rules, strategies.looks)
@settings(deadline=None)
def test_passing_over_changes_nothing_but_for_the_files_that_were_rewritten_in_place(
    listing: Listing, history: History, rules: Rules, looks: dict[str, Look]
) -> None:
    """Two days later, as nothing else tells when the directories of the examples changed."""
    now_seconds = NOW + 2 * QUIET_SECONDS
    times = {found.directory: found.modified_at_seconds for found in listing.directories}
    quiet = quiet_directories(times, history, rules, looks, now_seconds)
    looked_into = tuple(found for found in listing.directories if found.directory not in quiet)
    partial = make_plan(
        Listing(looked_into, listing.ignored, quiet), history, rules, looks=looks, now_seconds=now_seconds
    )
    full = make_plan(listing, history, rules, looks=looks, now_seconds=now_seconds)
    assert set(full.done) <= set(partial.done)
    rewritten = set(partial.done) - set(full.done)
    for source in listing.directories:
        if source.directory in rewritten and source.problem is None:  # one that cannot be read any more is found later
            assert source.audio is not None
            assert not history.successes[source.directory].covers(source.audio)
    assert partial.outstanding == tuple(item for item in full.outstanding if item.directory not in rewritten)
    assert partial.gone == full.gone
