"""Orphans are told of when two looks, at least an hour apart, have found them; and every look between."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from audio_compressor.archive.orphans import LEAST_BETWEEN_LOOKS, Judged, Orphan, judge

NOW = datetime(2026, 3, 1, 5, 0, tzinfo=UTC)
LOST = Orphan("library", "record without a file", "2026/01/talk.webm")
STRANGE = Orphan("library", "file without a record", "2026/01/song.opus")
RESULT = Orphan("results", "file without a record", "10-17-25_compressed.wav")
EVERYTHING = ("library", "results")
HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)


def test_nothing_is_said_of_a_first_look() -> None:
    judged = judge(NOW, [LOST, STRANGE], {}, EVERYTHING)
    assert judged.confirmed == ()
    assert judged.suspects == {LOST: NOW, STRANGE: NOW}


def test_a_second_look_an_hour_later_tells() -> None:
    first = judge(NOW, [STRANGE, LOST], {}, EVERYTHING)
    too_soon = judge(NOW + HOUR - MINUTE, [STRANGE, LOST], first.suspects, EVERYTHING)
    assert too_soon.confirmed == ()
    later = judge(NOW + HOUR, [LOST, STRANGE], too_soon.suspects, EVERYTHING)
    assert later.confirmed == (STRANGE, LOST)
    assert later.suspects == {LOST: NOW, STRANGE: NOW}


def test_what_has_found_its_other_half_meanwhile_begins_anew() -> None:
    first = judge(NOW, [LOST], {}, EVERYTHING)
    healed = judge(NOW + DAY, [], first.suspects, EVERYTHING)
    assert healed == Judged((), {})
    assert judge(NOW + 2 * DAY, [LOST], healed.suspects, EVERYTHING).confirmed == ()


def test_a_collection_that_was_not_looked_at_is_neither_told_of_nor_forgotten() -> None:
    first = judge(NOW, [LOST, RESULT], {}, EVERYTHING)
    second = judge(NOW + DAY, [LOST], first.suspects, ["library"])
    assert second.confirmed == (LOST,)
    assert judge(NOW + DAY + MINUTE, [LOST, RESULT], second.suspects, EVERYTHING).confirmed == (LOST, RESULT)


def test_what_was_found_there_before_it_failed_does_not_count() -> None:
    """One of two storages was listed, and then the other failed."""
    judged = judge(NOW + DAY, [RESULT], {RESULT: NOW}, ["library"])
    assert judged == Judged((), {RESULT: NOW})


def test_a_clock_that_was_set_back_does_not_make_it_never() -> None:
    judged = judge(NOW, [LOST], {LOST: NOW + 400 * DAY}, EVERYTHING)
    assert judge(NOW + HOUR, [LOST], judged.suspects, EVERYTHING).confirmed == (LOST,)


@given(st.lists(st.tuples(st.integers(1, 100), st.sets(st.sampled_from([LOST, STRANGE, RESULT]))), max_size=30))
def test_whatever_is_told_was_found_by_every_look_of_an_hour(looks: list[tuple[int, set[Orphan]]]) -> None:
    now, before = NOW, dict[Orphan, datetime]()
    history: list[tuple[datetime, set[Orphan]]] = []
    for minutes, found in looks:
        now += timedelta(minutes=minutes)
        history.append((now, found))
        judged = judge(now, found, before, EVERYTHING)
        before = dict(judged.suspects)
        for orphan in (LOST, STRANGE, RESULT):
            since = now + DAY
            for at, seen in reversed(history):
                if orphan not in seen:
                    break
                since = at
            assert (orphan in judged.confirmed) == (now - since >= LEAST_BETWEEN_LOOKS)
