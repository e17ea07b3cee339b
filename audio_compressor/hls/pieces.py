"""FFmpeg cuts encodes into segments by stream copy; here is how it is told to, and what is mended in what it writes.

Its `segment` muxer cuts at given frames. Its `hls` muxer cuts at times, and makes segments of unequal length of them.
MPEG-TS carries AAC in PES packets, not as packed audio with an ID3 timestamp (RFC 8216, 3.4): the source document asks
for `.ts`, and what packed audio saves, 6 % of the low rendition, fMP4 saves as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from audio_compressor.audio.ffmpeg import Ffmpeg, file_url, input_arguments
from audio_compressor.errors import EncodingError
from audio_compressor.hls.layout import RenditionName, SegmentType
from audio_compressor.hls.mpegts import recognisable, without_first_packets
from audio_compressor.hls.plan import SegmentPlan
from audio_compressor.processes import ChildProcesses

_MUXERS: Mapping[SegmentType, tuple[str, str]] = {
    # Tables once a segment; every 0.1 s, as FFmpeg writes them, they were 18 % of the low rendition. The clock
    # reference comes with each PES packet, every 0.16 to 0.37 s. The 0.1 s of ISO/IEC 13818-1 (2.7.2) would need
    # smaller packets, 23 % of the low rendition, so that receivers of a broadcast keep in step; HLS is fetched.
    "mpegts": ("mpegts", "pat_period=1000000:sdt_period=1000000"),
    "fmp4": ("mp4", "movflags=cmaf+frag_custom+skip_sidx+skip_trailer"),
}
# FFmpeg begins each segment with a service description table. The first two packets should be PAT and PMT (RFC 8216,
# 3.2), and nothing in HLS reads the third.
_SERVICE_DESCRIPTION_PID = 17
# What a segment in a file of its own begins with (ISO/IEC 14496-12, 8.16.2): `msdh`, a general media segment.
_STYP = b"\x00\x00\x00\x14stypmsdh\x00\x00\x00\x00msdh"
_INIT = "init"
_NUMBERED = "[0-9]*"


@dataclass(frozen=True)
class Pieces:
    """The segments of one rendition under passing names, in order; ``init`` is None for a transport stream."""

    segments: tuple[Path, ...]
    init: Path | None


def cut_pieces(
    encodes: Mapping[RenditionName, Path],
    scratch: Path,
    plan: SegmentPlan,
    segment_type: SegmentType,
    *,
    ffmpeg: Ffmpeg,
    children: ChildProcesses,
    timeout_seconds: float,
) -> Mapping[RenditionName, Pieces]:
    """Cut every encode as planned, into directories below ``scratch``.

    Raises:
        EncodingError: FFmpeg failed, or did not make the segments that were planned.
        OutOfSpaceError: the disk is full.
        CancelledError: the children are being killed.
        OSError: ``scratch`` cannot be written to.
    """
    directories = {name: scratch / name for name in encodes}
    for directory in directories.values():
        directory.mkdir()
    ffmpeg.run(_arguments(encodes, directories, plan, segment_type), children=children, timeout_seconds=timeout_seconds)
    found = {}
    for name, directory in directories.items():
        segments = tuple(sorted(directory.glob(_NUMBERED)))
        if len(segments) != len(plan.frames):
            raise EncodingError(
                f"FFmpeg cut {encodes[name].name} into {len(segments)} segments instead of {len(plan.frames)}; "
                "encode it again"
            )
        found[name] = Pieces(segments, directory / _INIT if segment_type == "fmp4" else None)
    for segment in (segment for pieces in found.values() for segment in pieces.segments):
        segment.write_bytes(_mended(segment.read_bytes(), segment_type))
    return found


def _arguments(
    encodes: Mapping[RenditionName, Path],
    directories: Mapping[RenditionName, Path],
    plan: SegmentPlan,
    segment_type: SegmentType,
) -> Sequence[str]:
    """One FFmpeg for all: to start it takes as long as to cut ten minutes."""
    muxer, options = _MUXERS[segment_type]
    cuts = ",".join(map(str, plan.cuts))
    inputs = [argument for path in encodes.values() for argument in input_arguments(path)]
    outputs: list[str] = []
    for index, name in enumerate(encodes):
        directory = file_url(directories[name])
        outputs += [
            *("-map", f"{index}:a:0", "-map_metadata", "-1", "-map_chapters", "-1", "-c", "copy"),
            *("-fflags", "+bitexact", "-flags", "+bitexact", "-f", "segment", "-segment_frames", cuts),
            *("-individual_header_trailer", "0", "-segment_format", muxer, "-segment_format_options", options),
            *(("-segment_header_filename", f"{directory}/{_INIT}") if segment_type == "fmp4" else ()),
            f"{directory.replace('%', '%%')}/%05d",
        ]
    return [*inputs, *outputs]


def _mended(data: bytes, segment_type: SegmentType) -> bytes:
    if segment_type == "fmp4":
        return _STYP + data
    return recognisable(without_first_packets(data, _SERVICE_DESCRIPTION_PID))
