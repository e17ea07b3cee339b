"""Reads what matters here of an MPEG-2 transport stream segment (ISO/IEC 13818-1). Pure.

What is wrong is told as it was found; what is no transport stream at all raises NotAudioError.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from audio_compressor.errors import NotAudioError
from audio_compressor.hls.aac import AacStream, parse_adts

PACKET_BYTES = 188
TICKS_PER_SECOND = 90_000
# Timestamps have 33 bits and begin again after 26.5 hours (2.4.3.7).
TIMESTAMP_TICKS = 1 << 33
_SYNC_BYTE = 0x47
_TABLES_PID = 0
_NULL_PID = 0x1FFF
_NULL_PACKET = bytes([_SYNC_BYTE, 0x1F, 0xFF, 0x10]) + b"\xff" * (PACKET_BYTES - 4)
# FFmpeg's probe is sure from the 11th on.
_LEAST_PACKETS = 11
# ISO/IEC 13818-7 with ADTS (table 2-34).
ADTS_STREAM_TYPE = 0x0F
_COUNTERS = 16


@dataclass(frozen=True)
class Timestamp:
    """The PTS of a PES packet, in ticks of 90 kHz, and how many AAC frames follow it."""

    ticks: int | None
    frames: int


@dataclass(frozen=True)
class TransportSegment:
    """One segment. ``first_counters`` and ``last_counters`` are the continuity counters of each PID; ``lost_pids`` are
    the PIDs in which one is missing. ``payload_bytes`` are in whole AAC frames, ``stray_bytes`` in none."""

    begins_with_tables: bool
    programs: int
    stream_types: tuple[int, ...]
    first_counters: Mapping[int, int]
    last_counters: Mapping[int, int]
    lost_pids: tuple[int, ...]
    timestamps: tuple[Timestamp, ...]
    streams: frozenset[AacStream]
    payload_bytes: int
    stray_bytes: int

    @property
    def frames(self) -> int:
        return sum(timestamp.frames for timestamp in self.timestamps)


def next_counter(counter: int) -> int:
    return (counter + 1) % _COUNTERS


def recognisable(data: bytes) -> bytes:
    """The segment, filled up with null packets (ISO/IEC 13818-1, 2.4.1) where it is so short that players which look at
    the first packets could take it for something else: FFmpeg 9.0 took 8 packets of silence for an MPEG program stream.
    """
    missing = _LEAST_PACKETS - len(data) // PACKET_BYTES
    return data + _NULL_PACKET * max(0, missing)


def without_first_packets(data: bytes, pid: int) -> bytes:
    """The segment without the packets of ``pid`` with which it begins."""
    start = 0
    while start < len(data) and _pid(data, start) == pid:
        start += PACKET_BYTES
    return data[start:]


def parse_transport_segment(data: bytes) -> TransportSegment:
    """Raises NotAudioError when it is not made of packets, or they are malformed."""
    if not data or len(data) % PACKET_BYTES:
        raise NotAudioError(f"{len(data)} bytes are no whole number of transport stream packets of {PACKET_BYTES}")
    try:
        return _Reader().read(data)
    except IndexError as error:
        raise NotAudioError("a table or a header in the transport stream is cut off") from error


class _Reader:
    """Collects the packets of each PID; tables are taken to fit into one packet, as those of one program do."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._lost: list[int] = []
        self._programs: dict[int, int] = {}
        self._streams: dict[int, int] = {}
        self._packets: list[bytearray] = []
        self._order: list[str] = []

    def read(self, data: bytes) -> TransportSegment:
        for start in range(0, len(data), PACKET_BYTES):
            self._packet(data, start)
        timestamps = []
        streams: set[AacStream] = set()
        payload_bytes = stray_bytes = 0
        for packet in self._packets:
            ticks, payload = _pes(bytes(packet))
            adts = parse_adts(payload)
            timestamps.append(Timestamp(ticks, adts.frames))
            streams |= adts.streams
            payload_bytes += adts.payload_bytes
            stray_bytes += adts.left_bytes
        return TransportSegment(
            begins_with_tables=self._order[:2] == ["PAT", "PMT"],
            programs=len(self._programs),
            stream_types=tuple(self._streams.values()),
            first_counters=self._first,
            last_counters=self._last,
            lost_pids=tuple(self._lost),
            timestamps=tuple(timestamps),
            streams=frozenset(streams),
            payload_bytes=payload_bytes,
            stray_bytes=stray_bytes,
        )

    def _packet(self, data: bytes, start: int) -> None:
        if data[start] != _SYNC_BYTE:
            raise NotAudioError(f"the transport stream packet at byte {start} does not begin with 0x47")
        pid, begins = _pid(data, start), bool(data[start + 1] & 0x40)
        control = data[start + 3] >> 4 & 3
        position = start + 4 + (1 + data[start + 4] if control & 2 else 0)
        if pid == _NULL_PID or not control & 1:
            self._order.append("nothing")
            return
        self._count(pid, data[start + 3] & 15)
        payload = data[position : start + PACKET_BYTES]
        if pid == _TABLES_PID:
            self._order.append("PAT")
            self._programs |= _programs(payload)
        elif pid in self._programs.values():
            self._order.append("PMT")
            self._streams |= _elementary_streams(payload)
        elif pid not in self._streams:
            self._order.append("other")
        elif begins:
            self._order.append("PES")
            self._packets.append(bytearray(payload))
        elif self._packets:
            self._packets[-1] += payload
        else:
            raise NotAudioError("the transport stream begins in the middle of a PES packet")

    def _count(self, pid: int, counter: int) -> None:
        self._first.setdefault(pid, counter)
        if pid in self._last and counter != next_counter(self._last[pid]):
            self._lost.append(pid)
        self._last[pid] = counter


