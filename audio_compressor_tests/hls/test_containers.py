"""What is read of M4A, fMP4 and transport streams, against FFmpeg's own account and against damage."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_compressor.errors import NotAudioError, StorageError
from audio_compressor.hls.aac import AacStream, parse_adts, parse_audio_specific_config
from audio_compressor.hls.layout import RenditionName, SegmentType
from audio_compressor.hls.mp4 import parse_fragmented_segment, parse_init_section, read_m4a
from audio_compressor.hls.mpegts import parse_transport_segment
from audio_compressor_tests.hls.encodes import encode, music, run

STEREO = AacStream(2, 44100, 2)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("1210", AacStream(2, 44100, 2)),
        ("1190", AacStream(2, 48000, 2)),
        ("1388", AacStream(2, 22050, 1)),
        ("2b920800", AacStream(5, 22050, 2)),  # HE-AAC, said explicitly
        ("1780560c10", AacStream(2, 44056, 2)),  # the rate in 24 bits
        ("11b8", AacStream(2, 48000, 8)),  # 7.1 has the number 7
    ],
)
def test_audio_specific_configs(config: str, expected: AacStream) -> None:
    assert parse_audio_specific_config(bytes.fromhex(config)) == expected


def test_codecs_are_told_as_players_know_them() -> None:
    assert [AacStream(kind, 44100, 2).codec for kind in (2, 5, 29)] == ["mp4a.40.2", "mp4a.40.5", "mp4a.40.29"]


@pytest.mark.parametrize("config", ["", "12", "1214", "1690", "ff"])
def test_configs_that_no_player_takes_are_refused(config: str) -> None:
    with pytest.raises(NotAudioError):
        parse_audio_specific_config(bytes.fromhex(config))


ADTS = bytes.fromhex("fff15080017ffc") + b"\x21\x10\x04\x60"  # 11 bytes, 44.1 kHz, stereo


@pytest.mark.parametrize(
    ("data", "frames", "payload_bytes", "left_bytes"),
    [
        (b"", 0, 0, 0),
        (ADTS, 1, 4, 0),
        (3 * ADTS, 3, 12, 0),
        (ADTS[:6] + b"\xfe" + ADTS[7:], 3, 4, 0),  # three in one
        (2 * ADTS + ADTS[:10], 2, 8, 10),
        (2 * ADTS + ADTS[:6], 2, 8, 6),
        (ADTS + b"x" + ADTS, 1, 4, 12),
        (ADTS + ADTS[:4] + b"\x00\x1f" + ADTS[6:], 1, 4, 11),  # a frame of no length
        (ADTS + ADTS[:2] + b"\x7c" + ADTS[3:], 1, 4, 11),  # a rate that does not exist
    ],
)
def test_adts_frames_are_counted_as_far_as_they_go(
    data: bytes, frames: int, payload_bytes: int, left_bytes: int
) -> None:
    found = parse_adts(data)
    assert (found.frames, found.payload_bytes, found.left_bytes) == (frames, payload_bytes, left_bytes)
    assert found.streams == ({STEREO} if frames else set())


@pytest.mark.parametrize(
    ("channels", "sample_rate_hz", "seconds"), [(2, 44100, 3.0), (1, 22050, 1.0), (2, 48000, 0.01), (6, 48000, 0.5)]
)
def test_an_m4a_is_read_as_ffmpeg_reads_it(channels: int, sample_rate_hz: int, seconds: float, tmp_path: Path) -> None:
    sound = music(seconds, channels=channels, sample_rate_hz=sample_rate_hz)
    [path] = encode(sound, tmp_path, bitrates_kbps={"high": 128}, sample_rate_hz=sample_rate_hz).values()
    found = read_m4a(path)
    # One line for each packet: stream, dts, pts, duration, size, checksum.
    packets = run("-i", path, "-c", "copy", "-f", "framecrc", "-").decode().splitlines()
    durations = [int(line.split(",")[3]) for line in packets if not line.startswith("#")]
    assert (found.frames, found.samples) == (len(durations), sum(durations))
    assert found.stream == AacStream(2, sample_rate_hz, channels)
    adts = parse_adts(run("-i", path, "-c", "copy", "-f", "adts", "-"))
    assert (adts.frames, adts.streams, adts.left_bytes) == (found.frames, frozenset({found.stream}), 0)


def test_a_cover_and_late_tables_are_no_obstacle(tmp_path: Path, encodes: dict[RenditionName, Path]) -> None:
    cover = tmp_path / "cover.png"
    run("-f", "lavfi", "-i", "color=red:s=64x64:d=1", "-frames:v", "1", cover)
    inputs = ("-i", cover, "-i", encodes["low"])
    run(*inputs, "-map", "0", "-map", "1", "-c", "copy", "-disposition:v:0", "attached_pic", tmp_path / "late.m4a")
    assert read_m4a(tmp_path / "late.m4a") == read_m4a(encodes["low"])


def test_what_is_no_m4a_is_refused(tmp_path: Path, encodes: dict[RenditionName, Path]) -> None:
    path = tmp_path / "x.m4a"
    with pytest.raises(StorageError, match=r"x\.m4a"):
        read_m4a(path)
    whole = encodes["low"].read_bytes()
    for data in (b"", b"RIFF nonsense", whole[:40], whole[:2000], whole.replace(b"mp4a", b"alac")):
        path.write_bytes(data)
        with pytest.raises(NotAudioError, match=r"x\.m4a .*encode it again"):
            read_m4a(path)


def segments(directory: Path, suffix: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((directory / "low").glob(f"*{suffix}"))]


def test_the_whole_frames_of_a_transport_stream_are_counted(originals: dict[SegmentType, Path]) -> None:
    first, *_, last = segments(originals["mpegts"], ".ts")
    found = parse_transport_segment(first)
    assert (found.frames, found.streams, found.stray_bytes, found.lost_pids) == (431, frozenset({STEREO}), 0, ())
    assert (found.programs, found.stream_types, found.begins_with_tables) == (1, (0x0F,), True)
    assert parse_transport_segment(last).frames < 431


def test_the_frames_of_a_fragment_are_counted(originals: dict[SegmentType, Path]) -> None:
    [init] = segments(originals["fmp4"], ".mp4")
    assert [(each.stream, each.timescale, each.frames) for each in parse_init_section(init).tracks] == [
        (STEREO, 44100, 0)
    ]
    first, second, *_ = (parse_fragmented_segment(data) for data in segments(originals["fmp4"], ".m4s"))
    assert [(each.base_time, each.frames, each.duration) for each in first.fragments] == [(0, 431, 431 * 1024)]
    assert [each.base_time for each in second.fragments] == [431 * 1024]
    assert sum(each.payload_bytes for each in first.fragments) == first.media_bytes


PARSERS: dict[str, Callable[[bytes], object]] = {
    ".ts": parse_transport_segment,
    ".m4s": parse_fragmented_segment,
    ".mp4": parse_init_section,
}


@pytest.mark.parametrize("suffix", PARSERS)
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damage_never_makes_a_parser_fail_otherwise(
    originals: dict[SegmentType, Path], suffix: str, data: st.DataObject
) -> None:
    whole = segments(originals["mpegts" if suffix == ".ts" else "fmp4"], suffix)[-1]
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, min(len(whole), 2000) - 1))
        damaged[position] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(whole))) :]
    with suppress(NotAudioError):
        assert PARSERS[suffix](bytes(damaged))
