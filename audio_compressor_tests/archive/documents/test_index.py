"""The master index keeps naming the files that are there, with their sizes, whatever its shape."""

import copy
import json
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audio_compressor.archive.documents.changes import CopyChange
from audio_compressor.archive.documents.index import IndexEditor
from audio_compressor_tests.archive.documents.strategies import AT, fields

CHANGE = CopyChange("a/talk.webm", "a/talk.opus", 1000, 700, AT)
FACTS = {"compressed": True, "original_size": 1000, "compressed_size": 700}
LIBRARY = ["a/talk.webm", "a/other.webm", "b/b.webm"]


def applied(root: Any, *changes: CopyChange, library: list[str] = LIBRARY) -> Any:
    editor = IndexEditor(copy.deepcopy(root), library)
    for change in changes:
        assert editor.apply(change)
        before = copy.deepcopy(editor.root)
        assert not editor.apply(change)
        assert editor.root == before
    return editor.root


@pytest.mark.parametrize("name", ["a/talk", "./a/talk", "recordings/a/talk", "talk", "./talk"])
@pytest.mark.parametrize("place", ["list", "items", "values", "deep"])
def test_an_entry_is_found_wherever_it_is(name: str, place: str) -> None:
    def root(file: str, extra: dict[str, Any]) -> Any:
        entry = {"id": 3, "file": file, **extra}
        shapes: dict[str, Any] = {
            "list": [{"file": "a/other.webm", "size": 5}, entry],
            "items": {"version": 1, "recordings": [entry]},
            "values": {"3": entry},
            "deep": {"days": [{"of": {"march": [[entry]]}}]},
        }
        return shapes[place]

    assert applied(root(f"{name}.webm", {"size": 1000}), CHANGE) == root(f"{name}.opus", {"size": 700, **FACTS})
    assert applied(root(f"{name}.webm", {}), CHANGE) == root(f"{name}.opus", {})


def test_all_entries_and_all_names_in_them_change_but_titles() -> None:
    first = {"title": "talk.webm", "name": "talk.webm", "path": "a/talk.webm", "size_bytes": 1000, "file_size": 1000}
    changed = applied({"new": [first], "german": [{"file": "a/talk.webm"}]}, CHANGE)
    assert changed["new"][0] == {
        "title": "talk.webm",
        "name": "talk.opus",
        "path": "a/talk.opus",
        "size_bytes": 700,
        "file_size": 700,
        **FACTS,
    }
    assert changed["german"] == [{"file": "a/talk.opus"}]


def test_a_bare_name_beside_a_whole_path_is_another_file() -> None:
    root = [{"file": "a/talk.webm"}, {"file": "talk.webm"}]
    assert applied(root, CHANGE) == [{"file": "a/talk.opus"}, {"file": "talk.webm"}]


@pytest.mark.parametrize("other", ["b/talk.webm", "b/talk.opus", "talk.webm"])
def test_what_is_ambiguous_is_left_and_said(other: str) -> None:
    """Also once the other one is archived: the entry may have been its."""
    root = [{"file": "talk.webm", "size": 1000}]
    editor = IndexEditor(copy.deepcopy(root), [*LIBRARY, other])
    assert not editor.apply(CHANGE)
    assert editor.root == root
    assert not editor.apply(CHANGE)
    (remark,) = editor.remarks
    assert remark.startswith("The index names 'talk.webm' without its directory, and others have that name")


def test_a_bare_name_of_a_file_in_the_root() -> None:
    change = CopyChange("talk.webm", "talk.opus", 1000, 700, AT)
    library = ["talk.webm", "b/talk.webm"]
    told_apart = [{"file": "talk.webm"}, {"file": "recordings/b/talk.webm"}]
    assert applied(told_apart, change, library=library)[0] == {"file": "talk.opus"}
    editor = IndexEditor([{"file": "talk.webm"}], library)
    assert (editor.apply(change), len(editor.remarks)) == (False, 1)


def test_what_the_index_does_not_name_is_no_change() -> None:
    root = {"files": ["a/talk.webm"], "talk": {"file": "/a/talk.webm", "text": "talk.webm", "x": "../a/talk.webm"}}
    editor = IndexEditor(copy.deepcopy(root), LIBRARY)
    assert (editor.apply(CHANGE), editor.root, editor.remarks) == (False, root, [])


def test_totals_that_were_sums_stay_sums() -> None:
    root = {
        "total_size": 1600,
        "total_bytes": 99,
        "count": 3,
        "recordings": [
            {"file": "a/session.webm", "size": 1100, "chunks": [{"file": "a/talk.webm", "size": 1000}, {"size": 100}]},
            {"file": "a/other.webm", "size": 500},
        ],
        "favourites": [{"file": "a/talk.webm", "size": 1000}, {"file": "a/x.webm", "size": 600}],
    }
    changed = applied(root, CHANGE)
    assert changed["recordings"][0]["chunks"][0]["size"] == 700
    assert changed["recordings"][0]["size"] == 800
    assert (changed["total_size"], changed["total_bytes"], changed["count"]) == (1300, 99, 3)
    other = CopyChange("a/other.webm", "a/other.opus", 500, 100, AT)
    assert applied(root, CHANGE, other)["total_size"] == 900


