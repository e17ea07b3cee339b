"""The repair of WAV headers: RIFF, RF64 and Wave64 (`audio_compressor.audio.wav.inspect_wav`)."""

import math
import os
import tempfile
from pathlib import Path

from audio_compressor.audio.wav import LARGE_PACKETS, inspect_wav
from audio_compressor_tests.wav_files import SAMPLE_KINDS, Container, chunk, speech, write_wav
from fuzz.command import run_target
from fuzz.harness import Target


def _seeds() -> list[bytes]:
    containers: tuple[Container, ...] = ("RIFF", "RF64", "W64")
    sizes = (None, 0, 100, 1 << 31, (1 << 32) - 1)
    trailer = chunk(b"LIST", b"INFO") + chunk(b"bext", bytes(602))
    with tempfile.TemporaryDirectory() as directory:
        path, sound = Path(directory, "seed.wav"), speech(0.01)
        kinds = [write_wav(path, sound, kind=kind).read_bytes() for kind in SAMPLE_KINDS]
        return kinds + [
            write_wav(path, sound, container=container, declared_data_bytes=size, trailer=trailer).read_bytes()
            for container in containers
            for size in sizes
        ]


_WORDS = [b"RIFF", b"RF64", b"BW64", b"WAVE", b"fmt ", b"data", b"ds64", b"LIST", b"JUNK", b"\xfe\xff", b"\x03\x00"]
_WORDS += [bytes(8), b"\xff" * 4, b"\xff" * 8]
# In memory where there is such a place: the disk is not what is tested.
_PATH = Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir(), f"fuzz-{os.getpid()}.wav")


def check(data: bytes) -> None:
    """A header that is told of lies in the file, and what FFmpeg is told to read begins in it."""
    try:
        _PATH.write_bytes(data)
        header = inspect_wav(_PATH)
        assert _PATH.read_bytes() == data, "the file was changed"
    finally:
        _PATH.unlink(missing_ok=True)
    if header is None:
        return
    assert 0 < header.data_offset <= len(data)
    assert 0 <= header.actual_data_bytes <= len(data) - header.data_offset
    assert header.declared_data_bytes is None or 0 <= header.declared_data_bytes < 1 << 64
    assert 0 < header.channels < 1 << 16
    assert 0 < header.sample_rate_hz < 1 << 32
    assert 0 <= header.bits < 1 << 16
    assert 0 <= header.bytes_per_second < 1 << 62
    if header.declared_data_bytes != header.actual_data_bytes:
        assert header.repair, "another size, and not a word of it"
    assert header.repair is None or (len(header.repair) < 300 and header.repair.isprintable())
    options = header.input_options
    assert len(options) % 2 == 0
    if options not in ((), LARGE_PACKETS, ("-ignore_length", "1")):
        told = dict(zip(options[::2], options[1::2], strict=True))
        assert set(told) == {"-f", "-ar", "-ac", "-skip_initial_bytes"}
        assert int(told["-skip_initial_bytes"]) == header.data_offset
        assert math.isfinite(int(told["-ar"]))


TARGET = Target("wav", _seeds(), _WORDS, check)

if __name__ == "__main__":
    run_target(TARGET)
