"""Is there room? The rule, and real disks."""

import logging
from pathlib import Path

import pytest

from audio_compressor.errors import OutOfSpaceError, StorageError
from audio_compressor.space import LEAST_FREE_BYTES, check_space, judge_space, look_at_space
from audio_compressor.storage.local import LocalStorage
from audio_compressor_tests.fixtures.directories import names_in

MB = 1_000_000


@pytest.mark.parametrize(
    ("free_mb", "needed_mb", "enough", "low"),
    [
        pytest.param(5000, 100, True, False, id="plenty"),
        pytest.param(1100, 100, True, False, id="the threshold stays free"),
        pytest.param(1099, 100, True, True, id="less than the threshold is left"),
        pytest.param(500, 100, True, True, id="low before"),
        pytest.param(10, 1, True, True, id="the least"),
        pytest.param(9.999, 0, False, True, id="less than the least"),
        pytest.param(99, 100, False, True, id="less than the need"),
        pytest.param(2000, 2001, False, True, id="less than a large need"),
    ],
)
def test_the_rule(free_mb: float, needed_mb: float, enough: bool, low: bool) -> None:
    space = judge_space(int(free_mb * MB), int(needed_mb * MB), 1000 * MB)
    assert (space.is_enough, space.is_low) == (enough, low)
    assert " MB free" in space.sentence


def test_what_is_too_little_says_how_much_there_is_and_how_much_is_needed() -> None:
    assert judge_space(1_234_000, 2_345_000, 0).sentence == "1.234 MB free, and 2.345 MB are needed"
    assert judge_space(9_999_999, 0, 0).sentence == "10.000 MB free, and nothing is begun with less than 10 MB"
    assert judge_space(9_999_999, 1, 0, least_bytes=0).is_enough


def test_a_file_system_that_does_not_tell_stops_nothing() -> None:
    assert judge_space(None, 10**15, 10**9).is_enough


def test_a_path_that_is_not_there_yet_is_judged_where_it_would_be(small_disk: Path, tmp_path: Path) -> None:
    inside, outside = look_at_space(small_disk / "a" / "b" / "c.wav"), look_at_space(tmp_path / "a" / "b" / "c.wav")
    assert inside.free_bytes is not None
    assert outside.free_bytes is not None
    assert inside.free_bytes <= 1_048_576 < LEAST_FREE_BYTES < outside.free_bytes


def test_too_little_is_an_error_that_names_the_file(small_disk: Path) -> None:
    with pytest.raises(OutOfSpaceError, match=f"No space left for {small_disk}/a.wav: .* MB free, and nothing is"):
        check_space(small_disk / "a.wav", 1, 0)
    with pytest.raises(OutOfSpaceError, match=r"2\.000 MB are needed"):
        check_space(small_disk / "a.wav", 2 * MB, 0)


def test_low_space_is_logged_once_and_returned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert not check_space(tmp_path / "a.wav", 0, 0).is_low
        assert caplog.records == []
        assert check_space(tmp_path / "a.wav", 0, 10**18).is_low
    [record] = caplog.records
    assert "Space is getting low" in record.getMessage()
    assert str(tmp_path) in record.getMessage()


def test_a_disk_that_cannot_be_asked(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        look_at_space(tmp_path / ("x" * 300))


def test_publishing_begins_nothing_that_does_not_fit(small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 3 * MB)
    with pytest.raises(OutOfSpaceError, match=r"3\.000 MB are needed"):
        LocalStorage(small_disk).publish(tmp_path / "large", "large.wav", "0" * 64)
    assert names_in(small_disk) == []
