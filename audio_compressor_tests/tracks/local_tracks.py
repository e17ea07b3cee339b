"""Tracks as they come out of an encoder, for tests: of a few bytes where nobody plays them, and real ones."""

import hashlib
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

from audio_compressor.tracks.publication import LocalTrack

RENDITIONS = ("med", "low", "high")


@dataclass(frozen=True)
class Made:
    """``segments``: the contents of each rendition, in order; ``whole`` is the M4A."""

    local: LocalTrack
    segments: Mapping[str, tuple[bytes, ...]]
    whole: bytes


def small_track(directory: Path, name: str, *, segments: int = 2, suffix: str = "ts", named: str = "") -> Made:
    """Its contents are told by ``name``. ``named``: what the names of segments hold instead of a hash."""
    contents = {
        rendition: tuple(f"{name} {rendition} {number} ".encode() * 50 for number in range(segments))
        for rendition in RENDITIONS
    }
    return write_track(directory, contents, f"{name} whole".encode() * 100, suffix, named)


def write_track(
    directory: Path, contents: Mapping[str, tuple[bytes, ...]], whole: bytes, suffix: str = "ts", named: str = ""
) -> Made:
    generation = named or hashlib.sha256(b"".join(b"".join(pieces) for pieces in contents.values())).hexdigest()[:10]
    master = ["#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for rendition, pieces in contents.items():
        folder = directory / rendition
        folder.mkdir(parents=True)
        lines = ["#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-TARGETDURATION:2", "#EXT-X-PLAYLIST-TYPE:VOD"]
        if suffix == "m4s":
            (folder / f"init_{generation}.mp4").write_bytes(f"init {rendition}".encode())
            lines.append(f'#EXT-X-MAP:URI="init_{generation}.mp4"')
        for number, piece in enumerate(pieces):
            segment = f"segment_{generation}_{number:03d}.{suffix}"
            (folder / segment).write_bytes(piece)
            lines += ["#EXTINF:1.500000,", segment]
        (folder / "playlist.m3u8").write_text("\n".join([*lines, "#EXT-X-ENDLIST"]) + "\n")
        master += ['#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.2"', f"{rendition}/playlist.m3u8"]
    (directory / "playlist.m3u8").write_text("\n".join(master) + "\n")
    (directory / "whole.m4a").write_bytes(whole)
    return Made(LocalTrack(directory, directory / "whole.m4a"), contents, whole)


def real_track(directory: Path, frequency_hz: int, segments: int) -> Made:
    """A tone in segments of 1.5 s, the last of 1.3 s, by FFmpeg."""
    encoded = directory / "encoded"
    encoded.mkdir(parents=True)
    tone = f"sine=frequency={frequency_hz}:sample_rate=44100:duration={1.5 * segments - 0.2}"
    command = [get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", tone, "-c:a", "aac", "-b:a", "64k"]
    subprocess.run([*command, str(encoded / "whole.m4a")], check=True)
    cut = ["-f", "segment", "-segment_time", "1.5", "-segment_format", "mpegts", str(encoded / "%03d.ts")]
    subprocess.run([*command, *cut], check=True)
    pieces = tuple(path.read_bytes() for path in sorted(encoded.glob("*.ts")))
    assert len(pieces) == segments
    return write_track(directory / "ladder", dict.fromkeys(RENDITIONS, pieces), (encoded / "whole.m4a").read_bytes())
