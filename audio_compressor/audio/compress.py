"""From a source file to a verified, small copy of it: the passes in their order. Either all of it, or no file."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audio_compressor.audio.encode import Encoder, SourceLevels
from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.levels import NO_CANCELLATION, Cancellation, Hum, Levels, Pair
from audio_compressor.audio.mixdown import Mixdown, choose_mixdown, plain_mixdown
from audio_compressor.audio.probe import Source, expect_source, probe_source
from audio_compressor.audio.profiles import Profile
from audio_compressor.audio.verify import verify_output
from audio_compressor.errors import AudioError, NotAudioError, TimedOutError
from audio_compressor.local_files import sha256_of
from audio_compressor.processes import ChildProcesses

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TimeLimit:
    """How long one pass of FFmpeg may take, by the size of its input.

    A healthy machine needs 0.1 s for each MB of WAV (Opus), and 5 s for each MB of a source that is Opus itself.
    """

    base_seconds: float = 120.0
    seconds_per_mb: float = 20.0

    def seconds(self, size_bytes: int) -> float:
        return self.base_seconds + self.seconds_per_mb * size_bytes / 1_000_000


DEFAULT_TIME_LIMIT = TimeLimit()
# A few samples are no recording, and after resampling there may be none left of them.
MIN_DURATION_SECONDS = 0.010
_CHANNELS_CHANGED = "Channel change is not supported"


@dataclass(frozen=True)
class SourceAudio:
    """What the source turned out to be; ``levels`` and ``hums`` have one entry for each channel.

    ``repair`` says what was wrong with the file and how it was read. ``cancellation_db`` is how far an equal mix of
    two channels lies below that of unrelated ones, at worst (over 6: opposite phase; None: there is only one channel);
    ``worst_cancellation_db`` the same in the worst of the seconds that were listened to.
    """

    codec: str
    sample_rate_hz: int
    channels: int
    duration_seconds: float
    levels: tuple[Levels, ...]
    hums: tuple[Hum, ...]
    repair: str | None
    cancellation_db: float | None
    worst_cancellation_db: float | None


@dataclass(frozen=True)
class Compression:
    """A verified output and all that is known about it.

    ``bitrate_kbps`` is what was achieved. ``sample_rate_hz`` is what was encoded (Opus always decodes at 48 kHz).
    ``levels`` are of all output channels together; ``gain_db`` is 0 unless the mix would have gone over full scale.
    """

    path: Path
    size_bytes: int
    sha256: str
    codec: str
    sample_rate_hz: int
    channels: int
    duration_seconds: float
    bitrate_kbps: float
    levels: Levels
    source: SourceAudio
    mixdown: str
    gain_db: float
    ffmpeg_version: str
    ffmpeg_command: str
    waveform_png: bytes
    encoding_seconds: float


def compress(
    source: Path,
    destination: Path,
    profile: Profile,
    *,
    ffmpeg: Ffmpeg,
    children: ChildProcesses,
    time_limit: TimeLimit = DEFAULT_TIME_LIMIT,
) -> Compression:
    """Encode ``source`` to ``destination`` (a staging path; what is there is replaced) and verify it.

    Raises:
        NotAudioError: the source holds no sound.
        EncodingError: FFmpeg failed or reached its time limit.
        VerificationError: the output is not what it should be.
        OutOfSpaceError, FfmpegMissingError, CancelledError: see `Ffmpeg.run`.
    In every one of these cases, and in any other, there is no file at ``destination`` afterwards.
    """
    ffmpeg.require_encoder(profile.encoder)
    try:
        return _compress(source, destination, profile, ffmpeg, children, time_limit)
    except BaseException:
        destination.unlink(missing_ok=True)
        raise


def _compress(
    path: Path, destination: Path, profile: Profile, ffmpeg: Ffmpeg, children: ChildProcesses, time_limit: TimeLimit
) -> Compression:
    started = time.perf_counter()
    source, timeout_seconds = expect_source(path), time_limit.seconds(path.stat().st_size)
    encoder = Encoder(destination, profile, ffmpeg, children, timeout_seconds)
    encoded = _encode_as_expected(encoder, source) if source else None
    if source is None or encoded is None:
        source = probe_source(path, ffmpeg=ffmpeg, children=children, timeout_seconds=time_limit.base_seconds)
        encoded = _encode(encoder, source)
    measured = encoded.measured
    if any(_CHANNELS_CHANGED in problem for problem in measured.problems):
        # FFmpeg drops the rest, and ends with exit code 0.
        raise NotAudioError(
            f"{path.name} holds several recordings in a row with different numbers of channels, of which FFmpeg reads "
            "only the first; store them as files of their own"
        )
    duration_seconds = measured.duration_seconds(source.stream.sample_rate_hz)
    if duration_seconds < MIN_DURATION_SECONDS:
        raise NotAudioError(f"{path.name} lasts only {duration_seconds * 1000:.1f} ms; record or copy it again")
    verified = verify_output(
        destination, duration_seconds, profile, ffmpeg=ffmpeg, children=children, timeout_seconds=timeout_seconds
    )
    size_bytes = destination.stat().st_size
    return Compression(
        path=destination,
        size_bytes=size_bytes,
        sha256=sha256_of(destination),
        codec=profile.codec,
        sample_rate_hz=profile.sample_rate_hz,
        channels=profile.channels,
        duration_seconds=verified.duration_seconds,
        bitrate_kbps=size_bytes * 8 / verified.duration_seconds / 1000,
        levels=verified.levels,
        source=_source_audio(source, encoded, duration_seconds),
        mixdown=_sentence(encoded.mixdown, encoded.gain_db),
        gain_db=encoded.gain_db,
        ffmpeg_version=ffmpeg.version,
        ffmpeg_command=encoded.command,
        waveform_png=verified.waveform_png,
        encoding_seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True)
class _Encoded:
    measured: SourceLevels
    hums: tuple[Hum, ...]
    cancellations: Mapping[Pair, Cancellation]
    mixdown: Mixdown
    gain_db: float
    command: str


def _encode_as_expected(encoder: Encoder, source: Source) -> _Encoded | None:
    """None when the file turned out to be something else than its header says, such as DTS behind a header for PCM."""
    try:
        encoded = _encode(encoder, source)
    except AudioError as error:
        if isinstance(error.__cause__, TimedOutError):
            raise
        return None
    return encoded if encoded.measured.stream == source.stream else None


def _encode(encoder: Encoder, source: Source) -> _Encoded:
    """Encode as if nothing were wrong, measuring; then again where the figures say that something is."""
    plain = plain_mixdown(source.stream.channels, encoder.profile.channels)
    measured, command = encoder.encode_and_measure(source, plain)
    heard = encoder.listen(source)
    cancellations = _combined(measured.cancellations_db, heard.cancellations)
    mixdown = choose_mixdown(measured.channels, heard.hums, cancellations, encoder.profile.channels)
    # volumedetect works on 16 bits, so a float source that is over full scale reads 0.0 there.
    may_be_hot = source.stream.is_float and any(level.peak_dbfs >= 0.0 for level in measured.channels)
    # And what is turned by 90 degrees has other peaks.
    gain_db = encoder.gain_to_full_scale(source, mixdown) if may_be_hot or mixdown.turned else 0.0
    if mixdown != plain or gain_db:
        logger.info("%s: encoding again, %s", source.path.name, _sentence(mixdown, gain_db))
        command = encoder.encode(source, mixdown, gain_db)
    return _Encoded(measured, heard.hums, cancellations, mixdown, gain_db, command)


def _combined(whole_db: Mapping[Pair, float], heard: Mapping[Pair, Cancellation]) -> Mapping[Pair, Cancellation]:
    """Of the whole recording, and of the seconds that were listened to, in which hum does not count."""
    found = {pair: (whole_db.get(pair, 0.0), heard.get(pair, NO_CANCELLATION)) for pair in {**whole_db, **heard}}
    return {
        pair: Cancellation(max(db, listened.overall_db), max(db, listened.worst_db))
        for pair, (db, listened) in found.items()
    }


def _sentence(mixdown: Mixdown, gain_db: float) -> str:
    if not gain_db:
        return mixdown.reason
    return f"{mixdown.reason}; {-gain_db:.1f} dB quieter, for it would go over full scale"


def _source_audio(source: Source, encoded: _Encoded, duration_seconds: float) -> SourceAudio:
    measured = encoded.measured
    repairs = [source.repair] if source.repair else []
    if measured.problems:
        repairs.append(
            f"FFmpeg met {len(measured.problems)} error(s) while decoding, the first: {measured.problems[0]}"
        )
    if repairs:
        repairs.append(f"{duration_seconds:.1f} s of sound were recovered")
    return SourceAudio(
        codec=source.stream.codec,
        sample_rate_hz=source.stream.sample_rate_hz,
        channels=source.stream.channels,
        duration_seconds=duration_seconds,
        levels=measured.channels,
        hums=encoded.hums,
        repair="; ".join(repairs) or None,
        cancellation_db=max((found.overall_db for found in encoded.cancellations.values()), default=None),
        worst_cancellation_db=max((found.worst_db for found in encoded.cancellations.values()), default=None),
    )
