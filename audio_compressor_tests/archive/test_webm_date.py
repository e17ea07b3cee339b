"""The date in a WebM file, as FFmpeg writes it, and as nobody should."""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audio_compressor.archive.webm_date import HEAD_BYTES, read_webm_date, webm_date
from audio_compressor.audio.ffmpeg import find_ffmpeg
from audio_compressor.errors import StorageError

AT = datetime(2026, 3, 14, 10, 20, 30, tzinfo=UTC)
NANOSECONDS = int((AT - datetime(2001, 1, 1, tzinfo=UTC)).total_seconds()) * 10**9

EBML, SEGMENT, INFO, VOID, CLUSTER, DATE, TITLE = (
    bytes.fromhex(text) for text in ("1A45DFA3", "18538067", "1549A966", "EC", "1F43B675", "4461", "7BA9")
)
UNKNOWN = b"\x01" + b"\xff" * 7


def element(name: bytes, content: bytes, size: bytes | None = None) -> bytes:
    return name + (size or (1 << 28 | len(content)).to_bytes(4, "big")) + content


def webm(date: bytes = NANOSECONDS.to_bytes(8, "big"), size: bytes | None = None, before: bytes = b"") -> bytes:
    info = element(INFO, element(TITLE, b"A talk") + element(DATE, date))
    return element(EBML, b"\x42\x82\x84webm") + element(SEGMENT, before + info + element(CLUSTER, b"sound"), size)


def made_by_ffmpeg(*options: str) -> bytes:
    command = [str(find_ffmpeg().binary), *("-v", "error", "-f", "lavfi", "-i", "sine=d=0.1", "-c:a", "libopus")]
    return subprocess.run([*command, *options, "-f", "webm", "-"], capture_output=True, check=True).stdout


def test_of_ffmpeg(tmp_path: Path) -> None:
    (tmp_path / "a.webm").write_bytes(made_by_ffmpeg("-metadata", "creation_time=2026-03-14T10:20:30Z"))
    assert read_webm_date(tmp_path / "a.webm") == AT


def test_of_ffmpeg_without_a_date() -> None:
    assert webm_date(made_by_ffmpeg()) is None


@pytest.mark.parametrize("size", [None, UNKNOWN, b"\xff"])
@pytest.mark.parametrize("before", [b"", element(VOID, b"\x00" * 90)])
def test_of_a_segment_of_known_and_unknown_size(size: bytes | None, before: bytes) -> None:
    assert webm_date(webm(size=size, before=before)) == AT


def test_nanoseconds_and_dates_before_2001() -> None:
    assert webm_date(webm((NANOSECONDS + 123_456_789).to_bytes(8, "big"))) == AT.replace(microsecond=123_456)
    assert webm_date(webm((-(10**18)).to_bytes(8, "big", signed=True))) == datetime(1969, 4, 24, 22, 13, 20, tzinfo=UTC)
    assert webm_date(webm((-(2**63)).to_bytes(8, "big", signed=True))) is not None
    assert webm_date(webm((2**63 - 1).to_bytes(8, "big"))) is not None


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"RIFF....WAVE", id="another format"),
        pytest.param(webm(b"\x00" * 8), id="zero"),
        pytest.param(webm(b""), id="no bytes"),
        pytest.param(webm(b"\x01" * 4), id="four bytes"),
        pytest.param(webm()[: webm().index(DATE) + 6], id="cut off"),
        pytest.param(webm(before=element(CLUSTER, b"sound")), id="after the sound"),
        pytest.param(webm(before=element(VOID, b"", b"\x00")), id="damaged before it"),
        pytest.param(webm().replace(EBML, b"\x1a\x45\xdf\xa4"), id="no EBML"),
        pytest.param(element(EBML, b""), id="nothing in it"),
    ],
)
def test_no_date(head: bytes) -> None:
    assert webm_date(head) is None


@given(st.binary(max_size=60), st.integers(0, 80))
@settings(max_examples=200)
@example(b"\x01" + b"\xff" * 7, 30)
def test_garbage_does_not_raise(garbage: bytes, at: int) -> None:
    webm_date(garbage)
    damaged = webm()[:at] + garbage + webm()[at + len(garbage) :]
    assert webm_date(damaged) is None or isinstance(webm_date(damaged), datetime)


def test_only_the_beginning_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    path.write_bytes(webm(before=element(VOID, b"\x00" * (HEAD_BYTES - 200))))
    assert read_webm_date(path) == AT
    path.write_bytes(webm(before=element(VOID, b"\x00" * HEAD_BYTES)))
    assert read_webm_date(path) is None
    path.write_bytes(webm())
    os.truncate(path, 1 << 40)
    assert read_webm_date(path) == AT


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        read_webm_date(tmp_path / "missing.webm")
