"""The strict reader: every mistake is told, with its line, and none makes it fail."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_compressor.hls.tags import read_playlist

GOOD = """#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:10
#EXT-X-PLAYLIST-TYPE:VOD
#EXTINF:10.007800,
one.ts
#EXTINF:3,a title
two.ts
#EXT-X-ENDLIST
"""
STREAM = "#EXTM3U\n#EXT-X-STREAM-INF:{}\nlow.m3u8\n"


@pytest.mark.parametrize(
    ("old", "new", "rule", "line"),
    [
        ("#EXTM3U\n", "\ufeff#EXTM3U\n", "encoding", 0),
        ("a title", "a\x00title", "encoding", 0),
        ("a title", "a\x85title", "encoding", 0),
        ("#EXTM3U\n", "", "first-line", 0),
        ("#EXTM3U\n", "\n#EXTM3U\n", "first-line", 0),
        ("#EXTM3U", "#EXTM3U8", "first-line", 0),
        (":3\n", ":3.0\n", "values", 2),
        (":10\n", ":ten\n", "values", 3),
        (":10\n", ":-10\n", "values", 3),
        ("VOD", "vod", "values", 4),
        ("10.007800,", "10.007800", "values", 5),
        ("10.007800,", "10.007800s,", "values", 5),
        ("10.007800,", "1e1,", "values", 5),
        ("10.007800,", "nan,", "values", 5),
        ("10.007800,", "-1,", "values", 5),
        ("#EXT-X-VERSION:3\n", "#EXT-X-VERSION:3\n#EXT-X-VERSION:3\n", "tags-once", 3),
        ("#EXT-X-ENDLIST\n", "#EXT-X-ENDLIST\n#EXT-X-ENDLIST\n", "tags-once", 10),
        ("#EXTINF:3", "#EXT-X-KEY:METHOD=NONE\n#EXTINF:3", "tags", 7),
        ("#EXTINF:3", "#EXT-X-MAP:URI=init.mp4\n#EXTINF:3", "attributes", 7),
        ("#EXTINF:3", "#EXT-X-MAP:\n#EXTINF:3", "values", 7),
        ("#EXTINF:3", "#EXT-X-STREAM-INF:BANDWIDTH=1\n#EXTINF:3", "one-kind", 0),
    ],
)
def test_a_mistake_is_told(old: str, new: str, rule: str, line: int) -> None:
    assert old in GOOD
    assert read_playlist(GOOD.encode(), "low.m3u8")[1] == ()
    [finding, *others] = read_playlist(GOOD.replace(old, new, 1).encode(), "low.m3u8")[1]
    # An EXT-X-MAP whose URI cannot be read has none; a first line that is no #EXTM3U may be another tag.
    assert {each.rule for each in others} <= ({"values"} if rule == "attributes" else {"tags"})
    assert finding.rule == rule
    assert finding.where == (f"low.m3u8 line {line}" if line else "low.m3u8")


@pytest.mark.parametrize(
    "attributes",
    [
        "BANDWIDTH=1,BANDWIDTH=1",
        "BANDWIDTH=1,",
        ",BANDWIDTH=1",
        "BANDWIDTH",
        "BANDWIDTH=",
        "bandwidth=1",
        "BANDWIDTH=1 ",
        "BANDWIDTH =1",
        'BANDWIDTH="1"',
        "BANDWIDTH=1.5",
        "BANDWIDTH=1,CODECS=mp4a.40.2",
        'BANDWIDTH=1,CODECS="mp4a.40.2',
        'BANDWIDTH=1,CODECS="mp4a.40.2"X',
    ],
)
def test_a_list_of_attributes_that_is_malformed_is_told(attributes: str) -> None:
    findings = read_playlist(STREAM.format(attributes).encode(), "master")[1]
    assert {each.rule for each in findings} == {"attributes"}


def test_attributes_are_read_whatever_is_in_them() -> None:
    text = STREAM.format('BANDWIDTH=1,CODECS="mp4a.40.2,avc1=x",X-OTHER=0x1F')
    playlist, findings = read_playlist(text.encode(), "master")
    assert findings == ()
    assert playlist.entries[0].attributes == {"BANDWIDTH": "1", "CODECS": "mp4a.40.2,avc1=x", "X-OTHER": "0x1F"}


def test_comments_and_empty_lines_are_nothing_and_lines_may_end_as_in_windows() -> None:
    plain = read_playlist(GOOD.encode(), "low.m3u8")[0]
    text = GOOD.replace("one.ts", "# a comment\n\none.ts").replace("\n", "\r\n")
    playlist, findings = read_playlist(text.encode(), "low.m3u8")
    assert findings == ()
    assert [(each.uri, each.duration_seconds) for each in playlist.entries] == [
        (each.uri, each.duration_seconds) for each in plain.entries
    ]


def test_a_variant_without_a_uri_is_told() -> None:
    [finding] = read_playlist(b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n", "master")[1]
    assert finding.rule == "values"


def test_what_is_not_utf_8_is_told() -> None:
    assert read_playlist(GOOD.encode().replace(b"one", b"\xff"), "low")[1][0].rule == "encoding"


WORDS = [
    "#EXTM3U",
    "#EXT-X-MAP:",
    "#EXTINF:",
    "#EXT-X-STREAM-INF:",
    "BANDWIDTH=",
    '"',
    ",",
    "\n",
    "\r",
    "1",
    "\x00",
    "é",
    "#",
]


@settings(deadline=None)  # a busy machine, not the code, decides how long an example takes
@given(st.one_of(st.binary(), st.lists(st.sampled_from(WORDS)).map(lambda words: "".join(words).encode())))
def test_nothing_makes_the_reader_fail(data: bytes) -> None:
    playlist, findings = read_playlist(data, "x")
    assert findings or b"#EXTM3U" in data
    assert all("\n" not in entry.uri for entry in playlist.entries)
