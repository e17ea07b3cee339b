"""What to encode to: the formats as data, and the FFmpeg arguments that follow from a profile."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

AudioFormat = Literal["wav", "opus", "mp3", "m4a", "flac"]


@dataclass(frozen=True)
class _Format:
    extension: str
    codec: str
    encoder: str
    muxer: str
    # Samples that the encoder puts before the sound; a player that ignores the file's notes on it plays them.
    delay_samples: int = 0
    is_lossless: bool = False
    options: tuple[str, ...] = ()
    # An Opus decoder always gives 48 kHz (RFC 7845, section 5.1), whatever was encoded.
    decoded_sample_rate_hz: int | None = None


_FORMATS: Mapping[AudioFormat, _Format] = {
    # `-rf64 auto` writes plain WAV, and RF64 once the 4 GB that WAV's 32-bit sizes can tell are reached.
    "wav": _Format("wav", "pcm_s16le", "pcm_s16le", "wav", is_lossless=True, options=("-rf64", "auto")),
    # libopus looks 6.5 ms ahead: 312 samples at 48 kHz. FFmpeg hands each packet from thread to thread: in packets of
    # 60 ms (RFC 6716, section 2.1.4) instead of 20, 652 s took 2.0 s of CPU to encode, not 2.7, and 0.65 to decode, not
    # 1.34.
    "opus": _Format(
        extension="opus",
        codec="opus",
        encoder="libopus",
        muxer="opus",
        delay_samples=312,
        decoded_sample_rate_hz=48000,
        options=("-frame_duration", "60"),
    ),
    # LAME's encoder (576) and any decoder (529) together (LAME technical FAQ, "Why is a decoded MP3 longer").
    "mp3": _Format("mp3", "mp3", "libmp3lame", "mp3", delay_samples=1105),
    # One frame of 1024 samples comes before the sound in FFmpeg's encoder (`initial_padding`).
    "m4a": _Format("m4a", "aac", "aac", "ipod", delay_samples=1024, options=("-movflags", "+faststart")),
    # Left to itself, FFmpeg makes FLAC's blocks as long as the first packet of a WAV: 65,536 samples of mono, which the
    # encoder refuses. 4,608 is the most that the streamable subset allows up to 48 kHz (RFC 9639, section 7).
    "flac": _Format("flac", "flac", "flac", "flac", is_lossless=True, options=("-frame_size", "4608")),
}

_MIN_TOLERANCE_SECONDS = 0.050


@dataclass(frozen=True)
class Profile:
    """What every recording is turned into; ``bitrate_kbps`` means nothing to the lossless formats."""

    audio_format: AudioFormat
    sample_rate_hz: int
    channels: int
    bitrate_kbps: float

    @property
    def extension(self) -> str:
        return self._format.extension

    @property
    def codec(self) -> str:
        """What FFmpeg calls the codec when it reads the output."""
        return self._format.codec

    @property
    def encoder(self) -> str:
        return self._format.encoder

    @property
    def is_lossless(self) -> bool:
        return self._format.is_lossless

    @property
    def honours_bitrate(self) -> bool:
        return not self._format.is_lossless

    @property
    def decoded_sample_rate_hz(self) -> int:
        """The rate at which the output decodes; with Opus not the one that was encoded."""
        return self._format.decoded_sample_rate_hz or self.sample_rate_hz

    @property
    def tolerance_seconds(self) -> float:
        """How far the output's duration may be from the source's: 50 ms, or the codec's delay when that is longer."""
        return max(_MIN_TOLERANCE_SECONDS, self._format.delay_samples / self.decoded_sample_rate_hz)

    @property
    def max_bitrate_kbps(self) -> float:
        """The most that the encoder can do at this rate; infinite for the lossless formats, which ignore it."""
        if self.audio_format == "opus":
            return 256.0 * self.channels  # libopus refuses more
        if self.audio_format == "m4a":
            return 6.0 * self.sample_rate_hz * self.channels / 1000  # 6144 bits for 1024 samples (ISO/IEC 14496-3)
        if self.audio_format == "mp3":  # the tables of MPEG 1, 2 and 2.5 (ISO/IEC 11172-3, 13818-3; LAME)
            return 320.0 if self.sample_rate_hz >= 32000 else 160.0 if self.sample_rate_hz >= 16000 else 64.0
        return math.inf

    def encoder_arguments(self) -> tuple[str, ...]:
        """Arguments for the output file. The same source gives the same bytes: with `bitexact` there are no random
        Ogg serial numbers, no times and no version of FFmpeg in the file."""
        return (
            *("-c:a", self.encoder, *self._bitrate_arguments()),
            *("-fflags", "+bitexact", "-flags:a", "+bitexact"),
            *(*self._format.options, "-f", self._format.muxer),
        )

    def _bitrate_arguments(self) -> tuple[str, ...]:
        if self.is_lossless:
            return ()
        return ("-b:a", str(round(min(self.bitrate_kbps, self.max_bitrate_kbps) * 1000)))

    @property
    def _format(self) -> _Format:
        return _FORMATS[self.audio_format]
