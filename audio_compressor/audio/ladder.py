"""The renditions of a track as data, and the FFmpeg arguments that encode one of them.

AAC-LC in M4A, stereo at 44.1 kHz, all of the same frames, so that a player can change from one to another at any of
them. Intensity stereo and perceptual noise substitution are off: with them FFmpeg 9.0 put 1 to 5 dB more noise over
the masking threshold at 128 kbit/s, and noise that each decoder makes up for itself has no true peak that could be
promised. What the coders cost and give is measured by benchmarks/tracks.py.
"""

from dataclasses import dataclass
from typing import Literal

from audio_compressor.audio.stereo import CHANNELS, SAMPLE_RATE_HZ

AacCoder = Literal["fast", "twoloop"]
RenditionName = Literal["low", "med", "high"]

ENCODER = "aac"
# Samples of one packet (ISO/IEC 14496-3, AAC-LC), and those that come before the sound.
PACKET_FRAMES = 1024
PRIMING_FRAMES = 1024


@dataclass(frozen=True)
class RenditionProfile:
    """``headroom_db`` is left below the true-peak limit for what the encoder adds; ``cutoff_hz`` is the highest
    frequency that is encoded; ``is_download``: it is a file that people get, with tags and cover.
    """

    name: RenditionName
    bitrate_kbps: int
    cutoff_hz: int
    headroom_db: float
    is_download: bool = False

    def encoder_arguments(self, coder: AacCoder) -> tuple[str, ...]:
        """For an output file; the same input gives the same bytes."""
        return (
            *("-c:a", ENCODER, "-aac_coder", coder, "-aac_is", "0", "-aac_pns", "0"),
            *("-b:a", f"{self.bitrate_kbps}k", "-cutoff", str(self.cutoff_hz)),
            *("-ar", str(SAMPLE_RATE_HZ), "-ac", str(CHANNELS)),
            *("-fflags", "+bitexact", "-flags:a", "+bitexact"),
            *("-movflags", "+faststart", "-f", "ipod"),
        )


# The one of 128 kbit/s is the M4A as well. Left to itself FFmpeg cuts at 5.8, 9.5 and 16 kHz; of 48 and 64 kbit/s a
# third more can be heard at the same noise.
LADDER: tuple[RenditionProfile, ...] = (
    RenditionProfile("high", 128, 16_000, 0.8, is_download=True),
    RenditionProfile("med", 64, 13_000, 1.2),
    RenditionProfile("low", 48, 7_500, 1.0),
)
