"""Results of an earlier deployment in a real directory are found; what only looks like one is not."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from audio_compressor.intake.adoption import Adoption, find_adoptable
from audio_compressor.intake.plan import Outstanding
from audio_compressor.recording import Fingerprint, Recording
from audio_compressor.storage.base import StoredFile
from audio_compressor.storage.local import LocalStorage

RECORDED_AT = 1_760_659_200


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "compressed")


def outstanding(directory: str) -> Outstanding:
    return Outstanding(Recording(directory, Fingerprint(1000, RECORDED_AT)), "new", is_fresh=True)


def put(storage: LocalStorage, name: str, size_bytes: int = 10, modified_at_seconds: int = RECORDED_AT + 3600) -> None:
    storage.directory.mkdir(exist_ok=True)
    path = storage.directory / name
    path.write_bytes(b"c" * size_bytes)
    os.utime(path, (modified_at_seconds, modified_at_seconds))


# A few are looked up one by one, many are found by one listing: the answers are the same.
@pytest.mark.parametrize("how_many", [1, 20, 21, 60])
def test_every_second_one_is_there(storage: LocalStorage, how_many: int) -> None:
    candidates = [outstanding(f"r{number:02}") for number in range(how_many)]
    for item in candidates[::2]:
        put(storage, f"{item.directory}_compressed.wav")
    assert find_adoptable(candidates, storage, "wav", results=0) == [
        Adoption(item.recording, f"{item.directory}_compressed.wav", StoredFile(10, RECORDED_AT + 3600))
        for item in candidates[::2]
    ]


def test_candidates_may_come_from_a_generator(storage: LocalStorage) -> None:
    put(storage, "a_compressed.wav")
    (adoption,) = find_adoptable((outstanding(name) for name in ["a", "b"]), storage, "wav", results=0)
    assert adoption.recording.directory == "a"


@pytest.mark.parametrize(("seconds_after", "is_adopted"), [(0, True), (-1, False)])
def test_an_output_older_than_its_source_was_made_from_another(
    storage: LocalStorage, seconds_after: int, is_adopted: bool
) -> None:
    put(storage, "a_compressed.wav", modified_at_seconds=RECORDED_AT + seconds_after)
    assert bool(find_adoptable([outstanding("a")], storage, "wav", results=0)) == is_adopted


@pytest.mark.parametrize("others", [0, 30])
@pytest.mark.parametrize(
    "name",
    [
        "a_compressed.opus",
        "a_meta.xml",
        ".a_compressed.wav.part",
        "b_compressed.wav",
        "a_compressed_20251104_214530.wav",
    ],
)
def test_other_files_are_not_adopted(storage: LocalStorage, name: str, others: int) -> None:
    put(storage, name)
    candidates = [outstanding("a"), *(outstanding(f"r{number}") for number in range(others))]
    assert find_adoptable(candidates, storage, "wav", results=0) == []


def test_an_empty_file_or_a_directory_is_not_adopted(storage: LocalStorage) -> None:
    put(storage, "a_compressed.wav", size_bytes=0)
    (storage.directory / "b_compressed.wav").mkdir()
    assert find_adoptable([outstanding("a"), outstanding("b")], storage, "wav", results=0) == []


@pytest.mark.parametrize("how_many", [0, 1, 60])
def test_a_destination_that_is_not_there_yet_holds_nothing(storage: LocalStorage, how_many: int) -> None:
    candidates = [outstanding(f"r{number}") for number in range(how_many)]
    assert find_adoptable(candidates, storage, "wav", results=0) == []
    assert not storage.directory.exists()


@pytest.mark.parametrize("others", [0, 30])
def test_of_several_versions_none_is_adopted(storage: LocalStorage, others: int) -> None:
    """The source was replaced, and nobody remembers which was made from what is there now."""
    put(storage, "r_compressed.wav")
    put(storage, "s_compressed.wav")
    put(storage, "r_compressed_20251104_214530.wav")
    candidates = [outstanding(name) for name in ("r", "s", *(f"other {number}" for number in range(others)))]
    assert [adoption.name for adoption in find_adoptable(candidates, storage, "wav", results=0)] == ["s_compressed.wav"]


@pytest.mark.parametrize("results", [0, 100_000])
def test_how_many_results_there_are_decides_only_how_they_are_found(storage: LocalStorage, results: int) -> None:
    class Counted(LocalStorage):
        looked_up, listed = 0, 0

        def find(self, name: str) -> StoredFile | None:
            self.looked_up += 1
            return super().find(name)

        def entries(self) -> Mapping[str, StoredFile]:
            self.listed += 1
            return super().entries()

    candidates = [outstanding(f"r{number:02}") for number in range(30)]
    put(storage, "r07_compressed.wav")
    counted = Counted(storage.directory, "timestamp")
    [found] = find_adoptable(candidates, counted, "wav", results=results)
    assert found.recording.directory == "r07"
    assert (counted.looked_up, counted.listed) == ((30, 1) if results else (0, 1))
