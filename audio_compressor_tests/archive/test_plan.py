"""What is to be done with each recording, and the reason: every verdict, and what never may be due."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_compressor.archive.matching import Matcher
from audio_compressor.archive.model import Hold, LibraryFile
from audio_compressor.archive.plan import Decision, decide, make_plan
from audio_compressor.archive.policy import KEEP, Action, Policy, Tier
from audio_compressor_tests.archive.library_files import (
    COLD,
    DELETE,
    LONG_AGO_NS,
    NOW,
    OPUS_64,
    OPUS_96,
    POLICY,
    archived,
    hold_of,
    original,
    stamp_of,
)

SETTLE_SECONDS = 60
GERMAN = {"language": "de"}


def decided(file: LibraryFile, policy: Policy = POLICY, *holds: Hold, again: bool = False) -> Decision:
    decision = decide(NOW, file, policy, holds, SETTLE_SECONDS, again=again)
    assert decision.file is file
    if decision.verdict != "due":
        assert decision.expected_bytes == file.size_bytes
        assert decision.saved_bytes == 0
    return decision


def said(file: LibraryFile, policy: Policy = POLICY, *holds: Hold) -> tuple[str, str]:
    decision = decided(file, policy, *holds)
    return decision.verdict, decision.reason


# -- every verdict


@pytest.mark.parametrize(
    ("file", "action"),
    [
        (original(age_days=7), OPUS_96),
        (original(age_days=29.999), OPUS_96),
        (original(age_days=30), OPUS_64),
        (original(age_days=90), COLD),
        (original(age_days=365), DELETE),
        (archived(age_days=30), OPUS_64),
        (archived(age_days=90), COLD),
        (archived(age_days=365), DELETE),
        (archived(age_days=365, is_cold=True), DELETE),
        (archived(age_days=10, bitrate_kbps=96.1), OPUS_96),
    ],
)
def test_due(file: LibraryFile, action: Action) -> None:
    decision = decided(file)
    assert (decision.verdict, decision.action) == ("due", action)
    assert decision.tier is not None
    assert decision.tier.action == action


@pytest.mark.parametrize(
    ("file", "verdict", "reason"),
    [
        (original(age_days=10), "due", "Opus 96k from 7 days: 10 days old, by its name"),
        (original(age_days=7.04), "due", "Opus 96k from 7 days: 7.0 days old, by its name"),
        (original(age_days=3), "kept", "keep from 0 days: 3.0 days old, by its name"),
        (original(age_days=0), "kept", "keep from 0 days: 0.0 days old, by its name"),
        (original(age_days=4000), "due", "delete from 365 days: 4,000 days old, by its name"),
        (archived(age_days=29), "done", "is Opus 96k already"),
        (archived(age_days=40, bitrate_kbps=64), "done", "is Opus 64k already"),
        (archived(age_days=40, bitrate_kbps=48.5), "done", "is Opus 48.5k already"),
        (archived(age_days=40, is_cold=True), "done", "lies in cold storage"),
        (archived(age_days=100, is_cold=True), "done", "lies in cold storage"),
        (original(age_days=-0.001), "doubt", "its date, 2026-06-01 by its name, lies in the future"),
        (original(age_days=-800), "doubt", "its date, 2028-08-09 by its name, lies in the future"),
        (original(age_days=400, trouble="its document is not JSON"), "doubt", "its document is not JSON"),
        (original(age_days=400, standing=None), "doubt", "no copy of it is known"),
        (original(age_days=10, refusals={"Opus 96k": "it would be larger"}), "refused", "it would be larger"),
        (original(age_days=400, refusals={"delete": "no"}), "refused", "no"),
    ],
)
def test_verdicts_and_reasons(file: LibraryFile, verdict: str, reason: str) -> None:
    assert said(file) == (verdict, reason)


def test_before_the_first_tier_nothing_is_done() -> None:
    policy = Policy((Tier(7, OPUS_96),))
    assert said(original(age_days=6.9), policy) == ("kept", "6.9 days old, by its name; no tier is for it yet")


def test_the_reason_names_the_tier() -> None:
    policy = Policy((Tier(7, OPUS_96, name="the first week is over"),))
    assert decided(original(), policy).reason == "the first week is over: 10 days old, by its name"


@pytest.mark.parametrize(
    "matcher",
    [
        Matcher(("2026/talk.webm",)),
        Matcher(("2026",)),
        Matcher(("**",)),
        Matcher(languages=("DE",)),
        Matcher(metadata={"session.room": ("Aula",)}),
    ],
)
@pytest.mark.parametrize("is_cold", [True, False])
def test_held(matcher: Matcher, is_cold: bool) -> None:
    fields = {**GERMAN, "session": {"room": "Aula"}}
    for file in (original(age_days=999, fields=fields), archived(age_days=999, fields=fields, is_cold=is_cold)):
        assert said(file, POLICY, hold_of(matcher, "court order")) == ("held", "hold 0a1b2c3d (court order)")
        other = hold_of(Matcher(("elsewhere",)))
        assert said(file, POLICY, other, hold_of(matcher)) == ("held", "hold 0a1b2c3d")
        assert said(file, POLICY, other)[0] == "due"


@pytest.mark.parametrize("pattern", ["2026/talk.webm", "2026/talk.opus", "talk.opus", "*.opus"])
def test_a_copy_is_held_by_either_of_its_names(pattern: str) -> None:
    """Whoever looks into the library sees the copy, and not the name that it was recorded under."""
    hold = hold_of(Matcher((pattern,)))
    assert said(archived(age_days=999), POLICY, hold)[0] == "held"
    assert said(archived(age_days=999, is_cold=True), POLICY, hold)[0] == "held"


@pytest.mark.parametrize(
    ("still_seconds", "verdict", "reason"),
    [
        (0, "waiting", "changed 0 s ago; it may still be written"),
        (59.9, "waiting", "changed 60 s ago; it may still be written"),
        (60, "due", "Opus 96k from 7 days: 10 days old, by its name"),
        (-59, "waiting", "changed 0 s ago; it may still be written"),
        (-61, "waiting", "its modification time, 2026-06-01 12:01, lies in the future"),
    ],
)
def test_what_may_still_be_written_waits(still_seconds: float, verdict: str, reason: str) -> None:
    modified_ns = round(((NOW - timedelta(seconds=still_seconds)).timestamp()) * 1e9)
    assert said(original(modified_ns=modified_ns)) == (verdict, reason)


@pytest.mark.parametrize(
    ("modified_ns", "verdict"),
    [(2**63 - 1, "waiting"), (10**12 * 10**9, "waiting"), (-(2**63), "due"), (-(10**12) * 10**9, "due")],
)
def test_times_beyond_the_calendar(modified_ns: int, verdict: str) -> None:
    assert said(original(modified_ns=modified_ns))[0] == verdict


def test_an_original_beside_its_copy_waits_for_its_own_time() -> None:
    file = archived(age_days=40, original_stamp=stamp_of(1_000_000, round(NOW.timestamp() * 1e9)))
    assert said(file)[0] == "waiting"
    assert said(replace(file, original_stamp=stamp_of(1_000_000)))[0] == "due"


def test_trouble_goes_before_all_else() -> None:
    hold = hold_of(Matcher(("**",)))
    assert said(original(age_days=999, trouble="odd"), POLICY, hold) == ("doubt", "odd")
    assert said(original(age_days=-999), POLICY, hold)[0] == "held"


# -- which tier decides


def test_a_tier_that_names_recordings_goes_before_those_for_all() -> None:
    policy = Policy((*POLICY.tiers, Tier(0, KEEP, Matcher(languages=("de",)), "German")))
    assert said(original(age_days=999, fields=GERMAN), policy) == ("kept", "German: 999 days old, by its name")
    assert decided(original(age_days=999), policy).action == DELETE


def test_where_one_names_it_those_for_all_do_not_count_even_before_its_age() -> None:
    policy = Policy((*POLICY.tiers, Tier(1000, DELETE, Matcher(("2026/*",)))))
    assert said(original(age_days=999), policy) == ("kept", "999 days old, by its name; no tier is for it yet")
    assert decided(original(age_days=1000), policy).action == DELETE
    assert decided(original("2025/talk.webm", age_days=999), policy).action == DELETE


def test_the_greatest_age_decides_in_whatever_order_they_are() -> None:
    for tiers in (POLICY.tiers, POLICY.tiers[::-1]):
        assert decided(original(age_days=100), Policy(tiers)).action == COLD
    named = (Tier(0, KEEP, Matcher(languages=("de",))), Tier(90, DELETE, Matcher(("2026",))))
    for tiers in (named, named[::-1]):
        assert decided(original(age_days=100, fields=GERMAN), Policy(tiers)).action == DELETE


def test_of_several_of_one_age_the_first_decides() -> None:
    tiers = (Tier(7, OPUS_64), Tier(7, OPUS_96))
    assert decided(original(), Policy(tiers)).action == OPUS_64
    assert decided(original(), Policy(tiers[::-1])).action == OPUS_96


def test_a_later_tier_that_asks_for_more_changes_nothing() -> None:
    policy = Policy((Tier(7, OPUS_64), Tier(30, OPUS_96)))
    assert said(archived(age_days=40, bitrate_kbps=64), policy) == ("done", "is Opus 64k already")


# -- what was refused


def test_what_was_refused_is_tried_again_on_demand_and_in_another_tier() -> None:
    file = original(refusals={"Opus 96k": "it would be larger"})
    assert decided(file).verdict == "refused"
    assert decided(file, again=True).verdict == "due"
    assert decided(replace(file, recorded_at=NOW - timedelta(days=30))).action == OPUS_64
    [decision] = make_plan(NOW, [file], POLICY, (), SETTLE_SECONDS, again=[file.key]).decisions
    assert decision.verdict == "due"
    [decision] = make_plan(NOW, [file], POLICY, (), SETTLE_SECONDS, again=["another"]).decisions
    assert decision.verdict == "refused"


def test_a_hold_is_not_overruled_by_trying_again() -> None:
    assert decided(original(), POLICY, hold_of(Matcher(("**",))), again=True).verdict == "held"


# -- sizes


@pytest.mark.parametrize(
    ("file", "expected_bytes"),
    [
        # 600 s at 96 kbit/s; at 1 MB a minute, which is 133 kbit/s; at the copy's own bitrate
        (original(size_bytes=10_000_000, duration_seconds=600.0), 7_200_000),
        (original(size_bytes=10_000_000), 7_200_000),
        (archived(age_days=30, size_bytes=7_200_000), 4_800_000),
        (archived(age_days=30, size_bytes=7_200_000, duration_seconds=300.0), 2_400_000),
        # it is never expected to become larger
        (original(size_bytes=1_000, duration_seconds=600.0), 1_000),
        (original(size_bytes=1_000, duration_seconds=1e308), 1_000),
        (original(size_bytes=0), 0),
        (original(age_days=100), 0),
        (original(age_days=400), 0),
        (archived(age_days=400, is_cold=True), 0),
    ],
)
def test_what_it_will_take(file: LibraryFile, expected_bytes: int) -> None:
    decision = decided(file)
    assert (decision.verdict, decision.expected_bytes) == ("due", expected_bytes)
    assert decision.saved_bytes == file.size_bytes - expected_bytes >= 0


def test_originals_that_stay_take_what_they_take() -> None:
    policy = Policy(POLICY.tiers[:4], delete_originals=False)
    fresh = original(size_bytes=1_000, duration_seconds=0.01)
    assert (fresh.size_bytes, decided(fresh, policy).expected_bytes) == (1_000, 1_000 + 120)
    both = archived(age_days=30, size_bytes=600, original_stamp=stamp_of(1_000))
    assert (both.size_bytes, decided(both, policy).expected_bytes) == (1_600, 1_400)
    assert decided(replace(both, recorded_at=NOW - timedelta(days=90)), policy).expected_bytes == 1_000


def test_a_copy_in_cold_storage_takes_nothing_here() -> None:
    assert archived(is_cold=True).size_bytes == 0
    assert archived(is_cold=True, original_stamp=stamp_of(1_000)).size_bytes == 1_000
    assert original(standing=None, size_bytes=5).size_bytes == 5


# -- the plan


def test_a_plan_is_in_the_order_of_keys_and_says_what_the_policy_says() -> None:
    policy = replace(POLICY, notes=("a note",))
    files = [original(key) for key in ("b/a.webm", "a.webm", "b.webm", "ä.webm")]
    plan = make_plan(NOW, iter(files), policy, (), SETTLE_SECONDS)
    assert [decision.file.key for decision in plan.decisions] == ["a.webm", "b.webm", "b/a.webm", "ä.webm"]
    assert (plan.at, plan.notes, plan.due) == (NOW, ("a note",), plan.decisions)
    assert make_plan(NOW, [], policy, (), SETTLE_SECONDS).decisions == ()


_MATCHERS = st.sampled_from(
    [
        Matcher(),
        Matcher(("a",)),
        Matcher(("*.webm",)),
        Matcher(("**/1.opus", "./b/2.webm")),
        Matcher(languages=("de",)),
        Matcher(("b",), ("en", "de")),
        Matcher(metadata={"x": (1, None)}),
    ]
)
_ACTIONS = st.sampled_from([KEEP, OPUS_96, OPUS_64, COLD, DELETE])
_TIERS = st.builds(Tier, st.sampled_from([0, 1, 7, 7.5, 30, 365]), _ACTIONS, _MATCHERS)
_POLICIES = st.builds(Policy, st.lists(_TIERS, min_size=1, max_size=6).map(tuple), st.booleans())
_HOLDS = st.lists(_MATCHERS.filter(lambda matcher: not matcher.is_general).map(hold_of), max_size=2)
_MORE = st.fixed_dictionaries(
    {},
    optional={
        "fields": st.fixed_dictionaries({}, optional={"language": st.sampled_from(["de", "EN"]), "x": st.just(1)}),
        "duration_seconds": st.floats(0.1, 1e9),
        "trouble": st.just("odd"),
        "refusals": st.dictionaries(_ACTIONS.map(str), st.just("larger"), max_size=2),
    },
)
_AGES = st.sampled_from([-1.0, 0.0, 1.0, 6.999999, 7.0, 30.0, 365.0]) | st.floats(-10, 4000)
_KEYS = st.sampled_from([f"{directory}{name}.webm" for directory in ("", "a/", "b/") for name in range(4)])
_MODIFIED = st.sampled_from([LONG_AGO_NS, round(NOW.timestamp() * 1e9), round(NOW.timestamp() * 1e9) + 10**15])


@st.composite
def _files(draw: st.DrawFn) -> LibraryFile:
    key, age_days = draw(_KEYS), draw(_AGES)
    more: dict[str, Any] = {**draw(_MORE)}
    if draw(st.booleans()):
        standing = {} if draw(st.integers(0, 5)) else {"standing": None}
        return original(key, age_days, draw(st.integers(0, 10**9)), draw(_MODIFIED), **standing, **more)
    if draw(st.booleans()):
        more["original_stamp"] = stamp_of(1_000_000, draw(_MODIFIED))
    size_bytes, kbps = draw(st.integers(1, 10**9)), draw(st.sampled_from([24.5, 64, 96]))
    return archived(key, age_days, size_bytes, kbps, is_cold=draw(st.booleans()), **more)


@given(st.lists(_files(), max_size=12, unique_by=lambda file: file.key), _POLICIES, _HOLDS, st.randoms())
def test_what_never_may_be(
    files: list[LibraryFile], policy: Policy, holds: list[Hold], random_order: random.Random
) -> None:
    plan = make_plan(NOW, files, policy, holds, SETTLE_SECONDS)

    shuffled = random_order.sample(files, len(files))
    assert make_plan(NOW, shuffled, policy, holds, SETTLE_SECONDS) == plan
    assert [decision.file.key for decision in plan.decisions] == sorted(file.key for file in files)
    assert plan.due == tuple(decision for decision in plan.decisions if decision.verdict == "due")
    ages_days = [tier.after_days for tier in policy.tiers if tier.action.kind != "keep"]
    for decision in plan.decisions:
        alone = decide(NOW, decision.file, policy, holds, SETTLE_SECONDS)
        assert alone == decision, "what becomes of one depends on the others"
        assert decision.reason
        assert 0 <= decision.expected_bytes <= decision.file.size_bytes or decision.file.original_stamp
    for decision in plan.due:
        file, action, tier = decision.file, decision.action, decision.tier
        assert action is not None
        assert tier in policy.tiers
        assert action.kind != "keep"
        assert decision.age_days >= min(ages_days)
        assert decision.age_days >= tier.after_days
        assert tier.matcher.matches(file.key, file.fields)
        assert file.trouble is None
        assert file.standing is not None
        assert not any(hold.matcher.matches(file.key, file.fields) for hold in holds)
        assert str(action) not in file.refusals
        assert file.standing.place == "library" or action.kind == "delete"
        if action.kind == "opus":
            assert file.standing.bitrate_kbps is None or file.standing.bitrate_kbps > action.bitrate_kbps
        if file.original_stamp:
            assert file.original_stamp.modified_ns == LONG_AGO_NS


@given(_files(), _POLICIES, st.floats(0, 1000))
def test_what_is_once_past_its_first_age_stays_past_it(file: LibraryFile, policy: Policy, later_days: float) -> None:
    """A tier may be followed by another, but nothing becomes too young again."""
    first = decide(NOW, file, policy, (), SETTLE_SECONDS)
    later = decide(NOW + timedelta(days=later_days), file, policy, (), SETTLE_SECONDS)
    if first.tier is not None and later.verdict not in {"doubt", "waiting"}:
        assert later.tier is not None
        assert later.tier.after_days >= first.tier.after_days


@given(_files(), _POLICIES)
def test_a_hold_on_everything_leaves_nothing_due(file: LibraryFile, policy: Policy) -> None:
    [decision] = make_plan(NOW, [file], policy, [hold_of(Matcher(("**",)))], SETTLE_SECONDS).decisions
    assert decision.verdict in {"held", "doubt"}
