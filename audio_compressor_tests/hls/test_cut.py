"""Ladders: the given layout, the encoders' own frames in it, and the same ones in every rendition."""

import re
from pathlib import Path

import pytest

from audio_compressor.errors import CancelledError, EncodingError, NotAudioError, OutOfSpaceError, StorageError
from audio_compressor.hls.cut import Ladder
from audio_compressor.hls.delivery import delivery_of
from audio_compressor.hls.layout import RenditionName, SegmentType, parse_name
from audio_compressor.hls.mp4 import read_m4a
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.hls.conftest import SECONDS, Cut
from audio_compressor_tests.hls.encodes import encode, music, run
from audio_compressor_tests.wav_files import silence

TYPES: tuple[SegmentType, ...] = ("mpegts", "fmp4")
Encodes = dict[RenditionName, Path]


def frames_of(*arguments: str | Path) -> list[str]:
    """Sizes and checksums of the AAC frames themselves, as FFmpeg takes them out of a container."""
    lines = run(*arguments, "-map", "0:a:0", "-c", "copy", "-f", "framemd5", "-").decode().splitlines()
    return [",".join(line.split(",")[4:6]) for line in lines if not line.startswith("#")]


def concatenated(ladder: Ladder, rendition: str, into: Path) -> Path:
    names = [each.name for each in ladder.files if each.kind in {"init", "segment"}]
    data = b"".join((ladder.directory / name).read_bytes() for name in names if name.startswith(f"{rendition}/"))
    into.write_bytes(data)
    return into


def test_the_layout_of_transport_streams(cut: Cut, tmp_path: Path) -> None:
    ladder = cut(tmp_path)
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    masked = [re.sub(r"[0-9a-f]{10}_", "G_", name) for name in found]
    segments = [f"segment_G_{number:03d}.ts" for number in range(3)]
    assert masked == sorted(
        [
            "playlist.m3u8",
            *(f"{name}/{each}" for name in ("low", "med", "high") for each in ("playlist.m3u8", *segments)),
        ]
    )
    assert sorted(each.name for each in ladder.files) == found
    assert {parsed.generation for name in found if (parsed := parse_name(Path(name).name))} == {ladder.generation}


def test_the_layout_of_fragmented_mp4(cut: Cut, tmp_path: Path) -> None:
    ladder = cut(tmp_path, "fmp4")
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert sorted(each.name for each in ladder.files) == found
    low = [name.replace(ladder.generation, "G") for name in found if name.startswith("low/")]
    segments = [f"low/segment_G_{number:03d}.m4s" for number in range(3)]
    assert low == ["low/init_G.mp4", "low/playlist.m3u8", *segments]


def test_a_segment_of_fragmented_mp4_says_what_it_is_and_holds_one_fragment(cut: Cut, tmp_path: Path) -> None:
    ladder = cut(tmp_path, "fmp4")
    for each in (each for each in ladder.files if each.kind == "segment"):
        assert box_kinds((tmp_path / each.name).read_bytes()) == [b"styp", b"moof", b"mdat"]


def box_kinds(data: bytes) -> list[bytes]:
    kinds, position = [], 0
    while position < len(data):
        kinds.append(data[position + 4 : position + 8])
        position += int.from_bytes(data[position : position + 4])
    return kinds


@pytest.mark.parametrize("segment_type", TYPES)
def test_nothing_is_published_before_what_it_names(cut: Cut, tmp_path: Path, segment_type: SegmentType) -> None:
    ladder = cut(tmp_path, segment_type)
    kinds = [each.kind for each in ladder.files]
    last_segment = max(number for number, kind in enumerate(kinds) if kind in {"init", "segment"})
    assert kinds[last_segment + 1 :] == [*["media_playlist"] * 3, "master_playlist"]
    types = {"init": "audio/mp4", "media_playlist": "application/vnd.apple.mpegurl"}
    types |= {"master_playlist": types["media_playlist"]}
    types |= {"segment": "video/mp2t" if segment_type == "mpegts" else "video/iso.segment"}
    assert all(delivery_of(each.name).content_type == types[each.kind] for each in ladder.files)


