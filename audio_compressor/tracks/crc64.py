"""CRC-64/NVME, which Amazon S3 computes of every object that comes without a checksum of its own.

Python's library has none, and awscrt, which has, changes how boto3 signs once it is installed. A byte at a time would
take a minute for 100 MB; numpy computes it of thousands of pieces at once and then joins them.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

# NVM Express Base Specification 2.0, figure "64-bit CRC polynomials": 0xAD93D23594C93659 with its bits reversed.
_POLYNOMIAL = 0x9A6C9329AC4BC9B5
_ALL_ONES = 0xFFFF_FFFF_FFFF_FFFF
# Blocks of so many lanes of so many bytes; the numbers of lanes are powers of two. 1 MiB, then 4 KiB for what is left.
_BLOCKS = ((4096, 256), (64, 64))


class Crc64Nvme:
    """With the methods of hashlib's digests."""

    def __init__(self) -> None:
        self._register = _ALL_ONES
        self._left = bytearray()

    def update(self, data: bytes, /) -> None:
        self._left += data
        lanes, lane_bytes = _BLOCKS[0]
        whole = len(self._left) // (lanes * lane_bytes) * lanes * lane_bytes
        self._register = _after(self._register, bytes(self._left[:whole]))
        del self._left[:whole]

    def digest(self) -> bytes:
        return (_after(self._register, bytes(self._left)) ^ _ALL_ONES).to_bytes(8, "big")


def _after(register: int, data: bytes) -> int:
    """The register after ``data``: whole blocks of each size, then single bytes."""
    position = 0
    for lanes, lane_bytes in _BLOCKS:
        while len(data) - position >= lanes * lane_bytes:
            block = np.frombuffer(data, np.uint8, lanes * lane_bytes, position)
            register = _after_block(register, block.reshape(lanes, lane_bytes))
            position += lanes * lane_bytes
    table = _byte_table()
    for byte in data[position:]:
        register = int(table[(register ^ byte) & 0xFF]) ^ (register >> 8)
    return register


def _after_block(register: int, block: NDArray[np.uint8]) -> int:
    lanes, lane_bytes = block.shape
    table = _byte_table()
    registers = np.zeros(lanes, "<u8")
    registers[0] = register
    lowest_bytes = registers.view(np.uint8)[::8]
    for column in np.ascontiguousarray(block.T):
        entries = table.take(lowest_bytes ^ column)
        registers >>= np.uint64(8)
        registers ^= entries
    # The register is linear in what it was before: that of two pieces is the first, moved on by as many zero bytes as
    # the second has, and the second from zero.
    while len(registers) > 1:
        registers = _moved(registers[0::2], lane_bytes) ^ registers[1::2]
        lane_bytes *= 2
    return int(registers[0])


def _moved(registers: Words, zero_bytes: int) -> Words:
    tables = _moving_tables(zero_bytes)
    moved = np.zeros_like(registers)
    for number in range(8):
        moved ^= tables[number][(registers >> np.uint64(8 * number)) & np.uint64(0xFF)]
    return moved


@cache
def _byte_table() -> Words:
    table = np.arange(256, dtype=np.uint64)
    for _ in range(8):
        table = np.where(table & np.uint64(1), (table >> np.uint64(1)) ^ np.uint64(_POLYNOMIAL), table >> np.uint64(1))
    return table


@cache
def _moving_tables(zero_bytes: int) -> Words:
    """For each of the eight bytes of a register, what each of its values becomes after so many zero bytes (a power of
    two).
    """
    values = np.arange(256, dtype=np.uint64)
    tables = np.stack([values << np.uint64(8 * number) for number in range(8)])
    if zero_bytes == 1:
        moved: Words = _byte_table()[tables & np.uint64(0xFF)] ^ (tables >> np.uint64(8))
        return moved
    half = zero_bytes // 2
    return _moved(_moved(tables.reshape(-1), half), half).reshape(8, 256)
