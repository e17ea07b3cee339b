"""What is written is what readers read: our own strict one, and m3u8, a library of another author."""

from decimal import Decimal

import m3u8
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_compressor.hls.playlists import MediaSegment, Variant, write_master_playlist, write_media_playlist
from audio_compressor.hls.tags import read_playlist

URIS = st.from_regex(r"[a-z0-9_]{1,12}(/[a-z0-9_]{1,12})?\.(ts|m4s|m3u8|mp4)", fullmatch=True)
SEGMENTS = st.lists(st.builds(MediaSegment, URIS, st.integers(1, 60_000_000)), min_size=1, max_size=30)
RATES = st.integers(1, 10**9)
CODECS = st.sampled_from(["mp4a.40.2", "mp4a.40.5", "mp4a.40.2,mp4a.40.5"])
VARIANTS = st.lists(st.builds(Variant, URIS, RATES, RATES, CODECS), min_size=1, max_size=8)


@settings(deadline=None)  # a busy machine, not the code, decides how long an example takes
@given(SEGMENTS, st.integers(1, 60), st.none() | URIS)
def test_media_playlists(segments: list[MediaSegment], target_seconds: int, map_uri: str | None) -> None:
    text = write_media_playlist(segments, target_seconds, map_uri)
    seconds = [Decimal(segment.duration_microseconds) / 1_000_000 for segment in segments]
    uris = [segment.uri for segment in segments]

    playlist, findings = read_playlist(text.encode(), "low")
    assert findings == ()
    assert [entry.uri for entry in playlist.entries] == uris
    assert [entry.duration_seconds for entry in playlist.entries] == seconds
    assert {entry.map_uri for entry in playlist.entries} == {map_uri}
    assert (playlist.is_master, playlist.playlist_type) == (False, "VOD")
    assert playlist.target_duration_seconds == target_seconds
    assert playlist.version == (6 if map_uri else 3)
    assert {"EXT-X-ENDLIST", "EXT-X-INDEPENDENT-SEGMENTS"} <= playlist.tags

    other = m3u8.loads(text)
    assert [each.uri for each in other.segments] == uris
    assert [Decimal(repr(each.duration)) for each in other.segments] == seconds
    assert [each.uri for each in other.segment_map] == ([map_uri] if map_uri else [])
    assert (other.target_duration, other.playlist_type.upper()) == (target_seconds, "VOD")
    assert (other.is_variant, other.is_endlist, other.is_independent_segments) == (False, True, True)
    assert int(other.version) == playlist.version


@settings(deadline=None)  # a busy machine, not the code, decides how long an example takes
@given(VARIANTS, st.booleans())
def test_master_playlists(variants: list[Variant], with_maps: bool) -> None:
    text = write_master_playlist(variants, with_maps=with_maps)

    playlist, findings = read_playlist(text.encode(), "master")
    assert findings == ()
    assert playlist.is_master
    assert [read_back(entry.uri, entry.attributes or {}) for entry in playlist.entries] == variants

    other = m3u8.loads(text)
    assert other.is_variant
    assert other.is_independent_segments
    infos = [each.stream_info for each in other.playlists]
    assert [each.uri for each in other.playlists] == [variant.uri for variant in variants]
    assert [(each.bandwidth, each.average_bandwidth, each.codecs) for each in infos] == [
        (variant.bandwidth, variant.average_bandwidth, variant.codecs) for variant in variants
    ]


def read_back(uri: str, attributes: "dict[str, str] | object") -> Variant:
    assert isinstance(attributes, dict)
    return Variant(uri, int(attributes["BANDWIDTH"]), int(attributes["AVERAGE-BANDWIDTH"]), attributes["CODECS"])
