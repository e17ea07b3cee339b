"""One real pass over a library of everything odd."""

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from audio_compressor.archive.library import Look
from audio_compressor.archive.outcome import Outcome
from audio_compressor.audio.ffmpeg import find_ffmpeg
from audio_compressor.audio.proof import prove
from audio_compressor.local_files import sha256_of
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.archive.odd_library import NOW, ODD, ends, make_odd_library, one_pass, open_odd_library
from audio_compressor_tests.webm_files import packets_hash

Passed = tuple[Path, Look, dict[str, Outcome], dict[str, str]]


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> Passed:
    """The library after one pass, and the SHA-256 of each file before."""
    root = tmp_path_factory.mktemp("odd") / "library"
    root.mkdir()
    make_odd_library(root)
    before = {odd.path: sha256_of(root / odd.path) for odd in ODD}
    with open_odd_library(root) as library:
        look, outcomes = one_pass(library)
    return root, look, outcomes, before


def test_each_file_ends_as_it_should(passed: Passed) -> None:
    _, look, outcomes, _ = passed
    found = {path: end for path, (end, *_) in ends(look, outcomes).items()}
    assert found == {odd.path: odd.expected for odd in ODD}
    assert all(reason for _, (_, reason, *_) in ends(look, outcomes).items())


def test_what_was_not_archived_is_as_it_was(passed: Passed) -> None:
    root, _, outcomes, before = passed
    for odd in ODD:
        if odd.expected != "success":
            assert sha256_of(root / odd.path) == before[odd.path], odd.path
    assert Counter(outcome.status for outcome in outcomes.values())["success"] >= 10


def test_what_was_archived_is_the_same_sound_and_its_original_is_in_the_trash(passed: Passed) -> None:
    root, _, outcomes, before = passed
    trash = {sha256_of(path): path for path in (root / ".audio-compressor/trash").glob("*/*.webm")}
    for key, outcome in outcomes.items():
        if outcome.status == "success":
            copy = (root / key).with_suffix(".opus")
            assert not (root / key).exists()
            assert outcome.record
            assert outcome.record.copy
            assert outcome.record.copy.sha256 == sha256_of(copy)
            prove(trash[before[key]], copy, ffmpeg=find_ffmpeg(), children=ChildProcesses())
            assert copy.stat().st_size < outcome.before_bytes
            assert copy.stat().st_mtime == pytest.approx((NOW - timedelta(days=3)).timestamp())


def test_what_was_small_enough_was_not_encoded_again(passed: Passed) -> None:
    root, _, _, before = passed
    [original] = [
        path
        for path in (root / ".audio-compressor/trash").glob("*/low.webm")
        if sha256_of(path) == before["2026-03-14/low.webm"]
    ]
    assert packets_hash(root / "2026-03-14/low.opus") == packets_hash(original)


def test_the_index_and_the_documents_follow(passed: Passed) -> None:
    root, _, outcomes, _ = passed
    index = {entry["file"]: entry for entry in json.loads((root / "index.json").read_text())["recordings"]}
    for key, outcome in outcomes.items():
        if outcome.status == "success":
            copy = key.replace(".webm", ".opus")
            assert index[copy]["size"] == (root / copy).stat().st_size == outcome.after_bytes
        else:
            assert key in index
    document = json.loads((root / "2026-03-14/documented.json").read_text())
    assert document["chunks"][0]["file"] == "documented.opus"
    assert document["title"] == "Monday"


def test_the_next_night_does_nothing_of_it_again(passed: Passed) -> None:
    root, _, _, _ = passed
    with open_odd_library(root) as library:
        look = library.look(NOW + timedelta(hours=1))
        assert [decision.file.key for decision in look.plan.due] == ["2026-03-14/written.webm"]