def test_an_entry_around_a_chunk_of_the_same_file_changes_once() -> None:
    entry = {"file": "a/talk.webm", "size": 1000, "chunks": [{"file": "a/talk.webm", "size": 1000}]}
    changed = applied({"total_size": 1500, "x": {"1": entry, "2": {"size": 500}}}, CHANGE)
    assert changed["total_size"] == 1200
    assert (changed["x"]["1"]["size"], changed["x"]["1"]["chunks"][0]["size"]) == (700, 700)


def test_sizes_that_are_no_bytes_are_left() -> None:
    root = [{"file": "a/talk.webm", "size": "1 kB", "file_size": 0.001, "size_bytes": True}]
    assert applied(root, CHANGE) == [{**root[0], "file": "a/talk.opus"}]


def test_a_copy_of_a_copy_keeps_the_first_original() -> None:
    second = CopyChange("a/talk.opus", "a/talk.opus", 700, 400, AT)
    root = {"total_size": 1000, "list": [{"file": "a/talk.webm", "size": 1000}]}
    changed = applied(root, CHANGE, second)
    assert changed["list"] == [{"file": "a/talk.opus", "size": 400, **FACTS, "compressed_size": 400}]
    assert changed["total_size"] == 400
    assert IndexEditor(changed, LIBRARY).revert(CHANGE)
    assert changed == root


def test_cold_storage_is_no_change() -> None:
    root = [{"file": "a/talk.opus", "size": 700, **FACTS}]
    cold = CopyChange("a/talk.opus", "a/talk.opus", 700, 700, AT, {"location": "s3"})
    editor = IndexEditor(copy.deepcopy(root), LIBRARY)
    assert not editor.apply(cold)
    assert not editor.revert(cold)
    assert editor.root == root


entries = st.builds(
    lambda extra, name: {"file": name, **extra},
    # What already tells of a copy is taken for an earlier one of ours.
    fields.filter(lambda extra: extra.get("compressed") is not True),
    st.sampled_from(["a/talk.webm", "talk.webm", "a/other.webm", "recordings/a/talk.webm", "b.webm"]),
)
indexes = st.lists(entries, max_size=4) | st.fixed_dictionaries(
    {"recordings": st.lists(entries, max_size=3), "x": st.dictionaries(st.sampled_from("abc"), entries)},
    optional={"total_size": st.sampled_from([0, 1, 2, 1000, 1001, 2000]), "size": st.just(1000)},
)


@given(indexes, st.sampled_from([1000, 999]))
@settings(max_examples=100, deadline=None)
@example([{"id": "x", "archive": "talk.webm", "deleted": "talk.webm"}], 1000)
def test_every_change_can_be_taken_back(root: Any, original_bytes: int) -> None:
    change = CopyChange("a/talk.webm", "a/talk.opus", original_bytes, 700, AT)
    before = json.dumps(root)
    editor = IndexEditor(copy.deepcopy(root), LIBRARY)
    was_changed = editor.apply(change)
    assert was_changed == (json.dumps(editor.root) != before)
    archived = json.dumps(editor.root)
    marked = editor.mark_deleted("a/talk.opus", AT)
    assert marked == (json.dumps(editor.root) != archived)
    editor = IndexEditor(json.loads(json.dumps(editor.root)), LIBRARY)
    assert editor.unmark_deleted("a/talk.opus") == marked
    assert json.dumps(editor.root) == archived
    assert editor.revert(change) == was_changed
    assert json.loads(json.dumps(editor.root)) == json.loads(before)


@pytest.mark.parametrize("shared_name", [False, True])
def test_a_large_index_is_changed_throughout(shared_name: bool) -> None:
    """Where one of its entries is looked for, the others do not matter; even if all files have the same name."""
    names = [f"{n:05}/audio.webm" if shared_name else f"2026/{n:05}.webm" for n in range(10_000)]
    recordings = [{"file": name, "name": name.rpartition("/")[2], "size": 1000, "language": "de"} for name in names]
    root = {"total_size": 10_000_000, "recordings": recordings}
    started = time.process_time()
    editor = IndexEditor(root, names)
    for name in names:
        assert editor.apply(CopyChange(name, name.replace(".webm", ".opus"), 1000, 700, AT))
    assert time.process_time() - started < 8  # seconds; it takes about 0.4
    assert root["total_size"] == 10_000 * 700
    assert recordings[-1]["name"] == names[-1].rpartition("/")[2].replace(".webm", ".opus")
