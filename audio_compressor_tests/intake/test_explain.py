"""A plan in words: everything is counted, the first few are named."""

from dataclasses import replace

from hypothesis import assume, given, settings

from audio_compressor.intake.explain import explain
from audio_compressor.intake.listing import Ignored, Listing
from audio_compressor.intake.plan import History, Outstanding, Plan, Reasoned, Rules, Skip, make_plan
from audio_compressor.intake.settling import Look
from audio_compressor.recording import Fingerprint, Recording
from audio_compressor_tests.intake import strategies

EMPTY = Plan((), (), (), (), (), (), (), {})


def outstanding(directory: str, reason: str, *, is_fresh: bool = True) -> Outstanding:
    return Outstanding(Recording(directory, Fingerprint(1, 1)), reason, is_fresh)


def test_every_kind_has_its_line() -> None:
    plan = Plan(
        outstanding=(
            outstanding("a", "new"),
            outstanding("b", "failed before", is_fresh=False),
            outstanding("c", "new"),
        ),
        skips=(Skip("d", "no_audio", "there is no audio file", None, is_news=False),),
        waiting=(Reasoned("e", "is new; 30 s until settled"),),
        in_flight=(Reasoned("f", "run 01234567 is working on it"),),
        done=("g", "h"),
        ignored=(Ignored("lost+found", "the name does not match"), Ignored("notes.txt", "not a directory")),
        gone=("i",),
        looks={},
    )
    assert explain(plan).splitlines() == [
        "3 outstanding, 2 done.",
        "Outstanding (new): a, c.",
        "Outstanding for the next night (failed before): b.",
        "Waiting for e: is new; 30 s until settled.",
        "In work: f: run 01234567 is working on it.",
        "Skipped d: there is no audio file.",
        "Gone from the source before they were compressed: i.",
        "Not recordings (the name does not match): lost+found.",
        "Not recordings (not a directory): notes.txt.",
    ]


def test_nothing_at_all() -> None:
    assert explain(EMPTY) == "0 outstanding, 0 done."


def test_many_are_counted_and_five_are_named() -> None:
    names = [f"r{number}" for number in range(8)]
    plan = replace(
        EMPTY,
        outstanding=tuple(outstanding(name, "new") for name in names),
        skips=tuple(Skip(name, "no_audio", "no audio", None, is_news=True) for name in names),
        waiting=tuple(Reasoned(name, "is new") for name in names),
        in_flight=tuple(Reasoned(name, "run 1") for name in names),
        gone=tuple(names),
        ignored=tuple(Ignored(name, "not a directory") for name in names),
    )
    lines = explain(plan).splitlines()
    first_five = ", ".join(names[:5])
    assert f"Outstanding (new): {first_five} and 3 more." in lines
    assert f"Gone from the source before they were compressed: {first_five} and 3 more." in lines
    assert f"Not recordings (not a directory): {first_five} and 3 more." in lines
    for kind in ("Waiting for", "In work:", "Skipped"):
        about = [line for line in lines if line.startswith(kind)]
        assert len(about) == 6
        assert about[-1] == f"{kind} 3 more."


@given(strategies.listings, strategies.histories, strategies.rules, strategies.looks)
@settings(deadline=None)
def test_every_directory_of_a_small_plan_is_named_unless_it_is_done(
    listing: Listing, history: History, rules: Rules, looks: dict[str, Look]
) -> None:
    assume(len(listing.directories) <= 5)
    plan = make_plan(listing, history, rules, looks=looks, now_seconds=strategies.NOW_SECONDS)
    text = explain(plan)
    assert text.startswith(f"{len(plan.outstanding)} outstanding, {len(plan.done)} done.")
    items: list[Outstanding | Skip | Reasoned] = [*plan.outstanding, *plan.skips, *plan.waiting, *plan.in_flight]
    assert all(item.directory in text for item in items)
