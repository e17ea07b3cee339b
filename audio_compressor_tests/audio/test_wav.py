"""Every header that a recorder leaves behind: what is said about it, and that FFmpeg then reads every sample."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_compressor.audio.wav import LARGE_PACKETS, WavHeader, inspect_wav
from audio_compressor_tests.audio.measuring import decode
from audio_compressor_tests.wav_files import (
    BITS,
    SAMPLE_KINDS,
    Container,
    SampleKind,
    chunk,
    silence,
    speech,
    write_truncated_wav,
    write_wav,
)

CONTAINERS: tuple[Container, ...] = ("RIFF", "RF64", "W64")
SOUND = speech(0.5)
SOUND_BYTES = len(SOUND) * 4


def header_of(path: Path) -> WavHeader:
    header = inspect_wav(path)
    assert header is not None
    return header


def frames_read(path: Path, channels: int = 2) -> int:
    return len(decode(path, channels=channels, options=header_of(path).input_options))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("kind", SAMPLE_KINDS)
@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_a_right_header_needs_no_repair(tmp_path: Path, container: Container, kind: SampleKind, channels: int) -> None:
    sound = speech(0.1, channels=channels, sample_rate_hz=48000)
    header = header_of(write_wav(tmp_path / "x", sound, sample_rate_hz=48000, kind=kind, container=container))
    size_bytes = len(sound) * channels * BITS[kind] // 8
    assert (header.container, header.channels, header.sample_rate_hz) == (container, channels, 48000)
    assert (header.bits, header.format_tag) == (BITS[kind], 3 if kind.startswith("f") else 1)
    assert (header.declared_data_bytes, header.actual_data_bytes) == (size_bytes, size_bytes)
    assert (header.repair, header.input_options) == (None, () if container == "W64" else LARGE_PACKETS)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (0, "0 bytes of sound, as after a crash; read to the end of the file: 0.5 s"),
        (SOUND_BYTES // 5, "declares 0.1 s, but sound goes on behind it, as after a crash"),
        (SOUND_BYTES * 3, "cut short: its header declares 1.5 s and 0.5 s are present"),
        (0xFFFFFFFF, "gives no length|cut short"),
    ],
)
def test_a_wrong_size_loses_no_sample(tmp_path: Path, container: Container, declared: int, said: str) -> None:
    path = write_wav(tmp_path / "x.wav", SOUND, container=container, declared_data_bytes=declared)
    before = path.read_bytes()
    header = header_of(path)
    assert header.repair is not None
    assert any(text in header.repair for text in said.split("|"))
    assert header.actual_data_bytes == SOUND_BYTES
    assert np.max(np.abs(decode(path, channels=2, options=header.input_options) - SOUND)) < 1 / 32000
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", SAMPLE_KINDS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_after_a_crash_every_kind_of_sample_is_read(tmp_path: Path, container: Container, kind: SampleKind) -> None:
    path = write_wav(tmp_path / "x.wav", SOUND, kind=kind, container=container, declared_data_bytes=1024)
    read = decode(path, channels=2, options=header_of(path).input_options)
    assert read.shape == SOUND.shape
    assert np.max(np.abs(read - SOUND)) <= 2.0 ** -(min(BITS[kind], 16) - 1)


def test_a_size_of_minus_one_in_rf64(tmp_path: Path) -> None:
    """FFmpeg refuses such a file when it is not told how to read it."""
    path = write_wav(tmp_path / "x.wav", SOUND, container="RF64", declared_data_bytes=(1 << 64) - 1)
    assert header_of(path).repair == "the header gives no length, as a stream's does; read to the end of the file"
    assert frames_read(path) == len(SOUND)


def test_an_interrupted_copy(tmp_path: Path) -> None:
    path = write_truncated_wav(tmp_path / "x.wav", SOUND, keep=0.4)
    assert "declares 0.5 s and 0.2 s are present" in (header_of(path).repair or "")
    assert frames_read(path) == round(len(SOUND) * 0.4)


@pytest.mark.parametrize(
    "trailer",
    [
        chunk(b"LIST", b"INFO" + chunk(b"INAM", b"Interview, take 1")),
        chunk(b"LIST", b"INFOxxxx") + chunk(b"id3 ", b"odd length..."),
        chunk(b"abcd", bytes(range(256)) * 40),
        chunk(b"iXML", b"<x/>" * 500)[:900],  # cut short
        bytes(32 * 1024 - 17),  # the rest of the card's last cluster
    ],
)
def test_what_follows_the_samples_is_not_taken_for_sound(tmp_path: Path, trailer: bytes) -> None:
    path = write_wav(tmp_path / "x.wav", SOUND, trailer=trailer)
    assert (header_of(path).repair, header_of(path).actual_data_bytes) == (None, SOUND_BYTES)
    assert frames_read(path) == len(SOUND)


@pytest.mark.parametrize("trailer", [b"", chunk(b"LIST", b"INFO" + bytes(50))])
def test_24_valid_bits_of_32_are_the_upper_ones(tmp_path: Path, trailer: bytes) -> None:
    """FFmpeg takes them for a floating point number, and the recording for noise."""
    path = write_wav(tmp_path / "x.wav", SOUND, kind="s32", trailer=trailer)
    content = bytearray(path.read_bytes())
    content[38:40] = struct.pack("<H", 24)
    path.write_bytes(content)
    header = header_of(path)
    assert header.repair is None
    assert np.allclose(decode(path, channels=2, options=header.input_options), SOUND, atol=1e-6)


@pytest.mark.parametrize("between", [44, 8])
def test_what_was_put_behind_the_first_sound_is_read_too(tmp_path: Path, between: int) -> None:
    """Another file, header and all; or another chunk of samples."""
    path = write_wav(tmp_path / "x.wav", SOUND)
    path.write_bytes(path.read_bytes() + path.read_bytes()[44 - between :])
    assert "sound goes on behind it" in (header_of(path).repair or "")
    assert frames_read(path) == 2 * len(SOUND) + between // 4


def test_a_missing_padding_byte_is_no_damage(tmp_path: Path) -> None:
    sound = speech(0.1, channels=1)[:4409]
    path = write_wav(tmp_path / "x.wav", sound, kind="u8")
    padded = path.read_bytes()
    for content in (padded, padded[:-1], padded[:-1] + chunk(b"LIST", b"INFO")):
        path.write_bytes(content)
        assert header_of(path).repair is None
        assert frames_read(path, channels=1) == 4409


def test_digital_silence_after_a_crash_is_read_and_not_searched_for_chunks(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "x.wav", silence(2), declared_data_bytes=4000)
    assert header_of(path).actual_data_bytes == 2 * 44100 * 4
    assert frames_read(path) == 2 * 44100


def test_a_size_that_wrapped_at_4_gb(tmp_path: Path) -> None:
    actual = 5_000_000_000
    path = write_wav(tmp_path / "x.wav", silence(0.1), declared_data_bytes=actual % (1 << 32))
    with path.open("r+b") as file:
        file.truncate(44 + actual)  # a sparse file, it takes no space
    header = header_of(path)
    assert header.actual_data_bytes == actual
    assert header.repair == "the header's size wrapped around at 4 GB; read to the end of the file: 28344.7 s"


def test_compressed_samples_are_left_to_ffmpeg(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "x.wav", SOUND, declared_data_bytes=400)
    content = bytearray(path.read_bytes())
    content[20:22] = struct.pack("<H", 6)  # A-law
    path.write_bytes(content)
    assert header_of(path).input_options == ("-ignore_length", "1")


@pytest.mark.parametrize("size", [0, 4, 11, 12, 20, 35, 40, 43])
def test_a_file_that_ends_within_its_header(tmp_path: Path, size: int) -> None:
    path = write_wav(tmp_path / "x.wav", SOUND)
    path.write_bytes(path.read_bytes()[:size])
    assert inspect_wav(path) is None


@settings(max_examples=300, deadline=None)
@given(
    container=st.sampled_from(CONTAINERS),
    changes=st.lists(st.tuples(st.integers(0, 150), st.integers(0, 255)), max_size=12),
    length=st.integers(0, 400),
)
def test_damaged_headers_never_raise(
    tmp_path_factory: pytest.TempPathFactory, container: Container, changes: list[tuple[int, int]], length: int
) -> None:
    path = write_wav(tmp_path_factory.mktemp("wav") / "x", SOUND[:100], container=container)
    content = bytearray(path.read_bytes())
    for position, value in changes:
        content[position] = value
    path.write_bytes(content[:length])
    header = inspect_wav(path)
    assert header is None or 0 <= header.actual_data_bytes <= length


@settings(max_examples=300, deadline=None)
@given(
    head=st.sampled_from([b"", b"RIFF\0\0\0\0WAVE", b"RF64\xff\xff\xff\xffWAVE", b"RIFF\0\0\0\0WAVEfmt "]),
    rest=st.binary(max_size=300),
)
def test_garbage_never_raises(tmp_path_factory: pytest.TempPathFactory, head: bytes, rest: bytes) -> None:
    path = tmp_path_factory.mktemp("garbage") / "x"
    path.write_bytes(head + rest)
    header = inspect_wav(path)
    assert header is None or header.actual_data_bytes <= len(rest)
