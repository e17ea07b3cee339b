"""hls.js in headless Chromium: every variant plays to its end, and changing between them leaves no gap."""

from itertools import pairwise
from pathlib import Path

import pytest

from audio_compressor.hls.layout import SegmentType
from audio_compressor_tests.hls.breaking import in_segments, later_decode_time
from audio_compressor_tests.hls.browser import play
from audio_compressor_tests.hls.conftest import SECONDS, Cut

pytestmark = pytest.mark.long

# In each segment of 4 s, of which there are six, there is time to ask for the next variant.
ROUTES = [["low"], ["med"], ["high"], [], ["low", "high", "med"], ["high", "low"]]
FRAME_SECONDS = 1024 / 44100
# On a busy machine the short buffer runs dry, and to change the variant may end a request under way. Of gaps hls.js has
# other words: it jumps over them.
HARMLESS = {"bufferStalledError", "aborted"}


@pytest.mark.parametrize("segment_type", ["mpegts", "fmp4"])
def test_every_variant_plays_and_changing_leaves_no_gap(cut: Cut, tmp_path: Path, segment_type: SegmentType) -> None:
    ladder = cut(tmp_path, segment_type, 4)
    segments = len(ladder.segment_durations_seconds)
    rates = {each.name: each.bandwidth for each in ladder.renditions}
    for route, told in zip(ROUTES, play(tmp_path, ROUTES), strict=True):
        assert set(told["errors"]) <= HARMLESS, route
        assert told["variants"] == [[name, rates[name], "mp4a.40.2"] for name in ("low", "med", "high")]
        # Heard to its end, which is that of the track but for the frames that encoders add.
        assert 0 <= told["duration"] - SECONDS < 4 * FRAME_SECONDS
        assert told["currentTime"] == pytest.approx(told["duration"], abs=0.01)
        assert all(before <= after for before, after in pairwise(told["times"])), route
        # One range: no gap, wherever the variant changed.
        [[start, end]] = told["buffered"]
        assert start == pytest.approx(0, abs=FRAME_SECONDS)
        assert end == pytest.approx(told["duration"], abs=FRAME_SECONDS)
        heard = [variant for _, variant in told["fragments"]]
        assert [number for number, _ in told["fragments"]][-1] == segments - 1
        if route:
            assert told["waiting"] == [], route
            assert list(dict.fromkeys(heard)) == route
            assert sum(before != after for before, after in pairwise(heard)) == len(route) - 1


def test_a_gap_would_be_seen(cut: Cut, tmp_path: Path) -> None:
    cut(tmp_path, "fmp4", 4)
    in_segments(later_decode_time(22050), "high/segment_*_00[3-9].m4s")(tmp_path)
    [told] = play(tmp_path, [["high"]])
    assert len(told["buffered"]) == 2
    assert not set(told["errors"]) <= HARMLESS
