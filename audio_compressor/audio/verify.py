"""Is the output what it should be? Reads it to its end, measures every sample of it and draws its waveform.

FFmpeg decodes it; but the samples of a WAV file are in it as they are. FFmpeg's exit code proves nothing: an Opus file
cut in half decodes with exit code 0. Its duration gives it away.
"""

from dataclasses import dataclass
from pathlib import Path

from audio_compressor.audio.ffmpeg import Ffmpeg, ending, input_arguments, problems, tail
from audio_compressor.audio.levels import Levels
from audio_compressor.audio.probe import FIRST_SAMPLE, Stream, parse_stream
from audio_compressor.audio.profiles import Profile
from audio_compressor.audio.wav import inspect_wav
from audio_compressor.errors import EncodingError, VerificationError
from audio_compressor.local_files import local_errors
from audio_compressor.processes import ChildProcesses, TakeOutput

_READ_BYTES = 1 << 20
# Each frame is handed from thread to thread: 652 s of Opus took 0.59 s of CPU in its own frames of 60 ms, and 0.45 so.
_FRAME_SAMPLES = 48_000


@dataclass(frozen=True)
class VerifiedOutput:
    """What the output decodes to; ``levels`` are of all channels together, ``waveform_png`` is a picture of 600x80."""

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
        EncodingError: FFmpeg was killed, or reached the time limit.
        StorageError: it cannot be read.
    """
    # numpy and Pillow are loaded with the first recording, not with the code location.
    from audio_compressor.audio.meter import Meter
    from audio_compressor.audio.waveform import draw_waveform

    samples_per_second = profile.decoded_sample_rate_hz * profile.channels
    meter = Meter(round(expected_duration_seconds * samples_per_second))
    if profile.audio_format == "wav":
        _read_wav(path, profile, meter.add)
    else:
        stream = _decode(path, meter.add, ffmpeg, children, timeout_seconds)
        _compare_streams(path, profile, stream.codec, stream.sample_rate_hz, stream.channels)
    if not meter.samples:
        raise _does_not_decode(path, "it holds no sound")
    duration_seconds = meter.samples / samples_per_second
    _compare_durations(path, duration_seconds, expected_duration_seconds, profile)
    return VerifiedOutput(duration_seconds, meter.levels(), draw_waveform(*meter.outline()))


def played_seconds(path: Path, *, ffmpeg: Ffmpeg, children: ChildProcesses, timeout_seconds: float) -> float:
    """How long a file plays that FFmpeg decodes to its end.

    Raises:
        VerificationError: it does not decode without an error.
        EncodingError: FFmpeg was killed, or reached the time limit; which is no verdict on the file.
        OSError: it cannot be read.
    """
    header = inspect_wav(path)
    if header is not None and header.repair:  # FFmpeg reads half a file to its end without a word
        raise _does_not_decode(path, header.repair)
    size_bytes = 0

    def count(data: bytes) -> None:
        nonlocal size_bytes
        size_bytes += len(data)

    stream = _decode(path, count, ffmpeg, children, timeout_seconds)
    return size_bytes / 2 / stream.channels / stream.sample_rate_hz


def _read_wav(path: Path, profile: Profile, take: TakeOutput) -> None:
    """To start FFmpeg takes longer than to read the samples of a recording of 23 MB."""
    with local_errors(path):
        header = inspect_wav(path)
    if header is None or not header.is_16_bit_pcm:
        raise _does_not_decode(path, "it is no WAV file of 16 bits")
    if header.repair:
        raise _does_not_decode(path, header.repair)
    if header.actual_data_bytes % (2 * header.channels):
        raise _does_not_decode(path, "it ends in the middle of a sample")
    _compare_streams(path, profile, profile.codec, header.sample_rate_hz, header.channels)
    left_bytes = header.actual_data_bytes
    with local_errors(path), path.open("rb", buffering=0) as file:
        file.seek(header.data_offset)
        while data := file.read(min(_READ_BYTES, left_bytes)):
            take(data)
            left_bytes -= len(data)


def _decode(path: Path, take: TakeOutput, ffmpeg: Ffmpeg, children: ChildProcesses, timeout_seconds: float) -> Stream:
    graph = f"[0:a:0]asetnsamples=n={_FRAME_SAMPLES}:p=0,asplit=2[all][look];[look]{FIRST_SAMPLE},anullsink"
    finished = ffmpeg.run(
        (*input_arguments(path), "-filter_complex", graph, "-map", "[all]", "-f", "s16le", "pipe:1"),
        children=children,
        timeout_seconds=timeout_seconds,
        check=False,
        take_stdout=take,
    )
    if finished.returncode < 0:  # says nothing about the file
        raise EncodingError(f"FFmpeg {ending(finished.returncode)} while it decoded {path.name}")
    if finished.returncode or problems(finished.stderr):
        raise _does_not_decode(path, f"FFmpeg {ending(finished.returncode)}, {tail(finished.stderr)}")
    stream = parse_stream(finished.stderr)
    if stream is None:
        raise _does_not_decode(path, "it holds no sound")
    return stream


def _does_not_decode(path: Path, reason: str) -> VerificationError:
    return VerificationError(f"The output {path.name} does not decode to its end: {reason}", check="decodes_to_end")


def _compare_streams(path: Path, profile: Profile, codec: str, sample_rate_hz: int, channels: int) -> None:
    found = (codec, sample_rate_hz, channels)
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
