"""The small copy of a recording, and whether it can hold what the recording holds: Ogg Opus with one track of sound.

Nothing is believed that a header says: browsers write WebM without a duration, and what lies beside the sound counts
in the size of a file. So the sound is decoded to its end, and its packets are counted.

What was Opus already at no more than the target bitrate is only packed anew, packet by packet: encoding it a second
time would lose more of it and save nothing. Whether the copy is smaller than its source, and whether it is the same
sound (see proof.py), is for the caller to find out before anything is deleted.
"""

import re
import shlex
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from audio_compressor.audio.decoding import TIMEOUT_SECONDS, decode
from audio_compressor.audio.ffmpeg import Ffmpeg, file_url, input_arguments, problems, tail
from audio_compressor.audio.matroska import why_not_whole
from audio_compressor.audio.wav import inspect_wav
from audio_compressor.errors import EncodingError, NotAudioError
from audio_compressor.local_files import local_errors
from audio_compressor.processes import ChildProcesses

MOST_CHANNELS = 2
# "[info]   Stream #0:1(deu): Audio: opus, 48000 Hz, stereo, fltp (default)" and what else there may be.
_STREAM = re.compile(
    r"^\[info] {2,}Stream #0:(?P<index>\d+)\S*: (?P<kind>\w+)(?:: (?P<codec>\w+)(?P<rest>.*))?$", re.MULTILINE
)
_OPENED = re.compile(r"^\[info] Input #0, ", re.MULTILINE)
_KINDS = {"Video": "video", "Subtitle": "subtitles", "Data": "data", "Attachment": "an attached file"}
_PICTURE = "a picture"
_SEEN = {"video", _PICTURE}
SAMPLE_RATE_HZ = 48_000
# Constrained VBR keeps to its bitrate within a few percent. Without the constraint, talk took 96 kbit/s instead of 64
# and 143 instead of 96, and a tier would have saved nothing.
_OVERSHOOT = 1.05
_MOST_TIMES_EXPECTED = 2
_MOST_HEAD_BYTES = 1_000_000
# Ogg has one set of tags, Matroska one for the file and one for each track; where both name something, that of the file
# counts. By itself FFmpeg prefers the track's, and drops the date. The last two are about the old file.
_TAGS = (
    *("-map_metadata", "0:g", "-map_metadata:s:a:0", "0:g", "-map_metadata:s:a:0", "0:s:a:0"),
    *("-metadata:s:a:0", "DURATION=", "-metadata:s:a:0", "ENCODER="),
)


@dataclass(frozen=True)
class AudioTrack:
    """One of the audio streams; ``index`` counts all streams of the file. Channels and rate are what was decoded, or 0
    when nothing was.
    """

    index: int
    codec: str
    sample_rate_hz: int
    channels: int


@dataclass(frozen=True)
class Contents:
    """What a file holds. Duration and bytes are those of the first track.

    ``others`` names what is no sound: "video", "a picture", "subtitles" and such. ``problems`` says what is wrong with
    the file: the errors that FFmpeg met, and what it did not notice.
    """

    tracks: tuple[AudioTrack, ...]
    others: tuple[str, ...]
    duration_seconds: float
    audio_bytes: int
    problems: tuple[str, ...]

    @property
    def codec(self) -> str:
        """Of the first track; empty where there is none."""
        return self.tracks[0].codec if self.tracks else ""

    @property
    def has_video(self) -> bool:
        return "video" in self.others

    @property
    def bitrate_kbps(self) -> float:
        """Of the packets of sound alone, without what the container and a video beside them take."""
        return self.audio_bytes * 8 / 1000 / self.duration_seconds if self.duration_seconds else 0.0


def inspect(
    path: Path, *, ffmpeg: Ffmpeg, children: ChildProcesses, timeout_seconds: float = TIMEOUT_SECONDS
) -> Contents:
    """Decode all audio tracks of a file to their end.

    Raises:
        NotAudioError: FFmpeg cannot open it.
        EncodingError: FFmpeg was killed or reached the time limit, which says nothing about the file.
        StorageError, AccessDeniedError: it cannot be read.
        OutOfSpaceError, FfmpegMissingError, CancelledError: see `Ffmpeg.run`.
    """
    with local_errors(path), path.open("rb"):
        pass
    # Without an output, FFmpeg lists the streams and ends with an error.
    listing = ffmpeg.run(input_arguments(path), children=children, timeout_seconds=timeout_seconds, check=False).stderr
    if not _OPENED.search(listing):
        raise NotAudioError(f"{path.name} cannot be opened: {tail(listing)}; check that it is a recording and whole")
    streams = list(_STREAM.finditer(listing))
    sounds = [stream for stream in streams if stream["kind"] == "Audio"]
    others = tuple(_what(stream) for stream in streams if stream["kind"] != "Audio")
    if not sounds:
        return Contents((), others, 0.0, 0, ())
    decoded = decode(
        path,
        ["anull"] * len(sounds),
        ("-f", "null", "-"),
        ffmpeg=ffmpeg,
        children=children,
        timeout_seconds=timeout_seconds,
    )
    tracks = tuple(
        AudioTrack(int(stream["index"]), stream["codec"], track.sample_rate_hz, track.channels)
        for stream, track in zip(sounds, decoded.tracks, strict=True)
    )
    first = decoded.tracks[0]
    met = (*decoded.problems, *_problems_of_its_structure(path))
    return Contents(tracks, others, first.duration_seconds, first.packet_bytes, met)


