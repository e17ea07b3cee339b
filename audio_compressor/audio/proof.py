"""Proof that a copy is the same sound as its source, before the source may be deleted.

Both are decoded to their ends, and neither may meet an error. The same number of channels has to come out, for the same
time, and with the same envelope all along (see likeness.py, which also says what it cannot tell). A copy that plays a
moment later than its source, as decoders' delays make it, is moved to where it belongs before it is judged.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audio_compressor.audio.decoding import TIMEOUT_SECONDS, Decoded, decode
from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.probe import probe_source
from audio_compressor.errors import NotAudioError, ProofError
from audio_compressor.processes import ChildProcesses, TakeOutput

if TYPE_CHECKING:
    from audio_compressor.audio.envelope import Floats

DURATION_TOLERANCE_SECONDS = 0.050
# Opus has 6.5 ms by itself, AAC and MP3 up to 25 where their headers do not say it.
MOST_DELAY_SECONDS = 0.025
_DELAY_FROM_SECONDS = 60
_KEPT = "the source is kept"


@dataclass(frozen=True)
class Proof:
    """What was compared; where nothing else is said, of the copy. Samples are those of each channel.

    ``worst_window_db`` is how far the sounds are apart where they are furthest, in a window of 0.2 s, and
    ``share_within_tolerance`` the share of all windows that are nearer than what several in a row may be.
    """

    duration_seconds: float
    source_duration_seconds: float
    source_samples: int
    copy_samples: int
    channels: int
    codec: str
    bitrate_kbps: float
    delay_seconds: float
    worst_window_db: float
    share_within_tolerance: float


def prove(
    source: Path, copy: Path, *, ffmpeg: Ffmpeg, children: ChildProcesses, timeout_seconds: float = TIMEOUT_SECONDS
) -> Proof:
    """Decode both and compare them; each FFmpeg may take ``timeout_seconds``.

    Raises:
        ProofError: they are not proved to be the same, with the reason.
        EncodingError: FFmpeg was killed or reached the time limit, which says nothing about the files.
        OutOfSpaceError, FfmpegMissingError, CancelledError: see `Ffmpeg.run`.
    """
    from audio_compressor.audio.envelope import SAMPLE_RATE_HZ
    from audio_compressor.audio.likeness import COARSE, FINE, FINE_FROM_KBPS, compare

    ear = _Ear(ffmpeg, children, timeout_seconds)
    original, made = ear.hear(source), ear.hear(copy)
    _require_same_shape(source, copy, original, made)
    kbps = made.packet_bytes * 8 / 1000 / made.duration_seconds
    tolerances = FINE if kbps >= FINE_FROM_KBPS else COARSE
    likeness, lag = compare(original.envelope, made.envelope, tolerances), 0
    if likeness.difference:
        lag = ear.lag_samples(source, copy, original.channels)
        if lag:
            likeness = compare(original.envelope, ear.hear(copy, lag).envelope, tolerances)
    if likeness.difference:
        raise ProofError(
            f"{copy.name} does not sound like {source.name}: {likeness.difference} "
            f"({likeness.share_within:.1%} of all moments agree); {_KEPT}"
        )
    return Proof(
        duration_seconds=made.duration_seconds,
        source_duration_seconds=original.duration_seconds,
        source_samples=original.samples,
        copy_samples=made.samples,
        channels=made.channels,
        codec=made.codec,
        bitrate_kbps=kbps,
        delay_seconds=lag / SAMPLE_RATE_HZ,
        worst_window_db=likeness.worst_window_db,
        share_within_tolerance=likeness.share_within,
    )


@dataclass(frozen=True)
class _Heard:
    codec: str
    channels: int
    samples: int
    duration_seconds: float
    packet_bytes: int
    envelope: "Floats"


@dataclass(frozen=True)
class _Ear:
    ffmpeg: Ffmpeg
    children: ChildProcesses
    timeout_seconds: float

    def hear(self, path: Path, lag: int = 0) -> _Heard:
        """Decode the first track to its end; what comes ``lag`` samples late is taken for in time."""
        # numpy is loaded with the first proof, not with the code location.
        import numpy as np

        from audio_compressor.audio.envelope import EnvelopeMeter

        try:
            stream = probe_source(
                path, ffmpeg=self.ffmpeg, children=self.children, timeout_seconds=self.timeout_seconds
            ).stream
        except NotAudioError as error:
            raise ProofError(f"Nothing can be proved of {path.name}: {error}; {_KEPT}") from error
        meter = EnvelopeMeter(stream.channels)
        decoded = self._decode(path, _moved(lag), meter.add)
        if decoded.problems:
            raise ProofError(
                f"{path.name} does not decode to its end without an error, the first: {decoded.problems[0]}; {_KEPT}"
            )
        track, envelope = decoded.tracks[0], meter.envelope()
        if track.channels != stream.channels or not track.samples:
            raise ProofError(f"{path.name} does not decode twice to the same sound; {_KEPT}")
        if not np.isfinite(envelope).all():
            raise ProofError(f"{path.name} holds samples that are no numbers; {_KEPT}")
        return _Heard(stream.codec, track.channels, track.samples, track.duration_seconds, track.packet_bytes, envelope)

    def lag_samples(self, source: Path, copy: Path, channels: int) -> int:
        """How much later than its source the copy begins, or 0 when that is more than a decoder's delay."""
        from audio_compressor.audio.envelope import SAMPLE_RATE_HZ
        from audio_compressor.audio.likeness import lag_samples

        start = f"atrim=end={_DELAY_FROM_SECONDS}"
        heads = [bytearray(), bytearray()]
        for path, head in zip((source, copy), heads, strict=True):
            self._decode(path, start, head.extend)
        return lag_samples(bytes(heads[0]), bytes(heads[1]), channels, round(MOST_DELAY_SECONDS * SAMPLE_RATE_HZ))

    def _decode(self, path: Path, filters: str, take: TakeOutput) -> Decoded:
        from audio_compressor.audio.envelope import SAMPLE_RATE_HZ

        chain = f"aresample={SAMPLE_RATE_HZ},aformat=sample_fmts=flt,{filters}"
        return decode(
            path,
            [chain],
            ("-f", "f32le", "pipe:1"),
            ffmpeg=self.ffmpeg,
            children=self.children,
            timeout_seconds=self.timeout_seconds,
            take_stdout=take,
        )


def _moved(lag: int) -> str:
    if lag > 0:
        return f"atrim=start_sample={lag}"
    return f"adelay=delays={-lag}S:all=1" if lag else "anull"


def _require_same_shape(source: Path, copy: Path, original: _Heard, made: _Heard) -> None:
    if made.channels != original.channels:
        raise ProofError(f"{copy.name} has {made.channels} channel(s), {source.name} {original.channels}; {_KEPT}")
    difference_seconds = made.duration_seconds - original.duration_seconds
    if not abs(difference_seconds) <= DURATION_TOLERANCE_SECONDS:
        raise ProofError(
            f"{copy.name} lasts {made.duration_seconds:.3f} s, {source.name} {original.duration_seconds:.3f} s: "
            f"{abs(difference_seconds):.3f} s too {'long' if difference_seconds > 0 else 'short'}, where "
            f"{DURATION_TOLERANCE_SECONDS:.3f} s are allowed; {_KEPT}"
        )
