"""A correct ladder has no findings; a ladder that is broken in one way has that one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.verify import played_seconds
from audio_compressor.errors import StorageError
from audio_compressor.hls.conforms import HlsReport, hls_conforms, judge, judge_played
from audio_compressor.hls.layout import RenditionName, SegmentType
from audio_compressor.hls.play import Played
from audio_compressor.hls.probe import probe_ladder
from audio_compressor.hls.rules import RULES
from audio_compressor.processes import ChildProcesses
from audio_compressor_tests.hls import breaking
from audio_compressor_tests.hls.breaking import Break, all_of, in_bytes, in_segments, in_text, told_anew
from audio_compressor_tests.hls.conftest import SECONDS, Cut
from audio_compressor_tests.hls.encodes import encode, half_silent, music
from audio_compressor_tests.wav_files import silence

TYPES: tuple[SegmentType, ...] = ("mpegts", "fmp4")
ALL = ("low", "med", "high")
WHOLE = 1078 * 1024 * 2
Conforms = Callable[[Path, float], HlsReport]


@pytest.fixture
def conforms(ffmpeg: Ffmpeg, children: ChildProcesses) -> Conforms:
    def judged(directory: Path, m4a_seconds: float) -> HlsReport:
        return hls_conforms(directory, m4a_seconds, ffmpeg=ffmpeg, children=children, timeout_seconds=60)

    return judged


@pytest.mark.parametrize(
    ("segment_type", "seconds", "noted"),
    [
        ("fmp4", 6, set()),
        ("fmp4", 10, {"six-seconds"}),
        ("mpegts", 6, {"elementary"}),
        ("mpegts", 10, {"six-seconds", "elementary"}),  # as in the source document
    ],
)
def test_a_ladder_has_no_findings(
    cut: Cut, conforms: Conforms, tmp_path: Path, segment_type: SegmentType, seconds: float, noted: set[str]
) -> None:
    cut(tmp_path, segment_type, seconds)
    report = conforms(tmp_path, SECONDS)
    assert [str(finding) for finding in report.findings] == []
    assert report.passed
    assert {finding.rule for finding in report.notes} == noted
    assert report.variants == ("med/playlist.m3u8", "low/playlist.m3u8", "high/playlist.m3u8")
    assert report.segments == 3 * (3 if seconds == 10 else 5)
    assert report.played_seconds == pytest.approx([1078 * 1024 / 44100] * 3, abs=1e-9)


@pytest.mark.parametrize("segment_type", TYPES)
@pytest.mark.parametrize("seconds", [0.001, 0.4, 3.0, 10.3, 20.1])
def test_short_tracks_have_none_either(
    cut: Cut, conforms: Conforms, tmp_path: Path, segment_type: SegmentType, seconds: float
) -> None:
    cut(tmp_path / "ladder", segment_type, of=encode(music(seconds), tmp_path))
    assert [str(finding) for finding in conforms(tmp_path / "ladder", seconds).findings] == []


@pytest.mark.parametrize("segment_type", ["mpegts", "fmp4"])
@pytest.mark.parametrize("seconds", [0.01, 0.05, 1.0, 3.0])
def test_short_silence_and_short_sound_have_none(
    cut: Cut, conforms: Conforms, tmp_path: Path, segment_type: SegmentType, seconds: float
) -> None:
    for name, sound in (("silent", silence(seconds)), ("loud", music(seconds))):
        cut(tmp_path / name, segment_type, of=encode(sound, tmp_path / f"encodes of {name}"))
        assert conforms(tmp_path / name, seconds).findings == (), name


def test_silence_has_none_either(cut: Cut, conforms: Conforms, tmp_path: Path) -> None:
    cut(tmp_path / "ladder", of=encode(silence(25.0), tmp_path))
    assert [str(finding) for finding in conforms(tmp_path / "ladder", 25.0).findings] == []


def test_what_the_track_is_to_blame_for_is_noted(cut: Cut, conforms: Conforms, tmp_path: Path) -> None:
    cut(tmp_path / "ladder", "fmp4", 6, encode(half_silent(40.0), tmp_path))
    report = conforms(tmp_path / "ladder", 40.0)
    assert report.findings == ()
    assert {finding.rule for finding in report.notes} == {"peaks"}


def test_the_length_is_that_of_the_m4a(
    conforms: Conforms,
    ladders: Callable[[SegmentType], Path],
    encodes: dict[RenditionName, Path],
    ffmpeg: Ffmpeg,
    children: ChildProcesses,
) -> None:
    exact = played_seconds(encodes["high"], ffmpeg=ffmpeg, children=children, timeout_seconds=60)
    assert exact == SECONDS
    directory = ladders("fmp4")
    assert conforms(directory, exact).passed
    for wrong in (exact - 0.1, exact + 0.1):
        assert {finding.rule for finding in conforms(directory, wrong).findings} == {"as-long"}


BREAKS: dict[str, tuple[SegmentType, Break, set[str]]] = {
    # What is allowed
    "timestamps that begin again": ("mpegts", in_segments(breaking.later(-12 * 90_000), "*/segment*"), set()),
    "a discontinuity in all": (
        "mpegts",
        all_of(
            in_text(r"(#EXTINF[^\n]*\n[^\n]*_001)", r"#EXT-X-DISCONTINUITY\n\1", *ALL),
            in_segments(breaking.later(900_000), "*/segment_*_00[12].ts"),
            in_segments(breaking.with_other_counters, "*/segment_*_00[12].ts"),
        ),
        set(),
    ),
    "media playlists under their second names": ("mpegts", breaking.second_names, set()),
    # The text of playlists
    "a byte order mark": ("mpegts", in_text("#EXTM3U", "\ufeff#EXTM3U"), {"encoding"}),
    "no #EXTM3U": ("mpegts", in_text("#EXTM3U\n", ""), {"first-line"}),
    "tags of both kinds": ("mpegts", in_text("(#EXT-X-VERSION)", r"#EXT-X-ENDLIST\n\1", ""), {"one-kind"}),
    "no master playlist": ("mpegts", in_text("#EXT-X-STREAM-INF.*\n", "", "", count=3), {"one-kind"}),
    "an attribute twice": ("mpegts", in_text("(,AVERAGE.*),CODECS", r"\1\1,CODECS", ""), {"attributes"}),
    "no number": ("mpegts", in_text("SEQUENCE:0", "SEQUENCE:first"), {"values"}),
    "a tag twice": ("mpegts", in_text("(#EXT-X-PLAYLIST.*\n)", r"\1\1"), {"tags-once"}),
    "a key": ("mpegts", in_text("(#EXTINF)", r'#EXT-X-KEY:METHOD=AES-128,URI="key"\n\1'), {"tags"}),
    "fractions in version 2": ("mpegts", in_text("VERSION:3", "VERSION:2"), {"version"}),
    "a map in version 5": ("fmp4", in_text("VERSION:6", "VERSION:5"), {"version"}),
    # Media playlists
    "no EXTINF": ("mpegts", in_text("#EXTINF:10.*\n", ""), {"extinf"}),
    "no target duration": ("mpegts", in_text("#EXT-X-TARGET.*\n", "", *ALL), {"target-duration"}),
    "a target too short": ("mpegts", in_text("DURATION:10", "DURATION:9", *ALL), {"target-duration", "overrun"}),
    "an EXTINF too long": (
        "mpegts",
        all_of(in_text("10.007800", "10.009000"), told_anew),
        {"durations"},
    ),
    "an EXTINF too short": (
        "fmp4",
        all_of(in_text("10.007800", "10.006700"), told_anew),
        {"durations"},
    ),
    "EXTINFs that add up": (
        "mpegts",
        all_of(in_text(r"10\.00780\d", "10.008500", count=2), told_anew),
        {"durations"},
    ),
    "no type": ("mpegts", in_text("#EXT-X-PLAYLIST.*\n", ""), {"vod"}),
    "an event": ("mpegts", in_text("VOD", "EVENT"), {"vod"}),
    "no end": ("mpegts", in_text("#EXT-X-ENDLIST\n", ""), {"end"}),
    "no map": ("fmp4", all_of(in_text("#EXT-X-MAP.*\n", ""), breaking.deleted("low/init_*")), {"map"}),
    "not independent": ("mpegts", in_text("#EXT-X-INDEPENDENT-SEGMENTS\n", ""), {"independent"}),
    "not independent in the master": ("mpegts", in_text("#EXT-X-INDEPENDENT-SEGMENTS\n", "", ""), {"independent"}),
    "segments of 10 s": ("fmp4", lambda _: None, {"six-seconds"}),
    # Files
    "another server": (
        "mpegts",
        all_of(breaking.deleted("low/segment_*_001.ts"), in_text("(segment.*001.ts)", r"http://example.org/\1")),
        {"relative"},
    ),
    "another directory": ("mpegts", in_text("^med/", "../med/", ""), {"relative", "variants"}),
    "no segment": ("mpegts", breaking.deleted("low/segment_*_001.ts"), {"available"}),
    "no init section": ("fmp4", breaking.deleted("low/init_*"), {"available"}),
    "no media playlist": ("mpegts", breaking.deleted("low/playlist.m3u8"), {"available"}),
    "a strange name": ("mpegts", breaking.renamed, {"named"}),
    "a segment in no playlist": ("mpegts", breaking.left_over, {"unreferenced"}),
    # The master playlist
    "two variants": ("mpegts", in_text("#EXT-X-STREAM-INF.*\nhigh.*\n", "", ""), {"variants"}),
    "a variant twice": ("mpegts", in_text("^high/", "low/", ""), {"variants", "bandwidth", "average"}),
    "a variant of another name": ("mpegts", breaking.other_directory, {"variants"}),
    "the lowest first": ("mpegts", breaking.med_not_first, {"default"}),
    "no BANDWIDTH": ("mpegts", in_text(r":BANDWIDTH=\d+,", ":", ""), {"bandwidth"}),
    "another BANDWIDTH": ("mpegts", in_text(r":BANDWIDTH=(\d+)", r":BANDWIDTH=1\1", ""), {"bandwidth"}),
    "no average": ("mpegts", in_text(r"AVERAGE-BANDWIDTH=\d+,", "", ""), {"average"}),
    "another average": ("mpegts", in_text(r"AVERAGE-BANDWIDTH=.", "AVERAGE-BANDWIDTH=1", ""), {"average"}),
    "no CODECS": ("mpegts", in_text(",CODECS=.*", "", ""), {"codecs"}),
    "other CODECS": ("mpegts", in_text("mp4a.40.2", "mp4a.40.5", ""), {"codecs"}),
    "CODECS of video, too": ("mpegts", in_text("mp4a.40.2", "mp4a.40.2,avc1.4d401e", ""), {"codecs"}),
    # All variants together
    "two target durations": ("mpegts", all_of(in_text("DURATION:10", "DURATION:11"), told_anew), {"same-target"}),
    "one variant shorter": ("mpegts", breaking.without_last_segment, {"same-content"}),
    "one variant later": ("mpegts", in_segments(breaking.later(90_000), "low/segment*"), {"same-start"}),
    "one variant in mono": (
        "fmp4",
        in_bytes(b"\x05\x80\x80\x80\x05\x12\x10", b"\x05\x80\x80\x80\x05\x12\x08", "low/init*"),
        {"same-format"},
    ),
    "all variants in mono": (
        "fmp4",
        in_bytes(b"\x05\x80\x80\x80\x05\x12\x10", b"\x05\x80\x80\x80\x05\x12\x08", "*/init*"),
        {"stereo"},
    ),
    "one discontinuity": ("mpegts", in_text("(#EXTINF)", r"#EXT-X-DISCONTINUITY\n\1"), {"discontinuities"}),
    # Segments
    "nonsense": ("mpegts", in_segments(lambda data: bytes(len(data))), {"readable"}),
    "half a packet less": ("mpegts", in_segments(lambda data: data[:-90]), {"readable"}),
    "a nonsensical init section": ("fmp4", in_bytes(b"moov", b"noov", "low/init*"), {"readable"}),
    "a service description first": ("mpegts", in_segments(breaking.with_service_description_first), {"tables"}),
    "two programs": ("mpegts", in_segments(breaking.with_two_programs), {"one-program"}),
    "two streams": ("mpegts", in_segments(breaking.with_two_streams), {"one-sound"}),
    "two tracks": ("fmp4", in_segments(breaking.with_two_tracks, "low/init*"), {"one-sound"}),
    "a track not introduced": (
        "fmp4",
        in_bytes(b"tfhd\0\x02\0\x3a\0\0\0\x01", b"tfhd\0\x02\0\x3a\0\0\0\x02"),
        {"one-sound"},
    ),
    "counters from elsewhere": ("mpegts", in_segments(breaking.with_other_counters), {"counters"}),
    "a gap in time": ("mpegts", in_segments(breaking.later(90), "low/segment_*_00[12].ts"), {"timestamps"}),
    "a gap in time in a segment": (
        "mpegts",
        in_segments(breaking.later(90, 9), "low/segment_*_002.ts"),
        {"timestamps"},
    ),
    "a fragment too late": (
        "fmp4",
        in_segments(breaking.later_decode_time(1), "low/segment_*_002.m4s"),
        {"timestamps"},
    ),
    "an old brand": ("fmp4", in_bytes(b"iso6", b"isom", "low/init*"), {"init"}),
    "no ftyp first": ("fmp4", in_segments(lambda data: b"\0\0\0\x08free" + data, "low/init*"), {"init"}),
    "not for fragments": ("fmp4", in_bytes(b"mvex", b"free", "low/init*"), {"init"}),
    "no time": ("fmp4", in_bytes(b"tfdt", b"free"), {"fragments"}),
    "offsets from the file": ("fmp4", in_bytes(b"tfhd\0\x02", b"tfhd\0\0"), {"fragments"}),
    "stray bytes": ("fmp4", in_segments(breaking.with_a_byte_more), {"whole-frames"}),
    "a transport stream": ("mpegts", lambda _: None, {"elementary", "six-seconds"}),
}


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_is_found_and_nothing_else(name: str, ladders: Callable[[SegmentType], Path]) -> None:
    segment_type, change, expected = BREAKS[name]
    directory = ladders(segment_type)
    usual = {finding.rule for finding in judge(probe_ladder(directory)) if finding.cause}
    change(directory)
    found = list(judge(probe_ladder(directory)))
    assert {finding.rule for finding in found} - (usual - expected) == expected, [str(each) for each in found]


def test_a_lost_packet_is_found_by_what_is_missing(ladders: Callable[[SegmentType], Path]) -> None:
    directory = ladders("mpegts")
    in_segments(breaking.without_an_audio_packet)(directory)
    found = {finding.rule for finding in judge(probe_ladder(directory)) if not finding.cause}
    assert {"counters", "whole-frames"} <= found


def test_other_boundaries_are_found(cut: Cut, tmp_path: Path, encodes: dict[RenditionName, Path]) -> None:
    """Segments of 10.01 and of 10.05 s have the same target duration."""
    cut(tmp_path / "a")
    cut(tmp_path / "b", segment_duration_seconds=10.05)
    (tmp_path / "a" / "low").rename(tmp_path / "old")
    (tmp_path / "b" / "low").rename(tmp_path / "a" / "low")
    told_anew(tmp_path / "a")
    found = [finding for finding in judge(probe_ladder(tmp_path / "a")) if not finding.cause]
    # One for each of the two other variants that is not cut as the first is.
    assert {finding.rule for finding in found} == {"aligned"}


def test_an_earlier_generation_may_lie_beside_it(cut: Cut, tmp_path: Path, encodes: dict[RenditionName, Path]) -> None:
    """Players that hold its playlists still need it."""
    cut(tmp_path)
    cut(tmp_path, of={**encodes, "low": encodes["med"]})
    assert [finding for finding in judge(probe_ladder(tmp_path)) if not finding.cause] == []


def test_two_generations_in_one_playlist_are_found(
    cut: Cut, tmp_path: Path, encodes: dict[RenditionName, Path]
) -> None:
    cut(tmp_path / "a")
    cut(tmp_path / "b", of={**encodes, "med": encodes["low"]})
    [old], [new] = (list((tmp_path / name / "low").glob("*_001.ts")) for name in ("a", "b"))
    in_text(old.name, new.name)(tmp_path / "a")
    old.unlink()
    new.rename(old.with_name(new.name))
    found = [finding for finding in judge(probe_ladder(tmp_path / "a")) if not finding.cause]
    assert {finding.rule for finding in found} == {"named"}


@pytest.mark.parametrize(
    ("bitrate_kbps", "expected"), [(128, set()), (160, {"aac-rate"}), (192, {"aac-rate", "cellular"})]
)
def test_rates_beyond_what_is_recommended_are_found(
    cut: Cut, tmp_path: Path, bitrate_kbps: int, expected: set[str]
) -> None:
    of = encode(music(25.0), tmp_path, bitrates_kbps=dict.fromkeys(("low", "med", "high"), bitrate_kbps))
    cut(tmp_path / "ladder", of=of)
    found = [finding for finding in judge(probe_ladder(tmp_path / "ladder")) if not finding.cause]
    assert {finding.rule for finding in found} == expected


@pytest.mark.parametrize(
    ("segment_type", "change"),
    [
        ("mpegts", breaking.deleted("low/segment_*_001.ts")),
        ("fmp4", breaking.deleted("low/init_*")),
        ("mpegts", in_segments(lambda data: bytes(len(data)))),
        ("mpegts", in_segments(lambda data: data[: len(data) // 376 * 188])),
        ("fmp4", in_segments(lambda data: data[: len(data) // 2])),
    ],
)
def test_what_cannot_be_played_is_found_by_playing(
    ladders: Callable[[SegmentType], Path], conforms: Conforms, segment_type: SegmentType, change: Break
) -> None:
    directory = ladders(segment_type)
    change(directory)
    assert "plays" in {finding.rule for finding in conforms(directory, SECONDS).findings}


@pytest.mark.parametrize(
    ("samples", "problem", "expected"),
    [
        ((WHOLE, WHOLE, WHOLE), "", []),
        ((WHOLE, WHOLE, WHOLE - 2 * 1023), "", []),  # a last frame that is told to be cut short
        ((WHOLE, WHOLE, WHOLE - 2 * 1024), "", ["high/playlist.m3u8"]),
        ((WHOLE, WHOLE + 2, WHOLE), "", ["low/playlist.m3u8"]),
        ((WHOLE, WHOLE), "", ["playlist.m3u8"]),
        ((WHOLE, WHOLE, WHOLE), "an error", ["playlist.m3u8"]),
    ],
)
def test_every_sample_has_to_be_played(
    originals: dict[SegmentType, Path], samples: tuple[int, ...], problem: str, expected: list[str]
) -> None:
    """FFmpeg's exit code and its silence prove nothing; what it was to play is counted."""
    variants = probe_ladder(originals["fmp4"]).variants
    found = list(judge_played(variants, Played(samples, problem), SECONDS))
    assert [(each.rule, each.where) for each in found] == [("plays", where) for where in expected]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (in_text("^(segment.*_001.ts)", r"http://127.0.0.1:9/\1"), "relative"),
        (in_text("(#EXTINF)", r'#EXT-X-KEY:METHOD=AES-128,URI="http://127.0.0.1:9/key"\n\1', "high"), "tags"),
        (in_text("^segment.*_001.ts", "playlist.m3u8"), "named"),
        (in_text("^low/", "", ""), "one-kind"),
    ],
)
def test_a_ladder_that_leads_elsewhere_is_not_played(
    ladders: Callable[[SegmentType], Path], conforms: Conforms, change: Break, rule: str
) -> None:
    directory = ladders("mpegts")
    change(directory)
    report = conforms(directory, SECONDS)
    assert report.played_seconds == ()
    assert rule in {finding.rule for finding in report.findings}


