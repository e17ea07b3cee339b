"""Plays a ladder to its end as a player would: FFmpeg's HLS demuxer over HTTP, every variant of the master playlist."""

from dataclasses import dataclass
from pathlib import Path

from audio_compressor.audio.ffmpeg import Ffmpeg, loopback_input_arguments, problems, tail
from audio_compressor.audio.levels import parse_volumedetect
from audio_compressor.errors import EncodingError
from audio_compressor.hls.layout import PLAYLIST_NAME
from audio_compressor.hls.server import serve_directory
from audio_compressor.processes import ChildProcesses

# Each frame is handed from thread to thread, so they are few and large.
_FRAME_SAMPLES = 48_000


@dataclass(frozen=True)
class Played:
    """``samples`` of each variant, all channels together, in the order of the master playlist; ``problem`` says what
    went wrong, and is empty when nothing did."""

    samples: tuple[int, ...]
    problem: str


def play_ladder(
    directory: Path, variants: int, *, ffmpeg: Ffmpeg, children: ChildProcesses, timeout_seconds: float
) -> Played:
    """Play all ``variants`` side by side. The caller has made sure that no playlist names anything but files in here.

    Raises:
        EncodingError: FFmpeg was killed, or reached its time limit; which is no verdict on the ladder.
        CancelledError: the children are being killed.
    """
    count = f"asetnsamples=n={_FRAME_SAMPLES}:p=0,volumedetect"
    graph = ";".join(f"[0:a:{number}]{count}[played{number}]" for number in range(variants))
    sinks = [argument for number in range(variants) for argument in ("-map", f"[played{number}]")]
    with serve_directory(directory) as serving:
        finished = ffmpeg.run(
            (
                *loopback_input_arguments(serving.port, PLAYLIST_NAME),
                "-filter_complex",
                graph,
                *sinks,
                "-f",
                "null",
                "-",
            ),
            children=children,
            timeout_seconds=timeout_seconds,
            check=False,
        )
    if finished.returncode < 0:
        raise EncodingError("FFmpeg was killed while it played the ladder; try again")
    samples = tuple(levels.samples for levels in parse_volumedetect(finished.stderr))
    if serving.refused:
        return Played(samples, f"it asked in vain for {serving.refused[0]}")
    if finished.returncode or problems(finished.stderr):
        return Played(samples, tail(finished.stderr))
    return Played(samples, "")