@pytest.mark.parametrize("segment_type", TYPES)
def test_the_frames_are_the_encoders(cut: Cut, encodes: Encodes, tmp_path: Path, segment_type: SegmentType) -> None:
    ladder = cut(tmp_path / "ladder", segment_type)
    for name, encoded in encodes.items():
        whole = concatenated(ladder, name, tmp_path / "whole")
        # Out of a transport stream come frames with an ADTS header, which a filter of FFmpeg takes off again.
        options = ("-bsf:a", "aac_adtstoasc") if segment_type == "mpegts" else ()
        assert frames_of("-i", whole, *options) == frames_of("-i", encoded)


@pytest.mark.parametrize("segment_type", TYPES)
@pytest.mark.parametrize("seconds", [10, 6, 2.5])
def test_segments_of_all_renditions_decode_to_the_same_lengths(
    cut: Cut, encodes: Encodes, tmp_path: Path, segment_type: SegmentType, seconds: float
) -> None:
    """Each by itself, as a player does that begins or continues there."""
    ladder = cut(tmp_path, segment_type, seconds)
    decoded: dict[str, list[int]] = {"low": [], "med": [], "high": []}
    init = {each.name.split("/")[0]: tmp_path / each.name for each in ladder.files if each.kind == "init"}
    for each in (each for each in ladder.files if each.kind == "segment"):
        name = each.name.split("/")[0]
        alone = tmp_path / "alone"
        alone.write_bytes((init[name].read_bytes() if init else b"") + (tmp_path / each.name).read_bytes())
        decoded[name].append(len(run("-i", alone, "-f", "s16le", "-")) // 4)
    assert decoded["low"] == decoded["med"] == decoded["high"]
    each_samples = round(seconds * 44100 / 1024) * 1024
    assert decoded["low"][:-1] == [each_samples] * (len(decoded["low"]) - 1)
    assert sum(decoded["low"]) == read_m4a(encodes["low"]).frames * 1024
    told = [round(duration * 44100) for duration in ladder.segment_durations_seconds]
    assert told[:-1] == decoded["low"][:-1]
    assert sum(told) == (sum(decoded["low"]) if segment_type == "mpegts" else read_m4a(encodes["low"]).samples)


@pytest.mark.parametrize("segment_type", TYPES)
def test_the_same_encodes_give_the_same_bytes(cut: Cut, tmp_path: Path, segment_type: SegmentType) -> None:
    one, two = (cut(tmp_path / name, segment_type) for name in ("one", "two"))
    assert one.files == two.files
    for each in one.files:
        assert (one.directory / each.name).read_bytes() == (two.directory / each.name).read_bytes()


def test_other_encodes_get_other_names_beside_the_old(cut: Cut, encodes: Encodes, tmp_path: Path) -> None:
    old = cut(tmp_path)
    before = {each.name: (tmp_path / each.name).read_bytes() for each in old.files if each.kind == "segment"}
    new = cut(tmp_path, of={**encodes, "low": encodes["med"]})
    assert new.generation != old.generation
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    for name in ("low", "med", "high"):
        assert old.generation not in (tmp_path / name / "playlist.m3u8").read_text()


def test_other_cuts_get_other_names(cut: Cut, tmp_path: Path) -> None:
    ladders = [cut(tmp_path / "10"), cut(tmp_path / "6", segment_duration_seconds=6), cut(tmp_path / "4", "fmp4")]
    assert len({ladder.generation for ladder in ladders}) == 3


@pytest.mark.parametrize("name", ["100%", "%03d", "a b 'c\" $(d)", "ünï–çødé 録音", "-f", "a:b"])
def test_any_directory_will_do(cut: Cut, encodes: Encodes, tmp_path: Path, name: str) -> None:
    ladder = cut(tmp_path / name)
    assert all((tmp_path / name / each.name).is_file() for each in ladder.files)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("segment_type", TYPES)
@pytest.mark.parametrize("seconds", [0.001, 0.5, 9.99, 10.2])
def test_short_tracks(cut: Cut, tmp_path: Path, segment_type: SegmentType, seconds: float) -> None:
    of = encode(music(seconds), tmp_path)
    ladder = cut(tmp_path / "ladder", segment_type, of=of)
    assert len(ladder.segment_durations_seconds) == 1
    assert ladder.target_duration_seconds == max(1, round(sum(ladder.segment_durations_seconds)))


def test_tags_and_covers_stay_out_of_segments(cut: Cut, encodes: Encodes, tmp_path: Path) -> None:
    run("-f", "lavfi", "-i", "color=red:s=64x64:d=1", "-frames:v", "1", tmp_path / "cover.png")
    tagged = {}
    for name, path in encodes.items():
        tagged[name] = tmp_path / f"{name}.m4a"
        inputs = (
            "-i",
            path,
            "-i",
            tmp_path / "cover.png",
            "-map",
            "0",
            "-map",
            "1",
            "-disposition:v:0",
            "attached_pic",
        )
        run(*inputs, "-c", "copy", "-metadata", "title=A secret title", tagged[name])
    for segment_type in TYPES:
        plain, other = cut(tmp_path / "a", segment_type), cut(tmp_path / "b", segment_type, of=tagged)
        assert plain.files == other.files
        assert all(b"Lavf" not in (other.directory / each.name).read_bytes() for each in other.files)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"low": (24.0, {})}, "low: 1035 frames .* high: 1078 frames"),
        ({"low": (SECONDS, {"channels": 1})}, "low: 1078 frames .* 1 channel"),
        ({"high": (SECONDS, {"sample_rate_hz": 48000})}, "48000 Hz"),
    ],
)
def test_encodes_that_do_not_line_up_are_refused(
    cut: Cut, encodes: Encodes, tmp_path: Path, options: dict[RenditionName, tuple[float, dict[str, int]]], told: str
) -> None:
    [(name, (seconds, kind))] = options.items()
    rate_hz = kind.get("sample_rate_hz", 44100)
    other = encode(music(seconds, **kind), tmp_path, bitrates_kbps={name: 48}, sample_rate_hz=rate_hz)
    with pytest.raises(EncodingError, match=f"do not line up .*{told}"):
        cut(tmp_path / "ladder", of={**encodes, **other})


