"""The true peaks of a file whose packets were exchanged here and there, by decoding nothing but these places.

AAC-LC decodes a packet with the one before it and no other (ISO/IEC 14496-3, 4.6.11; prediction is not part of it, and
what a decoder makes up for itself is off, see ladder.py): so what comes out is what the whole file decodes to.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from audio_compressor.audio.aac import AacEncoder
from audio_compressor.audio.ffmpeg import input_arguments, tail
from audio_compressor.audio.ladder import PACKET_FRAMES
from audio_compressor.audio.m4a import Packets
from audio_compressor.audio.stereo import CHANNELS, FRAME_BYTES
from audio_compressor.audio.true_peak import BLOCK, Floats, PeakMeter
from audio_compressor.errors import VerificationError
from audio_compressor.local_files import local_errors

# The first packet of a stretch is lost for what stood before it; the next is what points between samples reach into.
_MARGIN_PACKETS = 2
# The fixed part of an ADTS header without a checksum (clause 1.A.2.2): AAC-LC at 44.1 kHz in stereo.
_SYNC, _OBJECT_TYPE_LESS_1, _RATE_INDEX, _HEADER_BYTES = 0xFFF1, 1, 4, 7


def peaks_after(
    packets: Packets,
    exchanged: Iterable[int],
    peaks: Floats,
    frames: int,
    limit_dbtp: float,
    scratch: Path,
    encoder: AacEncoder,
) -> Floats:
    """``peaks`` (the highest points of the blocks of the file before) with those around the ``exchanged`` packets anew;
    ``frames`` is the length of the sound. ``scratch`` is a file to write in between.

    Raises:
        VerificationError: the packets do not decode.
        EncodingError, OutOfSpaceError, FfmpegMissingError, CancelledError: see `Ffmpeg.run`.
    """
    stretches = [
        range(max(0, run.start - _MARGIN_PACKETS), min(len(packets), run.stop + _MARGIN_PACKETS))
        for run in _runs(sorted(exchanged))
    ]
    samples = _decode([packets[number] for stretch in stretches for number in stretch], scratch, encoder)
    found, offset = peaks.copy(), 0
    for stretch in stretches:
        # The first packet of the file comes before the sound, the first of any other stretch is the one that is lost.
        first_frame = stretch.start * PACKET_FRAMES
        end_frame = min(frames, (stretch.stop - 1) * PACKET_FRAMES)
        skipped = -first_frame % BLOCK
        start = (offset + 1) * PACKET_FRAMES + skipped
        meter = PeakMeter(CHANNELS, limit_dbtp)
        meter.add(samples[start * FRAME_BYTES : (start - skipped + end_frame - first_frame) * FRAME_BYTES])
        _take_over(found, meter.peaks(), (first_frame + skipped) // BLOCK, end_frame == frames)
        offset += len(stretch)
    return found


def _take_over(peaks: Floats, new: Floats, first_block: int, is_at_end: bool) -> None:
    """All but the blocks at an edge, which look as if there were silence behind it."""
    start = 0 if first_block == 0 else 1
    stop = len(new) if is_at_end else len(new) - 2
    stop = min(stop, len(peaks) - first_block)
    peaks[first_block + start : first_block + stop] = new[start:stop]


def _decode(packets: Sequence[bytes], scratch: Path, encoder: AacEncoder) -> bytes:
    samples = bytearray()
    try:
        with local_errors(scratch):
            scratch.write_bytes(b"".join(_header(len(packet)) + packet for packet in packets))
        finished = encoder.ffmpeg.run(
            (*input_arguments(scratch, ("-f", "aac")), "-map", "0:a:0", "-f", "f32le", "pipe:1"),
            children=encoder.children,
            timeout_seconds=encoder.timeout_seconds,
            take_stdout=samples.extend,
        )
    finally:
        scratch.unlink(missing_ok=True)
    if len(samples) != len(packets) * PACKET_FRAMES * FRAME_BYTES:
        raise VerificationError(
            f"Of {len(packets)} packets that were encoded again, not all decode: {tail(finished.stderr)}",
            check="decodes_to_end",
        )
    return bytes(samples)


def _header(packet_bytes: int) -> bytes:
    size = packet_bytes + _HEADER_BYTES
    bits = _SYNC << 40 | _OBJECT_TYPE_LESS_1 << 38 | _RATE_INDEX << 34 | CHANNELS << 30 | size << 13 | 0x7FF << 2
    return bits.to_bytes(_HEADER_BYTES, "big")


def _runs(numbers: Sequence[int]) -> list[range]:
    """Stretches of numbers that follow each other."""
    breaks = np.flatnonzero(np.diff(numbers) > 1) + 1
    return [range(int(run[0]), int(run[-1]) + 1) for run in np.split(np.asarray(numbers), breaks)]