def why_not_archived(contents: Contents, *, drop_video: bool = False) -> str | None:
    """Why the file has to stay as it is, or None. With ``drop_video``, video and pictures may be lost."""
    others = [other for other in contents.others if not (drop_video and other in _SEEN)]
    if not contents.tracks:
        return "it holds no sound"
    if len(contents.tracks) > 1:
        return f"it holds {len(contents.tracks)} audio tracks, of which Opus keeps one"
    if others:
        return f"it holds {', '.join(dict.fromkeys(others))} besides the sound, which Opus does not keep"
    if contents.problems:
        return (
            f"it is damaged ({_errors(len(contents.problems))}, the first: {contents.problems[0]}), "
            "and a better tool may recover more from it than a copy would hold"
        )
    if not contents.duration_seconds:
        return "not one sample of its sound could be decoded"
    if contents.tracks[0].channels > MOST_CHANNELS:
        return f"it has {contents.tracks[0].channels} channels, and a copy of at most {MOST_CHANNELS} can be proved"
    return None


@dataclass(frozen=True)
class Made:
    """A copy; ``was_remuxed`` says that it holds the source's own packets. ``command`` is for people to repeat."""

    size_bytes: int
    was_remuxed: bool
    command: str


def is_remuxed(contents: Contents, bitrate_kbps: float) -> bool:
    """Whether a copy at this bitrate would hold the packets of the source as they are."""
    return contents.tracks[0].codec == "opus" and contents.bitrate_kbps <= bitrate_kbps * _OVERSHOOT


def make_opus(
    source: Path,
    destination: Path,
    bitrate_kbps: float,
    contents: Contents,
    *,
    ffmpeg: Ffmpeg,
    children: ChildProcesses,
    timeout_seconds: float = TIMEOUT_SECONDS,
    drop_video: bool = False,
) -> Made:
    """Make ``destination``, a ``.part`` file, from ``source``, which holds ``contents``; its tags are kept.

    Nothing is left of ``destination`` when anything goes wrong.

    Raises:
        EncodingError: the source is one to keep (see `why_not_archived`), or FFmpeg met an error.
        OutOfSpaceError, FfmpegMissingError, CancelledError: see `Ffmpeg.run`.
        StorageError: the copy cannot be read.
    """
    reason = why_not_archived(contents, drop_video=drop_video)
    if reason:
        raise EncodingError(f"{source.name} cannot be copied as Opus: {reason}")
    remux = is_remuxed(contents, bitrate_kbps)
    kbps = contents.bitrate_kbps if remux else bitrate_kbps
    arguments = (
        *input_arguments(source),
        *("-map", "0:a:0", *_TAGS),
        *(("-c:a", "copy") if remux else _encoder(bitrate_kbps)),
        # Or each copy would have another serial number, and two of one recording differ.
        *("-fflags", "+bitexact", "-f", "opus", file_url(destination)),
    )
    try:
        if not remux:
            ffmpeg.require_encoder("libopus")
        finished = ffmpeg.run(
            arguments,
            children=children,
            timeout_seconds=timeout_seconds,
            most_output_bytes=_most_bytes(contents.duration_seconds, kbps),
        )
        met = problems(finished.stderr)
        if met:
            raise EncodingError(f"FFmpeg met an error while it copied {source.name}: {met[0]}; the copy is not kept")
        with local_errors(destination):
            size_bytes = destination.stat().st_size
    except BaseException:
        with suppress(OSError):
            destination.unlink(missing_ok=True)
        raise
    names = {file_url(source): source.name, file_url(destination): destination.name}
    command = shlex.join(["ffmpeg", *(names.get(argument, argument) for argument in arguments)])
    return Made(size_bytes, remux, command)


def _problems_of_its_structure(path: Path) -> list[str]:
    """What FFmpeg passes over in silence."""
    with local_errors(path):
        header = inspect_wav(path)
    return [problem for problem in (header.repair if header else None, why_not_whole(path)) if problem]


def _what(stream: re.Match[str]) -> str:
    if stream["kind"] == "Video" and "(attached pic)" in (stream["rest"] or ""):
        return _PICTURE
    return _KINDS.get(stream["kind"], "something unknown")


def _errors(number: int) -> str:
    return "1 error" if number == 1 else f"{number} errors"


def _encoder(bitrate_kbps: float) -> tuple[str, ...]:
    bitrate = ("-b:a", f"{bitrate_kbps:g}k", "-vbr", "constrained", "-application", "audio")
    return ("-c:a", "libopus", *bitrate, "-ar", str(SAMPLE_RATE_HZ))


def _most_bytes(duration_seconds: float, kbps: float) -> int:
    return round(_MOST_TIMES_EXPECTED * duration_seconds * kbps * 1000 / 8) + _MOST_HEAD_BYTES
