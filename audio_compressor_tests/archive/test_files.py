"""Files are known again, moved over nothing, and read back from what lies there itself."""

import hashlib
import os
from pathlib import Path

import pytest

from audio_compressor.archive.files import is_whole, move, read_back, remove, stamp_of
from audio_compressor.errors import StorageError


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "talk.webm"
    path.write_bytes(b"sound")
    return path


@pytest.mark.parametrize("directory", ["", "trash/1"])
def test_moving(source: Path, tmp_path: Path, directory: str) -> None:
    destination = tmp_path / directory / "moved.webm"
    destination.parent.mkdir(parents=True, exist_ok=True)
    stamp = stamp_of(source)
    move(source, destination)
    assert destination.read_bytes() == b"sound"
    assert stamp_of(destination) == stamp is not None
    assert not source.exists()


def _file(path: Path) -> None:
    path.write_bytes(b"somebody's")


def _same(path: Path) -> None:
    path.write_bytes(b"sound")


def _second_name(path: Path) -> None:
    path.hardlink_to(path.with_name("talk.webm"))


def _broken_link(path: Path) -> None:
    path.symlink_to("nowhere")


def _link(path: Path) -> None:
    path.symlink_to("talk.webm")


def _directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("occupy", [_file, _same, _second_name, _broken_link, _link, _directory])
def test_moving_overwrites_nothing(source: Path, tmp_path: Path, occupy: object) -> None:
    assert callable(occupy)
    destination = tmp_path / "taken.webm"
    occupy(destination)
    before = destination.lstat()
    with pytest.raises(StorageError, match=r"taken\.webm is there already, and nothing is overwritten"):
        move(source, destination)
    assert source.read_bytes() == b"sound"
    after = destination.lstat()
    assert (after.st_ino, after.st_mode, after.st_size) == (before.st_ino, before.st_mode, before.st_size)


def test_moving_what_is_not_there_or_to_nowhere(source: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file or directory"):
        move(tmp_path / "missing", tmp_path / "moved")
    with pytest.raises(StorageError, match="No such file or directory"):
        move(source, tmp_path / "missing" / "moved")
    assert os.listdir(tmp_path) == ["talk.webm"]  # noqa: PTH208


def test_moving_a_link_moves_the_link(source: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("talk.webm")
    move(link, tmp_path / "moved")
    assert (tmp_path / "moved").is_symlink()
    assert source.read_bytes() == b"sound"


def test_reading_back(source: Path) -> None:
    assert read_back(source) == sha256(b"sound")
    source.write_bytes(data := os.urandom(3_000_000))
    assert read_back(source) == sha256(data)
    source.write_bytes(b"")
    assert read_back(source) == sha256(b"")


def test_a_link_is_not_read_back(source: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(source)
    with pytest.raises(StorageError, match="link: Too many levels of symbolic links"):
        read_back(link)
    assert stamp_of(link) is None
    assert not is_whole(link, 5, sha256(b"sound"))


@pytest.mark.parametrize("kind", ["missing", "directory"])
def test_what_is_no_file_is_not_read_back(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "directory":
        path.mkdir()
    with pytest.raises(StorageError, match=kind):
        read_back(path)
    assert stamp_of(path) is None
    assert not is_whole(path, 0, sha256(b""))


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert stamp_of(tmp_path / "pipe") is None
    assert not is_whole(tmp_path / "pipe", 0, sha256(b""))
    assert stamp_of(tmp_path / "pipe" / "below") is None


def test_whole_is_what_has_exactly_this_content(source: Path) -> None:
    assert is_whole(source, 5, sha256(b"sound"))
    assert not is_whole(source, 4, sha256(b"sound"))
    assert not is_whole(source, 5, sha256(b"other"))
    source.write_bytes(b"other")
    assert not is_whole(source, 5, sha256(b"sound"))


def test_a_stamp_tells_another_file_from_the_same(source: Path, tmp_path: Path) -> None:
    stamp = stamp_of(source)
    assert stamp is not None
    assert stamp == stamp_of(source)
    os.utime(source, ns=(0, stamp.modified_ns + 1))
    assert stamp_of(source) != stamp
    os.utime(source, ns=(0, stamp.modified_ns))
    assert stamp_of(source) == stamp
    (tmp_path / "new").write_bytes(b"sound")
    os.utime(tmp_path / "new", ns=(0, stamp.modified_ns))
    (tmp_path / "new").replace(source)
    assert stamp_of(source) != stamp


def test_removing(source: Path) -> None:
    remove(source)
    remove(source)
    assert not source.exists()
