"""A source as it will be heard: decoded once to stereo at 44.1 kHz, as raw floats in a staging file.

Everything after this reads that file: it is measured, limited and encoded three times without decoding the source again
(1 s of CPU each time for 652 s of MP3), and its samples can be told by their number.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from audio_compressor.audio.ffmpeg import Ffmpeg, file_url, input_arguments, problems
from audio_compressor.audio.mixdown import pan, plain_mixdown
from audio_compressor.audio.probe import FIRST_SAMPLE, Source, Stream, probe_source
from audio_compressor.errors import NotAudioError
from audio_compressor.local_files import local_errors
from audio_compressor.processes import ChildProcesses

SAMPLE_RATE_HZ = 44_100
CHANNELS = 2
FRAME_BYTES = 4 * CHANNELS
# A mix tape lasts two hours. Making renditions of one hour took 540 MB, 400 of them for its length: for what lasts
# longer than this, 2 GB, which a run pod has, would not be enough.
MOST_SECONDS = 3 * 3600
# Digital silence packs into next to nothing: a megabyte of FLAC can claim 28 days, and would fill the disk. No music
# takes less than 2 kbit/s, and no track is silent for ten minutes.
_MOST_SILENT_SECONDS = 600
_LEAST_BYTES_PER_SECOND = 250
# As for recordings (see compress.py): fewer samples are no sound.
LEAST_SECONDS = 0.010
_MOST_CHANNELS = 64
# FFmpeg's names of a layout that says nothing of speakers: "3 channels", "5 channels (FL+FR+...)".
_UNKNOWN_LAYOUT = re.compile(r"^\d+ channels")
_CHANNELS_CHANGED = "Channel change is not supported"
# "[info]   Stream #0:1: Video: mjpeg (Baseline), yuvj444p(...), 300x300 [SAR 1:1 DAR 1:1], ... (attached pic)": those
# that M4A can hold, if FFmpeg could make out their size, without which it would write no file at all.
_PICTURE = re.compile(
    r"^\[info]   Stream #0:(?P<number>\d+)\S*: Video: (?:mjpeg|png|bmp)\b.*, [1-9]\d*x[1-9].*\(attached pic\)$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Stereo:
    """Raw little-endian floats, left and right in turn; ``repair`` says what was wrong with the source, and
    ``picture_stream`` is the number of its cover picture, if it has one that an M4A can hold.
    """

    path: Path
    frames: int
    source: Source
    repair: str | None = None
    picture_stream: int | None = None

    @property
    def duration_seconds(self) -> float:
        return self.frames / SAMPLE_RATE_HZ

    @property
    def input_arguments(self) -> tuple[str, ...]:
        return raw_input_arguments(self.path)


def raw_input_arguments(path: Path) -> tuple[str, ...]:
    """How to give FFmpeg a file of such floats."""
    return input_arguments(path, ("-f", "f32le", "-ar", str(SAMPLE_RATE_HZ), "-ac", str(CHANNELS)))


def decode_to_stereo(
    path: Path, destination: Path, *, ffmpeg: Ffmpeg, children: ChildProcesses, timeout_seconds: float
) -> Stereo:
    """Decode ``path`` to ``destination``, 353 kB for each second.

    Raises:
        NotAudioError: the source holds no sound, or more than three hours of it.
        EncodingError: FFmpeg failed or reached its time limit.
        OutOfSpaceError, FfmpegMissingError, CancelledError: see `Ffmpeg.run`.
    """
    source = probe_source(path, ffmpeg=ffmpeg, children=children, timeout_seconds=timeout_seconds)
    heard = as_heard(source.stream, path.name)
    graph = f"[0:a:0]asplit=2[all][look];[all]{heard}[out];[look]{FIRST_SAMPLE},anullsink"
    most_seconds = min(MOST_SECONDS, _MOST_SILENT_SECONDS + source.size_bytes / _LEAST_BYTES_PER_SECOND)
    # A second more, so that what is too long is told from what just fits.
    most_bytes = round((most_seconds + 1) * SAMPLE_RATE_HZ * FRAME_BYTES)
    output = ("-map", "[out]", "-f", "f32le", "-fs", str(most_bytes), file_url(destination))
    stderr = ffmpeg.run(
        (*source.input_arguments, "-filter_complex", graph, *output),
        children=children,
        timeout_seconds=timeout_seconds,
    ).stderr
    met = problems(stderr)
    if any(_CHANNELS_CHANGED in problem for problem in met):
        raise NotAudioError(
            f"{path.name} holds several recordings in a row with different numbers of channels, of which FFmpeg reads "
            "only the first; store them as files of their own"
        )
    with local_errors(destination):
        frames = destination.stat().st_size // FRAME_BYTES
    _require_length(path, frames / SAMPLE_RATE_HZ, most_seconds)
    picture = _PICTURE.search(stderr)
    return Stereo(
        path=destination,
        frames=frames,
        source=source,
        repair=_repair(source, met, frames / SAMPLE_RATE_HZ),
        picture_stream=int(picture["number"]) if picture else None,
    )


def as_heard(stream: Stream, name: str) -> str:
    """The filters that make stereo of what a file holds, in floats, so that nothing clips.

    One channel is heard from both sides, 3 dB louder than a meter says that looks at one of them (ITU-R BS.1770 adds
    up the channels). Surround sound is mixed down by its speakers (ITU-R BS.775: centre and surrounds 3 dB lower, no
    bass channel); channels without speakers are taken in turn to the left and the right.
    """
    if stream.channels > _MOST_CHANNELS:
        raise NotAudioError(
            f"{name} has {stream.channels} channels, and {_MOST_CHANNELS} can be mixed; check what it is"
        )
    if stream.channels == CHANNELS:
        # Of two channels with other names than left and right pan makes nothing: it looks for these names.
        mix = "" if stream.layout == "stereo" else "channelmap=0|1:stereo,"
    elif stream.channels == 1 or _UNKNOWN_LAYOUT.match(stream.layout):
        mix = pan(plain_mixdown(stream.channels, CHANNELS).weights) + ","
    else:
        mix = "aformat=sample_fmts=fltp:channel_layouts=stereo,"
    return f"aformat=sample_fmts=fltp,{mix}aresample={SAMPLE_RATE_HZ}"


def _require_length(path: Path, seconds: float, most_seconds: float) -> None:
    if not seconds:
        raise NotAudioError(f"{path.name} holds no sound: not one sample could be decoded")
    if seconds < LEAST_SECONDS:
        raise NotAudioError(f"{path.name} lasts only {seconds * 1000:.1f} ms; export or copy it again")
    if seconds > most_seconds:
        raise NotAudioError(
            f"{path.name} claims more than {most_seconds / 60:.0f} minutes of sound, too much for a file of its size "
            "or for one track; check what it is, or cut it up"
        )


def _repair(source: Source, met: tuple[str, ...], seconds: float) -> str | None:
    repairs = [source.repair] if source.repair else []
    if met:
        repairs.append(f"FFmpeg met {len(met)} error(s) while decoding, the first: {met[0]}")
    if repairs:
        repairs.append(f"{seconds:.1f} s of sound were recovered")
    return "; ".join(repairs) or None
