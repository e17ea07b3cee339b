"""What came out when FFmpeg decoded a file to its end: samples, the bytes that they were packed in, and errors.

Browsers write WebM without a duration, and a size says little about the sound where a video lies beside it. FFmpeg
counts both when it is asked to be verbose, in lines such as

    [in#0/matroska,webm @ 0x5581d3137d80] [verbose]   Input stream #0:0 (audio): 127 packets read (16815 bytes);
    127 frames decoded; 0 decode errors (365056 samples);

Texts out of the file, such as titles, stand behind ``[info]`` and cannot be taken for one of them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audio_compressor.audio.ffmpeg import Ffmpeg, ending, input_arguments, log_lines, problems, tail
from audio_compressor.errors import EncodingError
from audio_compressor.processes import ChildProcesses, Finished, TakeOutput

# For one file: ten hours of sound take minutes, and a machine may have other work.
TIMEOUT_SECONDS = 2 * 3600.0
# Each frame is handed from thread to thread: those of a second take a quarter less time than Opus' own of 20 ms.
_FRAME_SAMPLES = 48_000
_VERBOSE = ("-loglevel", "level+verbose")
_COUNTED = re.compile(
    r"^(?:\[[^]]* @ [^]]*] )?\[verbose] {2,}Input stream #0:(?P<index>\d+) \(audio\): \d+ packets read "
    r"\((?P<bytes>\d+) bytes\); \d+ frames decoded;(?: (?P<errors>\d+) decode errors)? \((?P<samples>\d+) samples\)",
    re.MULTILINE,
)
_FIRST_FRAME = re.compile(
    r"^\[ashowinfo@track(?P<track>\d+) @ [^]]*] \[info] n:0 .*? channels:(?P<channels>\d+) chlayout:.+? "
    r"rate:(?P<rate>\d+) ",
    re.MULTILINE,
)
# Several recordings in a row, of another rate or of other channels: what is counted is no time any more.
_RECONFIGURED = "Reconfiguring filter graph"


@dataclass(frozen=True)
class DecodedTrack:
    """One audio track, decoded to its end; channels and rate are 0 when not one sample came out of it."""

    channels: int
    sample_rate_hz: int
    samples: int
    packet_bytes: int

    @property
    def duration_seconds(self) -> float:
        """Of all samples that were decoded, whatever the times of the packets say."""
        return self.samples / self.sample_rate_hz if self.sample_rate_hz else 0.0


@dataclass(frozen=True)
class Decoded:
    """What was decoded of each track, and the texts of the errors that FFmpeg met."""

    tracks: tuple[DecodedTrack, ...]
    problems: tuple[str, ...]


def decode(
    path: Path,
    filters: Sequence[str],
    output: Sequence[str],
    *,
    ffmpeg: Ffmpeg,
    children: ChildProcesses,
    timeout_seconds: float,
    take_stdout: TakeOutput | None = None,
) -> Decoded:
    """Decode the first ``len(filters)`` audio tracks, each through its filters, into one output.

    Raises:
        EncodingError: FFmpeg was killed, reached the time limit, or does not tell what it decoded; which says nothing
            about the file.
        OutOfSpaceError, FfmpegMissingError, CancelledError: see `Ffmpeg.run`.
    """
    finished = ffmpeg.run(
        (*_VERBOSE, *input_arguments(path), *_graph(filters), *output),
        children=children,
        timeout_seconds=timeout_seconds,
        check=False,
        take_stdout=take_stdout,
    )
    if finished.returncode < 0:
        raise EncodingError(f"FFmpeg {ending(finished.returncode)} while it decoded {path.name}")
    tracks = _tracks(finished.stderr, len(filters))
    met = _problems(finished)
    if len(tracks) < len(filters) and not met:
        raise EncodingError(
            f"This FFmpeg ({ffmpeg.version}) does not tell what it decoded of {path.name}; "
            "leave FFMPEG_BINARY empty to use the one that imageio-ffmpeg ships"
        )
    missing = [DecodedTrack(0, 0, 0, 0)] * (len(filters) - len(tracks))
    return Decoded((*tracks, *missing), met)


def _graph(filters: Sequence[str]) -> tuple[str, ...]:
    chains = [
        f"[0:a:{track}]asetnsamples=n={_FRAME_SAMPLES}:p=0,asplit=2[all{track}][look{track}];[all{track}]{each}[out{track}];"
        f"[look{track}]atrim=end_sample=1,ashowinfo@track{track},anullsink"
        for track, each in enumerate(filters)
    ]
    maps = [argument for track in range(len(filters)) for argument in ("-map", f"[out{track}]")]
    return ("-filter_complex", ";".join(chains), *maps)


def _tracks(stderr: str, number: int) -> list[DecodedTrack]:
    shown = {int(match["track"]): match for match in _FIRST_FRAME.finditer(stderr)}
    counted = sorted(_COUNTED.finditer(stderr), key=lambda match: int(match["index"]))[:number]
    return [
        DecodedTrack(
            channels=int(shown[track]["channels"]) if track in shown else 0,
            sample_rate_hz=int(shown[track]["rate"]) if track in shown else 0,
            samples=int(match["samples"]),
            packet_bytes=int(match["bytes"]),
        )
        for track, match in enumerate(counted)
    ]


def _problems(finished: Finished) -> tuple[str, ...]:
    met = list(problems(finished.stderr))
    if finished.returncode and not met:
        met.append(f"FFmpeg {ending(finished.returncode)}: {tail(finished.stderr)}")
    met += [text for level, text in log_lines(finished.stderr) if level and text.startswith(_RECONFIGURED)]
    wrong = sum(int(match["errors"] or 0) for match in _COUNTED.finditer(finished.stderr))
    return (*met, f"{wrong} packets could not be decoded") if wrong else tuple(met)
