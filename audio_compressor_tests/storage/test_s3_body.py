import threading
from pathlib import Path

import pytest

from audio_compressor.errors import CancelledError
from audio_compressor.storage.s3_body import Body


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "song.m4a"
    path.write_bytes(b"0123456789")
    return path


def test_a_stopped_run_hands_out_nothing_more(file: Path) -> None:
    stopped = threading.Event()
    with Body(file, stopped, 2, 6) as body:
        assert body.read(3) == b"234"
        stopped.set()
        with pytest.raises(CancelledError, match="song"):
            body.read(3)


def test_what_was_handed_out_whole_is_waited_for(file: Path) -> None:
    """The server has it, and writes it: an error here would let it appear after its sender had given up."""
    stopped = threading.Event()
    with Body(file, stopped, 2, 6) as body:
        assert body.read(6) == b"234567"
        stopped.set()
        assert body.read(3) == b""