def test_what_is_no_encode_is_refused(cut: Cut, encodes: Encodes, tmp_path: Path) -> None:
    broken = tmp_path / "low.m4a"
    with pytest.raises(StorageError, match=r"low\.m4a"):
        cut(tmp_path / "ladder", of={**encodes, "low": broken})
    broken.write_bytes(b"nonsense")
    with pytest.raises(NotAudioError, match=r"low\.m4a"):
        cut(tmp_path / "ladder", of={**encodes, "low": broken})
    run("-i", encodes["low"], "-c:a", "alac", broken)
    with pytest.raises(NotAudioError, match="no M4A with AAC"):
        cut(tmp_path / "ladder", of={**encodes, "low": broken})


def test_an_encode_that_is_cut_off_is_no_ladder(cut: Cut, encodes: Encodes, tmp_path: Path) -> None:
    """Its table of frames is whole, and half of them are missing."""
    broken = tmp_path / "low.m4a"
    data = encodes["low"].read_bytes()
    broken.write_bytes(data[: len(data) // 2])
    with pytest.raises(EncodingError, match=r"low\.m4a into 2 segments instead of 3"):
        cut(tmp_path / "ladder", of={**encodes, "low": broken})
    assert list((tmp_path / "ladder").iterdir()) == []


def test_it_ends_when_the_run_does(cut: Cut, children: ChildProcesses, tmp_path: Path) -> None:
    children.kill_all()
    with pytest.raises(CancelledError):
        cut(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_silence_has_a_ladder_too(cut: Cut, tmp_path: Path) -> None:
    ladder = cut(tmp_path / "ladder", of=encode(silence(12.0), tmp_path))
    assert all(rendition.average_bandwidth > 0 for rendition in ladder.renditions)


def test_a_full_disk_says_so(cut: Cut, small_disk: Path, tmp_path: Path) -> None:
    of = encode(music(45.0), tmp_path)
    with pytest.raises(OutOfSpaceError):
        cut(small_disk, of=of)
    assert list(small_disk.iterdir()) == []