def _pid(data: bytes, start: int) -> int:
    return (data[start + 1] & 0x1F) << 8 | data[start + 2]


def _programs(payload: bytes) -> dict[int, int]:
    """Numbers of programs and the PIDs of their maps, from a program association table (2.4.4.3)."""
    section = _section(payload, 5)
    entries = (section[start : start + 4] for start in range(0, len(section), 4))
    numbers = {int.from_bytes(entry[:2]): int.from_bytes(entry[2:]) & 0x1FFF for entry in entries}
    return {number: pid for number, pid in numbers.items() if number}


def _elementary_streams(payload: bytes) -> dict[int, int]:
    """PIDs and types of the streams of a program, from its map (2.4.4.8)."""
    section = _section(payload, 5)
    position = 4 + (int.from_bytes(section[2:4]) & 0x0FFF)
    found = {}
    while position < len(section):
        found[int.from_bytes(section[position + 1 : position + 3]) & 0x1FFF] = section[position]
        position += 5 + (int.from_bytes(section[position + 3 : position + 5]) & 0x0FFF)
    return found


def _section(payload: bytes, head_bytes: int) -> bytes:
    """What a table says after its head, without its checksum."""
    start = 1 + payload[0]
    length = int.from_bytes(payload[start + 1 : start + 3]) & 0x0FFF
    section = payload[start + 3 : start + 3 + length]
    if len(section) < length or length < head_bytes + 4:
        raise NotAudioError("a table in the transport stream is cut off")
    return section[head_bytes:-4]


def _pes(packet: bytes) -> tuple[int | None, bytes]:
    """The timestamp and what follows the header (2.4.3.6)."""
    if packet[:3] != b"\x00\x00\x01":
        raise NotAudioError("a PES packet in the transport stream does not begin with 000001")
    payload = packet[9 + packet[8] :]
    if not packet[7] & 0x80:
        return None, payload
    p = packet[9:14]
    ticks = (p[0] >> 1 & 7) << 30 | p[1] << 22 | (p[2] >> 1) << 15 | p[3] << 7 | p[4] >> 1
    return ticks, payload
