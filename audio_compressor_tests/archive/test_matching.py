"""Which recordings a pattern, a language or a field is about."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_compressor.archive.matching import EVERYTHING, Matcher, why_no_pattern
from audio_compressor_tests.hostile_names import any_name


def matches(pattern: str, path: str) -> bool:
    return Matcher((pattern,)).matches(path, {})


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        *(("2026/03/talk.webm", "2026/03/talk.webm"), ("./2026/03/talk.webm", "2026/03/talk.webm")),
        *(("talk.webm", "talk.webm"), ("talk.webm", "2026/03/talk.webm"), ("./talk.webm", "talk.webm")),
        *(("*.webm", "a.webm"), ("*.webm", "2026/03/a.webm"), ("./*.webm", "a.webm"), ("**", "a/b.webm")),
        *(("2026/*", "2026/a.webm"), ("2026/*", "2026/03/a.webm"), ("2026/*/a.webm", "2026/03/a.webm")),
        *(("2026", "2026/03/a.webm"), ("2026/", "2026/03/a.webm"), ("2026/03", "2026/03/a.webm")),
        *(("03", "2026/03/a.webm"), ("./2026", "2026/a.webm"), ("./2026/", "2026/a.webm")),
        *(("2026/**", "2026/a.webm"), ("2026/**", "2026/03/a.webm"), ("2026/**/a.webm", "2026/a.webm")),
        *(("2026/**/a.webm", "2026/03/14/a.webm"), ("**/a.webm", "a.webm"), ("**/a.webm", "x/y/a.webm")),
        *(("**/03/**", "2026/03/a.webm"), ("**/*.webm", "a.webm"), ("2026/**.webm", "2026/03/a.webm")),
        *(("**/**/**/a", "a"), ("**/**/a", "x/y/a"), ("a/***/b", "a/x/y/b"), ("a/****b", "a/x/y/b")),
        *(("take-?.webm", "take-1.webm"), ("*", "x/y.webm"), ("a*b*c.webm", "a--b--c.webm"), ("a*.webm", "a.webm")),
        *(("a.*", "a.webm"), ("[a].webm", "[a].webm"), ("a+(b).webm", "a+(b).webm"), ("^a$|b.webm", "^a$|b.webm")),
        *(("a{1,2}.webm", "a{1,2}.webm"), ("\\d.webm", "\\d.webm"), ("a b.webm", "a b.webm"), ("#1.webm", "#1.webm")),
        *(("Gespr\u00e4ch.webm", "Gespra\u0308ch.webm"), ("Gespra\u0308ch.webm", "Gespr\u00e4ch.webm")),
        *(("a?.webm", "aa\u0308.webm"), ("日/*.webm", "日/本.webm")),
    ],
)
def test_a_path_that_matches(pattern: str, path: str) -> None:
    assert matches(pattern, path)
    assert why_no_pattern(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        *(("./talk.webm", "2026/talk.webm"), ("./*.webm", "2026/a.webm"), ("./2026", "x/2026/a.webm")),
        *(("2026/*.webm", "2026/03/a.webm"), ("2026/?.webm", "2026/ab.webm"), ("2026?a.webm", "2026/a.webm")),
        *(("2026/**/a.webm", "2026/xa.webm"), ("**/a.webm", "xa.webm"), ("2026", "2026-03/a.webm")),
        *(("03/a.webm", "2026/03/a.webm"), ("talk", "talk.webm"), ("talk.webm", "talk.webm.webm")),
        *(("a.webm", "axwebm"), ("A.webm", "a.webm"), ("[ab].webm", "a.webm"), ("a+.webm", "aa.webm")),
        *(("a|b", "a"), (".", "a"), (".*", "a"), ("2026/03", "2026/0"), ("2026/03", "2026/031/a.webm")),
        *(("talk.webm", "xtalk.webm"), ("2026/**", "2026"), ("take-?.webm", "take-.webm"), ("a*b/c", "a/b/c")),
    ],
)
def test_a_path_that_does_not_match(pattern: str, path: str) -> None:
    assert not matches(pattern, path)


@pytest.mark.parametrize(
    "pattern",
    ["", "/", "//", "/a", "/srv/library/**", "..", "../a", "a/../b", "a/..", ".", "./", "a//b", "a/./b", "././a"],
)
def test_what_matches_nothing_is_known(pattern: str) -> None:
    assert why_no_pattern(pattern)


_LITERAL_NAME = any_name.map(lambda name: name.replace("/", "").replace("*", "").replace("?", "")).filter(
    lambda name: name not in {"", ".", ".."}
)


@given(st.lists(_LITERAL_NAME, min_size=1, max_size=3), _LITERAL_NAME)
def test_a_path_without_wildcards_matches_itself_and_what_is_below_it(names: list[str], other: str) -> None:
    path = "/".join(names)
    assert why_no_pattern(path) is None
    assert matches(path, path)
    assert matches(path, f"{path}/{other}")
    assert matches(f"./{path}", path)
    assert matches(names[-1], path)
    assert not matches(f"./{path}", f"{path}{other}")


@given(st.lists(_LITERAL_NAME, min_size=1, max_size=3))
def test_stars_match_any_names_as_many_as_there_are(names: list[str]) -> None:
    path = "/".join(names)
    assert matches("/".join("*" for _ in names), path)
    assert matches("./" + "/".join("*" for _ in names), path)
    assert not matches("./" + "/".join("*" for _ in [*names, ""]), path)
    assert matches("**", path)
    assert matches(f"**/{names[-1]}", path)


@given(st.text("ab/*?.", max_size=8), st.text("ab/.", min_size=1, max_size=8))
def test_any_pattern_can_be_asked(pattern: str, path: str) -> None:
    assert matches(pattern, path) in {True, False}


@pytest.mark.parametrize(
    ("language", "is_meant"),
    [("de", True), ("DE", True), ("De", True), ("en", False), ("de-AT", False), ("", False), (None, False)],
)
def test_languages(language: str | None, is_meant: bool) -> None:
    assert Matcher(languages=("DE", "fr")).matches("a.webm", {"language": language}) is is_meant


@pytest.mark.parametrize("fields", [{}, {"language": None}, {"language": ["none"]}, {"language": {}}])
def test_what_is_no_language_is_not_taken_for_one(fields: dict[str, Any]) -> None:
    assert not Matcher(languages=("None", "[]", "{}", "['none']", "")).matches("a.webm", fields)


FIELDS: dict[str, Any] = {
    "speaker": "Anna",
    "session": {"room": "Aula", "seats": 120, "open": True, "deep": {"er": 1.5}},
    "a.b": "dotted",
    "a": {"b": "nested"},
    "nothing": None,
    "list": ["x", "y"],
}


@pytest.mark.parametrize(
    ("name", "values", "is_meant"),
    [
        ("speaker", ("Anna",), True),
        ("speaker", ("Bob", "Anna"), True),
        ("speaker", ("anna",), False),
        ("speaker.name", ("Anna",), False),
        ("session.room", ("Aula",), True),
        ("session.seats", (120,), True),
        ("session.seats", ("120",), False),
        ("session.open", (True,), True),
        ("session.open", (1,), False),
        ("session.deep.er", (1.5,), True),
        ("session.deep.other", (1.5,), False),
        ("session", ("Aula",), False),
        ("a.b", ("dotted",), True),
        ("a.b", ("nested",), False),
        ("nothing", (None,), True),
        ("missing", (None,), True),
        ("missing", ("",), False),
        ("list", (["x", "y"],), True),
        ("list", ("x",), False),
        ("", ("x",), False),
        ("session.", ("Aula",), False),
    ],
)
def test_fields(name: str, values: tuple[object, ...], is_meant: bool) -> None:
    assert Matcher(metadata={name: values}).matches("a.webm", FIELDS) is is_meant


def test_all_parts_have_to_match_and_one_of_several_is_enough_within_a_part() -> None:
    matcher = Matcher(("2025", "2026"), ("de", "en"), {"speaker": ("Anna", "Bob"), "room": (1, 2)})
    fields = {"language": "en", "speaker": "Bob", "room": 2}
    assert matcher.matches("2026/a.webm", fields)
    assert not matcher.matches("2027/a.webm", fields)
    for changed in ({"language": "fr"}, {"speaker": "Eve"}, {"room": 3}):
        assert not matcher.matches("2026/a.webm", fields | changed)


def test_one_without_parts_matches_everything() -> None:
    assert EVERYTHING.is_general
    assert EVERYTHING.matches("", {})
    assert EVERYTHING.matches("a/b.webm", FIELDS)
    assert str(EVERYTHING) == "everything"


def test_how_it_reads() -> None:
    matcher = Matcher(("a", "b"), ("de",), {"speaker": ("Anna", 3)})
    assert not matcher.is_general
    assert str(matcher) == "path a or b, language de, speaker Anna or 3"


def test_a_pattern_of_many_stars_is_answered_at_once() -> None:
    """It would take longer than the test may if what is between the stars were tried in every way."""
    assert not matches("**/" * 40 + "x.webm", "a/" * 100 + "y.webm")
    assert not matches("*" * 100 + "/x.webm", "a/" * 200)


def test_what_is_held_by_one_of_several_values() -> None:
    """Where a tier has to be sure, a hold is better safe."""
    fields = {"language": ["de ", "EN"], "tags": ["a", "b"]}
    for matcher in (Matcher(languages=("en",)), Matcher(languages=("de",)), Matcher(metadata={"tags": ("b",)})):
        assert matcher.matches("talk.webm", fields, loosely=True)
        assert not matcher.matches("talk.webm", fields)
    assert not Matcher(languages=("fr",)).matches("talk.webm", fields, loosely=True)
