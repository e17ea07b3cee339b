"""Real encodes of one short track, and the ladders that are cut from them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audio_compressor.audio.ffmpeg import Ffmpeg, find_ffmpeg
from audio_compressor.hls.cut import Ladder, cut_ladder
from audio_compressor.hls.layout import RenditionName, SegmentType
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.hls.encodes import encode, music

SECONDS = 25.0
Cut = Callable[..., Ladder]


@pytest.fixture(scope="session")
def ffmpeg() -> Ffmpeg:
    return find_ffmpeg()


@pytest.fixture
def children() -> Iterator[ChildProcesses]:
    registry = ChildProcesses()
    yield registry
    registry.kill_all()


@pytest.fixture(scope="session")
def encodes(tmp_path_factory: pytest.TempPathFactory) -> dict[RenditionName, Path]:
    """25 s at 48, 64 and 128 kbit/s."""
    return encode(music(SECONDS), tmp_path_factory.mktemp("encodes"))


@pytest.fixture
def cut(ffmpeg: Ffmpeg, children: ChildProcesses, encodes: dict[RenditionName, Path]) -> Cut:
    """Cuts a ladder; what is not said is 10 s, MPEG-TS and the 25 s of `encodes`."""

    def cut_here(
        directory: Path,
        segment_type: SegmentType = "mpegts",
        segment_duration_seconds: float = 10,
        of: dict[RenditionName, Path] = encodes,
    ) -> Ladder:
        directory.mkdir(parents=True, exist_ok=True)
        return cut_ladder(
            of,
            directory,
            segment_duration_seconds=segment_duration_seconds,
            segment_type=segment_type,
            ffmpeg=ffmpeg,
            children=children,
            timeout_seconds=60,
        )

    return cut_here


@pytest.fixture(scope="session")
def originals(
    tmp_path_factory: pytest.TempPathFactory, ffmpeg: Ffmpeg, encodes: dict[RenditionName, Path]
) -> dict[SegmentType, Path]:
    """A ladder of each type, for `ladders` to copy."""
    found: dict[SegmentType, Path] = {}
    for segment_type in ("mpegts", "fmp4"):
        found[segment_type] = tmp_path_factory.mktemp(segment_type)
        cut_ladder(
            encodes,
            found[segment_type],
            segment_duration_seconds=10,
            segment_type=segment_type,
            ffmpeg=ffmpeg,
            children=ChildProcesses(),
            timeout_seconds=60,
        )
    return found


@pytest.fixture
def ladders(originals: dict[SegmentType, Path], tmp_path: Path) -> Callable[[SegmentType], Path]:
    """A correct ladder of a type, to be broken."""

    def copied(segment_type: SegmentType) -> Path:
        return Path(shutil.copytree(originals[segment_type], tmp_path / segment_type))

    return copied
