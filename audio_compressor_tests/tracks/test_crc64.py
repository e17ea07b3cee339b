"""CRC-64/NVME against its published check values and against the definition, bit by bit."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_compressor.tracks.crc64 import Crc64Nvme


def by_definition(data: bytes) -> int:
    register = (1 << 64) - 1
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x9A6C9329AC4BC9B5 if register & 1 else 0)
    return register ^ ((1 << 64) - 1)


def crc(*pieces: bytes) -> int:
    digest = Crc64Nvme()
    for piece in pieces:
        digest.update(piece)
    return int.from_bytes(digest.digest(), "big")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"123456789", 0xAE8B14860A799888),  # catalogue of parametrised CRC algorithms, CRC-64/NVME
        (bytes(4096), 0x6482D367EB22B64E),  # NVM Express NVM Command Set Specification 1.0c, 5.2.1.3.5
        (b"\xff" * 4096, 0xC0DDBA7302ECA3AC),
        (b"", 0),
    ],
)
def test_published_values(data: bytes, expected: int) -> None:
    assert crc(data) == expected


@given(st.binary(max_size=300), st.integers(0, 300))
def test_the_definition(data: bytes, cut: int) -> None:
    assert crc(data[:cut], data[cut:]) == by_definition(data)


@pytest.mark.parametrize("size", [4095, 4096, 4097, 12_289, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (3 << 20) + 12_345])
def test_blocks_of_every_kind_join(size: int) -> None:
    """In one piece and in many, which end up in other blocks."""
    data = random.Random(size).randbytes(size)  # noqa: S311
    dice = random.Random(1)  # noqa: S311
    cuts = sorted(dice.randrange(size) for _ in range(5))
    assert crc(data) == crc(*(data[start:end] for start, end in zip([0, *cuts], [*cuts, size], strict=True)))
    if size < 20_000:
        assert crc(data) == by_definition(data)


def test_a_megabyte_by_the_definition() -> None:
    data = random.Random(2).randbytes((1 << 20) + 5000)  # noqa: S311
    assert crc(data) == by_definition(data)
