"""What does not belong in a WebM file is found, also where FFmpeg passes over it in silence."""

from pathlib import Path

import pytest

from audio_compressor.audio.matroska import why_not_whole
from audio_compressor.errors import StorageError
from audio_compressor_tests.wav_files import speech, write_wav
from audio_compressor_tests.webm_files import RECORDED_AT, as_a_browser_writes, cut_between_frames, make_webm, voice

TALK = voice("anna-1")[:96_000]
CLUSTER = bytes.fromhex("1f43b675")


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return make_webm(tmp_path / "whole.webm", TALK, recorded_at=RECORDED_AT)


@pytest.fixture
def streamed(tmp_path: Path) -> Path:
    return as_a_browser_writes(make_webm(tmp_path / "streamed.webm", TALK))


def test_whole_files_and_files_of_other_kinds_pass(whole: Path, streamed: Path, tmp_path: Path) -> None:
    assert why_not_whole(whole) is None
    assert why_not_whole(streamed) is None
    assert why_not_whole(cut_between_frames(streamed)) is None
    assert why_not_whole(make_webm(tmp_path / "a.webm", TALK, with_video=True, audio_tracks=2)) is None
    assert why_not_whole(write_wav(tmp_path / "a.wav", speech(0.1))) is None
    (tmp_path / "empty").touch()
    assert why_not_whole(tmp_path / "empty") is None


@pytest.mark.parametrize("kind", ["whole", "streamed"])
def test_a_block_that_is_none_any_more_is_found(kind: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(kind)
    data = bytearray(path.read_bytes())
    block = data.index(b"\xa3", data.index(CLUSTER))
    data[block] = 0xB0  # PixelWidth, which FFmpeg skips here
    path.write_bytes(data)
    assert why_not_whole(path) == (
        f"from byte {block:,} of {len(data):,} on it holds something that does not belong there, or half of it"
    )


def test_every_cut_of_a_whole_file_is_found(whole: Path) -> None:
    data = whole.read_bytes()
    for length in (5, 40, 60, 300, len(data) // 2, len(data) - 1):
        whole.write_bytes(data[:length])
        assert why_not_whole(whole)


def test_what_follows_the_segment_is_found(whole: Path) -> None:
    size = whole.stat().st_size
    whole.write_bytes(whole.read_bytes() * 2)
    assert (why_not_whole(whole) or "").startswith(f"from byte {size:,} of {2 * size:,} on")


@pytest.mark.parametrize("more_bytes", [-20, 20])
def test_a_cluster_that_does_not_end_where_it_says_is_found(more_bytes: int, whole: Path) -> None:
    """Its last block does not fit, or what follows it begins inside of it."""
    data = whole.read_bytes()
    cluster = data.index(CLUSTER)
    size = int.from_bytes(data[cluster + 4 : cluster + 7])
    assert size >> 21 == 1  # 3 bytes
    whole.write_bytes(data[: cluster + 4] + (size + more_bytes).to_bytes(3) + data[cluster + 7 :])
    assert why_not_whole(whole)


def test_a_file_that_is_not_there_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"none\.webm"):
        why_not_whole(tmp_path / "none.webm")
