"""What playlists name, and playlists that name something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_compressor.errors import AudioError
from audio_compressor.tracks.playlists import names_in, reached, renamed

MEDIA = """#EXTM3U
#EXT-X-VERSION:6
#EXT-X-MAP:URI="init_1.mp4"
#EXTINF:6.0,
segment_1_000.m4s
#EXTINF:6.0,
segment%20two.m4s
# a comment with URI="nothing"
#EXT-X-ENDLIST
"""
MASTER = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="med/playlist.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=1
low/playlist.m3u8
"""


def test_what_a_playlist_names() -> None:
    assert names_in("low/playlist.m3u8", MEDIA) == ("low/init_1.mp4", "low/segment_1_000.m4s", "low/segment two.m4s")
    assert names_in("playlist.m3u8", MASTER) == ("med/playlist.m3u8", "low/playlist.m3u8")
    assert names_in("low/playlist.m3u8", MEDIA.replace("\n", "\r\n")) == names_in("low/playlist.m3u8", MEDIA)


@pytest.mark.parametrize(
    "uri",
    [
        "../other/a.ts",
        "../../other/a.ts",
        "/a.ts",
        "http://example.org/a.ts",
        "//example.org/a.ts",
        "a.ts?x=1",
        "%2e%2e/%2e%2e/a.ts",
        "data:,a",
    ],
)
def test_a_playlist_that_names_something_elsewhere(uri: str) -> None:
    with pytest.raises(AudioError, match="which is not a file of this track"):
        names_in("playlist.m3u8", f"#EXTM3U\n{uri}\n")


@pytest.mark.parametrize("text", ["", "hello", "\ufeff#EXTM3U\n", "<html>"])
def test_what_is_no_playlist(text: str) -> None:
    with pytest.raises(AudioError, match="is no playlist"):
        names_in("playlist.m3u8", text)


def test_other_names() -> None:
    text = renamed("playlist.m3u8", MASTER, {"low/playlist.m3u8": "low/playlist_1.m3u8", "med/playlist.m3u8": "m/ü"})
    assert text == MASTER.replace("low/playlist", "low/playlist_1").replace("med/playlist.m3u8", "m/%C3%BC")
    assert renamed("low/playlist.m3u8", MEDIA, {"low/init_1.mp4": "med/init_2.mp4"}) == MEDIA.replace(
        "init_1.mp4", "../med/init_2.mp4"
    )


name = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="/"), min_size=1).filter(
    lambda text: text not in {".", ".."} and text == text.strip()
)


@given(st.dictionaries(st.tuples(name, name).map("/".join), st.tuples(name, name).map("/".join), min_size=1))
def test_any_names_can_be_given(names: dict[str, str]) -> None:
    text = renamed(
        "playlist.m3u8",
        "#EXTM3U\n" + "".join(f"low/{number}.m3u8\n" for number in range(len(names))),
        dict(zip((f"low/{number}.m3u8" for number in range(len(names))), names.values(), strict=True)),
    )
    assert names_in("playlist.m3u8", text) == tuple(dict.fromkeys(names.values()))


def test_everything_that_is_reached() -> None:
    texts = {"playlist.m3u8": MASTER, "low/playlist.m3u8": MEDIA, "high/playlist.m3u8": "#EXTM3U\na.ts\n"}
    asked: list[str] = []

    def read(playlist: str) -> str:
        asked.append(playlist)
        return texts[playlist]

    found = reached(["playlist.m3u8", "gone.m3u8"], texts, read)
    assert found == {
        "playlist.m3u8",
        "low/playlist.m3u8",
        "med/playlist.m3u8",
        *names_in("low/playlist.m3u8", MEDIA),
    }
    assert sorted(asked) == ["low/playlist.m3u8", "playlist.m3u8"]
    assert reached(["playlist.m3u8"], ["playlist.m3u8"], lambda _: "#EXTM3U\nplaylist.m3u8\n") == {"playlist.m3u8"}
