"""Holds on disk: none is lost, and a file of them that is not beyond doubt stops everything."""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audio_compressor.archive.holds import place_hold, read_holds, release_hold
from audio_compressor.archive.layout import STATE_NAME, Layout
from audio_compressor.archive.matching import Matcher
from audio_compressor.errors import AudioCompressorError, ConfigurationError, LibraryError
from audio_compressor_tests.archive.library_files import NOW, original

_HOLD: dict[str, Any] = {
    "id": "0a1b2c3d",
    "path": ["2026/**"],
    "language": [],
    "metadata": {},
    "reason": "court order",
    "placed_at": NOW.isoformat(),
}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    layout.prepare()
    return layout


def test_where_nothing_was_ever_held(tmp_path: Path) -> None:
    assert read_holds(Layout(tmp_path)) == ()
    assert list(tmp_path.iterdir()) == [], "looking has made something"


def test_placing_and_releasing(layout: Layout) -> None:
    first = place_hold(layout, Matcher(("2026",)), "court order")
    second = place_hold(layout, Matcher(languages=("de",), metadata={"a.b": (1, True, None, "x")}), "")
    assert read_holds(layout) == (first, second)
    assert (str(first), str(second)) == (f"hold {first.id} (court order)", f"hold {second.id}")
    assert [hold.covers(original()) for hold in read_holds(layout)] == [True, False]

    assert release_hold(layout, first.id) == first
    assert read_holds(layout) == (second,)
    assert release_hold(layout, first.id) is None
    assert release_hold(layout, "") is None
    assert read_holds(layout) == (second,)
    assert release_hold(layout, second.id) == second
    assert read_holds(layout) == ()
    assert list(layout.locks.iterdir()) == []


_TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), max_size=2).map(tuple)
_PATHS = st.lists(st.sampled_from(["a", "**", "ä*", "x/y.webm", "./z", " "]), max_size=2).map(tuple)
_VALUES = st.lists(st.none() | st.booleans() | st.integers() | st.text(max_size=5), min_size=1, max_size=2).map(tuple)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.builds(Matcher, _PATHS, _TEXTS, st.dictionaries(st.text(max_size=5), _VALUES, max_size=2)).filter(
        lambda matcher: not matcher.is_general
    ),
    st.text(max_size=9),
)
def test_whatever_is_held_is_read_again_as_it_was(layout: Layout, matcher: Matcher, reason: str) -> None:
    hold = place_hold(layout, matcher, reason)
    assert read_holds(layout)[-1] == hold
    assert hold.matcher == matcher
    release_hold(layout, hold.id)


@pytest.mark.parametrize(
    ("matcher", "problem"),
    [
        (Matcher(), "a hold needs a path, a language or a field; to hold everything, give the path **"),
        (Matcher(("/srv/library/a",)), "the path '/srv/library/a': it begins with a slash"),
        (Matcher(("a", "../b")), "the path '../b': it leads out of LIBRARY_DIR"),
        (Matcher((".",)), "the path '.': one of its directories is empty or '.'; for all of LIBRARY_DIR, give **"),
        (Matcher(("",)), "the path '': it is empty"),
        (Matcher(metadata={"speaker": ()}), "the field 'speaker' has no value that it may have"),
    ],
)
def test_a_hold_that_would_hold_nothing_is_refused(layout: Layout, matcher: Matcher, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        place_hold(layout, matcher, "")
    assert problem in caught.value.problems[0]
    assert read_holds(layout) == ()


@pytest.mark.parametrize(
    "content",
    [
        *("", "{}", "null", '""', "5", "not JSON", "[null]", "[5]", '["x"]', "[{}]", "[" * 100_000, b"\xff"),
        *([{**_HOLD, "path": "talk"}], [{**_HOLD, "language": "de"}], [{**_HOLD, "path": [5]}]),
        *([{**_HOLD, "metadata": {"speaker": "Anna"}}], [{**_HOLD, "metadata": {"speaker": []}}]),
        *([{**_HOLD, "metadata": ["speaker"]}], [{**_HOLD, "path": []}], [{**_HOLD, "path": ["/srv"]}]),
        *([{**_HOLD, "id": 5}], [{**_HOLD, "reason": None}], [{**_HOLD, "placed_at": "now"}]),
        *([{**_HOLD, "path": ["."]}], [_HOLD, {**_HOLD, "placed_at": 5}]),
        *([{name: value for name, value in _HOLD.items() if name != left_out}] for left_out in _HOLD),
    ],
)
def test_a_file_of_holds_in_doubt_stops_everything(layout: Layout, content: Any) -> None:
    layout.holds.write_text(json.dumps([_HOLD]))
    assert len(read_holds(layout)) == 1
    if isinstance(content, list):
        content = json.dumps(content)
    before = content if isinstance(content, bytes) else content.encode()
    layout.holds.write_bytes(before)
    for touch in (
        read_holds,
        lambda layout: place_hold(layout, Matcher(("a",)), ""),
        lambda layout: release_hold(layout, "x"),
    ):
        with pytest.raises(LibraryError, match=r"holds\.json holds no list of holds .* nothing is archived without it"):
            touch(layout)
    assert layout.holds.read_bytes() == before


def test_a_file_of_holds_that_cannot_be_read(layout: Layout) -> None:
    layout.holds.mkdir()
    with pytest.raises(AudioCompressorError, match=f"{STATE_NAME}/holds.json"):
        read_holds(layout)


_PLACE_TWENTY = """
import sys
from pathlib import Path
from audio_compressor.archive.holds import place_hold
from audio_compressor.archive.layout import Layout
from audio_compressor.archive.matching import Matcher
print("ready", flush=True)
sys.stdin.read()
for number in range(20):
    place_hold(Layout(Path(sys.argv[1])), Matcher((f"{sys.argv[2]}-{number}",)), "")
"""


def test_people_who_place_holds_at_the_same_time_lose_none(layout: Layout) -> None:
    who = ("anna", "bob")
    argv = [[sys.executable, "-c", _PLACE_TWENTY, str(layout.root), name] for name in who]
    with ExitStack() as stack:
        people = [
            stack.enter_context(subprocess.Popen(each, stdin=subprocess.PIPE, stdout=subprocess.PIPE)) for each in argv
        ]
        for person in people:
            assert person.stdout is not None
            assert person.stdout.readline() == b"ready\n"
        for person in people:
            assert person.stdin is not None
            person.stdin.close()
        assert [person.wait() for person in people] == [0, 0]
    held = [hold.matcher.paths[0] for hold in read_holds(layout)]
    assert sorted(held) == sorted(f"{name}-{number}" for name in who for number in range(20))
    assert len({hold.id for hold in read_holds(layout)}) == 40
