"""Is the output what it should be? Decodes it to its end in one pass that also measures it and draws its waveform.

FFmpeg's exit code proves nothing: an Opus file cut in half decodes with exit code 0. Its duration gives it away.
"""

from dataclasses import dataclass
from pathlib import Path

from audio_compressor.audio.ffmpeg import Ffmpeg, ending, input_arguments, problems, tail
from audio_compressor.audio.levels import Levels, parse_volumedetect
from audio_compressor.audio.probe import FIRST_SAMPLE, Stream, parse_stream
from audio_compressor.audio.profiles import Profile
from audio_compressor.audio.wav import LARGE_PACKETS
from audio_compressor.errors import VerificationError
from audio_compressor.processes import ChildProcesses

# Square root scale, or talk is a thin line. Transparent behind one colour, so that it suits a light and a dark page.
# With fewer samples than columns showwavespic fails, hence apad.
_PICTURE = "apad=whole_len=1200,showwavespic=s=600x80:scale=sqrt:filter=peak:colors=#2f6fab|#2f6fab"


@dataclass(frozen=True)
class VerifiedOutput:
    """What the output decodes to; ``levels`` are of all channels together, ``waveform_png`` is a picture of 600x80."""

    stream: Stream
    duration_seconds: float
    levels: Levels
    waveform_png: bytes


def verify_output(
    path: Path,
    expected_duration_seconds: float,
    profile: Profile,
    *,
    ffmpeg: Ffmpeg,
    children: ChildProcesses,
    timeout_seconds: float,
) -> VerifiedOutput:
    """Decode ``path`` to its end and compare its duration.

    Raises:
        VerificationError: it does not decode without an error, is not what the profile asks for, or has another length.
        EncodingError: the time limit was reached.
    """
    graph = (
        "[0:a:0]asplit=3[all][look][draw];"
        f"[all]volumedetect[sound];[look]{FIRST_SAMPLE},anullsink;[draw]{_PICTURE}[png]"
    )
    finished = ffmpeg.run(
        (
            *input_arguments(path, LARGE_PACKETS if profile.audio_format == "wav" else ()),
            *("-filter_complex", graph, "-map", "[sound]", "-f", "null", "-"),
            *("-map", "[png]", "-frames:v", "1", "-c:v", "png", "-fflags", "+bitexact", "-f", "image2pipe", "pipe:1"),
        ),
        children=children,
        timeout_seconds=timeout_seconds,
        check=False,
    )
    if finished.returncode or problems(finished.stderr):
        raise VerificationError(
            f"The output {path.name} does not decode to its end: FFmpeg {ending(finished.returncode)}, "
            f"{tail(finished.stderr)}",
            check="decodes_to_end",
        )
    stream, measured = parse_stream(finished.stderr), parse_volumedetect(finished.stderr)
    if stream is None or not measured:
        raise VerificationError(f"The output {path.name} holds no sound", check="decodes_to_end")
    _compare_streams(path, stream, profile)
    duration_seconds = measured[0].samples / stream.channels / stream.sample_rate_hz
    _compare_durations(path, duration_seconds, expected_duration_seconds, profile)
    return VerifiedOutput(stream, duration_seconds, measured[0], finished.stdout)


def _compare_streams(path: Path, stream: Stream, profile: Profile) -> None:
    found = (stream.codec, stream.sample_rate_hz, stream.channels)
    wanted = (profile.codec, profile.decoded_sample_rate_hz, profile.channels)
    if found != wanted:
        raise VerificationError(
            f"The output {path.name} decodes as {found[0]}, {found[1]} Hz, {found[2]} channel(s) "
            f"instead of {wanted[0]}, {wanted[1]} Hz, {wanted[2]}",
            check="decodes_to_end",
        )


def _compare_durations(path: Path, duration_seconds: float, expected_seconds: float, profile: Profile) -> None:
    difference_seconds = duration_seconds - expected_seconds
    if abs(difference_seconds) > profile.tolerance_seconds:
        raise VerificationError(
            f"The output {path.name} lasts {duration_seconds:.3f} s, its source {expected_seconds:.3f} s: "
            f"{abs(difference_seconds):.3f} s too {'long' if difference_seconds > 0 else 'short'}, "
            f"where {profile.tolerance_seconds:.3f} s are allowed",
            check="duration_matches",
        )