def test_many_findings_of_one_kind_are_told_shortly(cut: Cut, conforms: Conforms, tmp_path: Path) -> None:
    cut(tmp_path, "fmp4", 2)
    breaking.deleted("high/segment_*")(tmp_path)
    missing = [finding for finding in conforms(tmp_path, SECONDS).findings if finding.rule == "available"]
    assert len(missing) == 5
    assert missing[-1].text.endswith("; and 8 more of this kind")


def test_there_has_to_be_a_ladder(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"playlist\.m3u8"):
        probe_ladder(tmp_path)


def test_every_rule_is_tested() -> None:
    broken = {rule for _, _, expected in BREAKS.values() for rule in expected}
    elsewhere = {"aligned", "aac-rate", "cellular", "counters", "peaks", "plays", "as-long"}
    assert broken | elsewhere == set(RULES)


def test_findings_say_what_where_and_by_which_rule(ladders: Callable[[SegmentType], Path]) -> None:
    directory = ladders("mpegts")
    in_text("#EXT-X-ENDLIST\n", "")(directory)
    told = [str(finding) for finding in judge(probe_ladder(directory)) if not finding.cause]
    assert told == [
        "low/playlist.m3u8: it has no EXT-X-ENDLIST, so players would load it again and again (RFC 8216 4.3.3.4, must)"
    ]
