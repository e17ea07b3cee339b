"""Ways to break a ladder in one place. Each takes its directory; sizes that change are told anew in the master
playlist, so that nothing but the one thing is wrong.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from audio_compressor.hls.bandwidth import Measured, average_bits_per_second, peak_bits_per_second
from audio_compressor.hls.mpegts import PACKET_BYTES, TIMESTAMP_TICKS

Break = Callable[[Path], None]
NAMES = ("low", "med", "high")
_AUDIO_PID = 0x100
_MAP_PID = 0x1000


def in_text(old: str, new: str, *names: str, count: int = 1) -> Break:
    """Replace in playlists; in that of ``low`` when none is named, ``""`` is the master."""

    def change(directory: Path) -> None:
        for name in names or ("low",):
            path = directory / name / "playlist.m3u8"
            text = path.read_text()
            changed = re.sub(old, new, text, count=count, flags=re.MULTILINE)
            assert changed != text
            path.write_text(changed)

    return change


def all_of(*breaks: Break) -> Break:
    def change(directory: Path) -> None:
        for each in breaks:
            each(directory)

    return change


def told_anew(directory: Path) -> None:
    """BANDWIDTH and AVERAGE-BANDWIDTH of what now lies there."""
    master = (directory / "playlist.m3u8").read_text()
    for name in NAMES:
        text = (directory / name / "playlist.m3u8").read_text()
        measured = [
            Measured((directory / name / uri).stat().st_size, round(float(seconds) * 1_000_000))
            for seconds, uri in re.findall(r"#EXTINF:([\d.]+),\n(?:#.*\n)*(.+)", text)
        ]
        [target] = re.findall(r"TARGETDURATION:(\d+)", text)
        rates = (peak_bits_per_second(measured, int(target)), average_bits_per_second(measured))
        pattern = rf"BANDWIDTH=\d+,AVERAGE-BANDWIDTH=\d+(.*\n{name}/)"
        master = re.sub(pattern, rf"BANDWIDTH={rates[0]},AVERAGE-BANDWIDTH={rates[1]}\1", master)
    (directory / "playlist.m3u8").write_text(master)


def in_bytes(old: bytes, new: bytes, pattern: str = "low/segment_*_001.*", *, most: int = -1) -> Break:
    """Replace in files, without a change of size."""

    def change(directory: Path) -> None:
        paths = list(directory.glob(pattern))
        assert paths
        for path in paths:
            data = path.read_bytes()
            assert old in data
            assert len(old) == len(new)
            path.write_bytes(data.replace(old, new, most))

    return change


def in_segments(edit: Callable[[bytes], bytes], pattern: str = "low/segment_*_001.*") -> Break:
    def change(directory: Path) -> None:
        paths = sorted(directory.glob(pattern))
        assert paths
        for path in paths:
            path.write_bytes(edit(path.read_bytes()))
        told_anew(directory)

    return change


def without_last_segment(directory: Path) -> None:
    in_text(r"#EXTINF:[^\n]*\n[^\n]*\n#EXT-X-ENDLIST", "#EXT-X-ENDLIST")(directory)
    max((directory / "low").glob("segment_*")).unlink()
    told_anew(directory)


def deleted(pattern: str) -> Break:
    def change(directory: Path) -> None:
        for path in list(directory.glob(pattern)):
            path.unlink()

    return change


def renamed(directory: Path) -> None:
    [path] = directory.glob("low/segment_*_001.ts")
    path.rename(path.with_name("segment_1.ts"))
    in_text(r"segment_\w+_001\.ts", "segment_1.ts")(directory)


def left_over(directory: Path) -> None:
    [path] = directory.glob("low/segment_*_001.ts")
    shutil.copy(path, path.with_name(path.name.replace("_001", "_007")))


def second_names(directory: Path) -> None:
    """As a bucket has them."""
    for name in NAMES:
        (directory / name / "playlist.m3u8").rename(directory / name / "playlist_0123456789abcdef.m3u8")
    in_text("/playlist.m3u8", "/playlist_0123456789abcdef.m3u8", "", count=3)(directory)


def other_directory(directory: Path) -> None:
    (directory / "high").rename(directory / "highest")
    in_text("^high/", "highest/", "")(directory)


def med_not_first(directory: Path) -> None:
    path = directory / "playlist.m3u8"
    *head, one, two, three = re.findall(r"#EXT-X-STREAM-INF.*\n.+\n|.+\n", path.read_text())
    path.write_text("".join([*head, two, one, three]))


def packets(data: bytes) -> list[bytes]:
    return [data[start : start + PACKET_BYTES] for start in range(0, len(data), PACKET_BYTES)]


def pid_of(packet: bytes) -> int:
    return (packet[1] & 0x1F) << 8 | packet[2]


def with_service_description_first(data: bytes) -> bytes:
    return bytes([0x47, 0x40, 0x11, 0x10]) + bytes([0xFF]) * (PACKET_BYTES - 4) + data


def without_an_audio_packet(data: bytes) -> bytes:
    """One in the middle of a PES packet becomes a null packet, so that a counter is missing and no size changes."""
    found = packets(data)
    number = next(n for n, each in enumerate(found) if n > 20 and pid_of(each) == _AUDIO_PID and not each[1] & 0x40)
    found[number] = bytes([0x47, 0x1F, 0xFF, 0x10]) + bytes([0xFF]) * (PACKET_BYTES - 4)
    return b"".join(found)


def with_other_counters(data: bytes) -> bytes:
    """They go on within the segment, and not where the one before it ended."""
    return b"".join(
        each[:3] + bytes([each[3] & 0xF0 | (each[3] + 5) & 0x0F]) + each[4:] if pid_of(each) == _AUDIO_PID else each
        for each in packets(data)
    )


def with_two_programs(data: bytes) -> bytes:
    return _with_table(data, 0, b"\x00\x02\xf0\x10")


def with_two_streams(data: bytes) -> bytes:
    return _with_table(data, _MAP_PID, b"\x0f\xe1\x01\xf0\x00")


def _with_table(data: bytes, pid: int, entry: bytes) -> bytes:
    """An entry more in a table; nobody here looks at its checksum, which is one of the old entries."""
    found = packets(data)
    number = next(number for number, each in enumerate(found) if pid_of(each) == pid)
    packet = found[number]
    length = int.from_bytes(packet[6:8]) & 0x0FFF
    section = packet[8 : 8 + length - 4] + entry + packet[8 + length - 4 : 8 + length]
    head = packet[:6] + (0xB000 | len(section)).to_bytes(2)
    found[number] = (head + section).ljust(PACKET_BYTES, b"\xff")
    return b"".join(found)


def later(ticks: int, first_pes: int = 0) -> Callable[[bytes], bytes]:
    """Timestamps from the given PES packet on are later; they begin again after 33 bits."""

    def edit(data: bytes) -> bytes:
        found, number = packets(data), -1
        for index, packet in enumerate(found):
            if pid_of(packet) == _AUDIO_PID and packet[1] & 0x40:
                number += 1
                if number >= first_pes:
                    start = packet.index(b"\x00\x00\x01\xc0", 4) + 9
                    found[index] = (
                        packet[:start] + _pts((_ticks(packet[start:]) + ticks) % TIMESTAMP_TICKS) + packet[start + 5 :]
                    )
        return b"".join(found)

    return edit


def _ticks(p: bytes) -> int:
    return (p[0] >> 1 & 7) << 30 | p[1] << 22 | (p[2] >> 1) << 15 | p[3] << 7 | p[4] >> 1


def _pts(ticks: int) -> bytes:
    high, middle, low = ticks >> 30 & 7, ticks >> 15 & 0x7FFF, ticks & 0x7FFF
    return bytes([0x21 | high << 1]) + (middle << 1 | 1).to_bytes(2) + (low << 1 | 1).to_bytes(2)


def with_a_byte_more(data: bytes) -> bytes:
    """In ``mdat``, the last box."""
    start = data.index(b"mdat") - 4
    return data[:start] + (len(data) - start + 1).to_bytes(4) + data[start + 4 :] + b"\0"


def later_decode_time(ticks: int) -> Callable[[bytes], bytes]:
    def edit(data: bytes) -> bytes:
        start = data.index(b"tfdt") + 8
        return data[:start] + (int.from_bytes(data[start : start + 8]) + ticks).to_bytes(8) + data[start + 8 :]

    return edit


def with_two_tracks(data: bytes) -> bytes:
    """In an initialisation section: the track is there again, with another number."""
    start = data.index(b"trak") - 4
    trak = data[start : start + int.from_bytes(data[start : start + 4])]
    moov = data.index(b"moov") - 4
    size = int.from_bytes(data[moov : moov + 4]) + len(trak)
    return data[:moov] + size.to_bytes(4) + data[moov + 4 : start] + trak + data[start:]
