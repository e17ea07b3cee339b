"""One rendition: encoded, measured as it decodes, and corrected until its loudness and its true peak are right.

An encoder changes both. What it takes from the loudness (48 kbit/s keep no treble) is foretold by excerpts and given
back by the gain. What it adds to peaks is taken back where it happened (see overshoot.py).
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from audio_compressor.audio.aac import AacEncoder, Span, write_excerpts
from audio_compressor.audio.exchanged import peaks_after
from audio_compressor.audio.ladder import PACKET_FRAMES, RenditionProfile
from audio_compressor.audio.limiter import Decibels, LoudnessModel, nothing_off
from audio_compressor.audio.loudness import Loudness, Measured, measure_loudness, measure_output
from audio_compressor.audio.m4a import read_m4a
from audio_compressor.audio.normalization import LoudnessPlan, LoudnessTarget
from audio_compressor.audio.overshoot import dips_db, excerpts, replacements
from audio_compressor.audio.progress import Report
from audio_compressor.audio.stereo import SAMPLE_RATE_HZ, Stereo
from audio_compressor.audio.treatment import Treatment, choose_treatment
from audio_compressor.audio.true_peak import dbtp
from audio_compressor.errors import VerificationError
from audio_compressor.local_files import local_errors

# A second of every 13 tells the change of loudness within 0.07 LU, of every 15 within 0.1: music is alike after minutes
# and bars, which 13 divides less often. What is shorter than a minute is encoded as a whole to know
# it: limited music of 20 s missed its goal by up to 0.2 LU before, and by 0.04 since.
_SAMPLE_PACKETS = 43
_SAMPLED_EVERY_PACKETS = 560
_LEAST_SAMPLED_SECONDS = 60.0
# Of 150 encodes (25 sounds, both coders) 69 were right at once. What needed most, 10 rounds, was music that is clipped
# hard, at 64 kbit/s.
_MOST_LOUDNESS_CORRECTIONS = 4
_MOST_CORRECTIONS = 14
# Of what a limiter takes off again as fast as a gain adds it, four encodes came to the same within 0.02 LU.
_LEAST_CHANGE_LU = 0.02
_MOST_LOWERINGS = 4
_LOWERED_FURTHER_DB = 0.1
# Where there is something to take back in more of the packets than this, all of them are encoded again.
_MOST_EXCHANGED_SHARE = 0.5
_TOLERANCE_SECONDS = 0.050


@dataclass(frozen=True)
class Rendition:
    """A verified file, and ``after``, what it decodes to. ``limited_db`` is the most that was taken off anywhere,
    ``corrections`` are sentences on what was done again, and why. All renditions of a track have as many packets.
    """

    profile: RenditionProfile
    path: Path
    after: Loudness
    gain_db: float
    limited_db: float
    corrections: tuple[str, ...]
    command: str
    packets: int


@dataclass(frozen=True)
class _Attempt:
    """What lies at the path; it was encoded ``louder_lu`` louder than the goal, and ``dips`` are what was taken off for
    overshoots. While it ``is_patched``, the loudness is that of before, and only the peaks are known.
    """

    measured: Measured
    treatment: Treatment
    louder_lu: float
    dips: Decibels
    command: str
    dip_rounds: int = 0
    corrections: tuple[str, ...] = ()
    is_patched: bool = False


@dataclass(frozen=True)
class RenditionMaker:
    """Makes one rendition of ``sound``; ``model`` is there where its peaks are to be limited. ``report`` is told the
    fraction that is done.
    """

    sound: Stereo
    measured: Measured
    plan: LoudnessPlan
    target: LoudnessTarget
    model: LoudnessModel | None
    encoder: AacEncoder
    profile: RenditionProfile
    path: Path
    report: Report

    def make(self) -> Rendition:
        """
        Raises:
            VerificationError: the result does not decode to its end, or has another length.
            EncodingError, OutOfSpaceError, FfmpegMissingError, CancelledError: see `Ffmpeg.run`.
        """
        nothing = nothing_off(self.measured.peaks)
        attempt = self._lowered(self._corrected(self._encoded(self._loss_lu(), nothing)))
        self.report(1.0)
        return Rendition(
            profile=self.profile,
            path=self.path,
            after=attempt.measured.loudness,
            gain_db=attempt.treatment.gain_db,
            limited_db=attempt.treatment.limited_db,
            corrections=attempt.corrections,
            command=attempt.command,
            packets=len(read_m4a(self.path)),
        )

    @property
    def _limit_dbtp(self) -> float:
        return self.target.true_peak_dbtp

    def _treatment(self, louder_lu: float) -> Treatment:
        ceiling_dbtp = self._limit_dbtp - self.profile.headroom_db
        return choose_treatment(self.measured, self.plan, self.model, ceiling_dbtp, louder_lu)

    def _loss_lu(self) -> float:
        """How much loudness the encoder will take away, by samples of it."""
        if self.plan.goal_lufs is None:
            return 0.0
        spans = self._sampled()
        raw, encoded = self.path.with_suffix(".sample"), self.path.with_suffix(".sampled")
        try:
            write_excerpts(self.sound, raw, spans, self._treatment(0.0))
            sampled = replace(self.sound, path=raw, frames=sum(frames for _, frames in spans))
            before = self._measure_raw(sampled)
            self.encoder.encode_raw(raw, encoded, self.profile)
            after = self._measure(encoded, sampled.frames).loudness
        finally:
            raw.unlink(missing_ok=True)
            encoded.unlink(missing_ok=True)
        if before.integrated_lufs is None or after.integrated_lufs is None:
            return 0.0
        return before.integrated_lufs - after.integrated_lufs

    def _sampled(self) -> list[Span]:
        if self.sound.duration_seconds < _LEAST_SAMPLED_SECONDS:
            return [(0, self.sound.frames)]
        step, frames = _SAMPLED_EVERY_PACKETS * PACKET_FRAMES, _SAMPLE_PACKETS * PACKET_FRAMES
        return [(start, frames) for start in range(0, self.sound.frames - frames, step)]

    def _encoded(self, louder_lu: float, dips: Decibels) -> _Attempt:
        treatment = self._treatment(louder_lu).with_dips(dips)
        command = self._encode(treatment)
        return _Attempt(self._measure_result(), treatment, louder_lu, dips, command)

    def _encode(self, treatment: Treatment) -> str:
        seconds = self.sound.duration_seconds
        return self.encoder.encode(
            self.sound, self.path, self.profile, treatment, lambda done_seconds: self.report(done_seconds / seconds)
        )

    def _corrected(self, attempt: _Attempt) -> _Attempt:
        """Loudness before peaks: what is taken off peaks costs little loudness, and a gain raises every peak."""
        loudness_corrections = 0
        for _ in range(_MOST_CORRECTIONS):
            louder_lu = self._louder_lu(attempt) if loudness_corrections < _MOST_LOUDNESS_CORRECTIONS else None
            if louder_lu is not None:
                loudness_corrections += 1
                what = f"all of it encoded again, for it came to {attempt.measured.loudness.integrated_lufs:.2f} LUFS"
                before_lufs = attempt.measured.loudness.integrated_lufs
                attempt = replace(self._encoded(louder_lu, attempt.dips), corrections=(*attempt.corrections, what))
                after_lufs = attempt.measured.loudness.integrated_lufs
                if before_lufs is None or after_lufs is None or abs(after_lufs - before_lufs) < _LEAST_CHANGE_LU:
                    loudness_corrections = _MOST_LOUDNESS_CORRECTIONS
            elif self._over_db(attempt) > 0:
                attempt = self._with_dips(attempt)
            elif attempt.is_patched:
                attempt = self._measured_again(attempt)
            else:
                break
        return self._measured_again(attempt) if attempt.is_patched else attempt

    def _measured_again(self, attempt: _Attempt) -> _Attempt:
        return replace(attempt, measured=self._measure_result(), is_patched=False)

    def _louder_lu(self, attempt: _Attempt) -> float | None:
        """How much louder than the goal it has to be encoded; None if it is fine, or has all the gain it may have."""
        lufs = attempt.measured.loudness.integrated_lufs
        if self.plan.goal_lufs is None or lufs is None or self.plan.is_met_by(attempt.measured.loudness):
            return None
        louder_lu = attempt.louder_lu + self.plan.goal_lufs - lufs
        return None if self._treatment(louder_lu).gain_db == attempt.treatment.gain_db else louder_lu

    def _with_dips(self, attempt: _Attempt) -> _Attempt:
        over_db = self._over_db(attempt)
        # Within the tolerance of its duration, it may decode to some blocks more or less than the sound has.
        peaks = np.zeros_like(self.measured.peaks)
        common = min(len(peaks), len(attempt.measured.peaks))
        peaks[:common] = attempt.measured.peaks[:common]
        dips = dips_db(peaks, self._limit_dbtp, attempt.dip_rounds)
        treatment = attempt.treatment.with_dips(dips)
        exchanged = self._exchange(treatment, dips)
        if exchanged:
            measured = self._patched(attempt.measured, exchanged)
        else:
            self._encode(treatment)
            measured = self._measure_result()
        how = f"{len(exchanged)} packets" if exchanged else "all of it"
        what = f"{how} encoded again, for peaks came {over_db:.2f} dB over the limit"
        return replace(
            attempt,
            measured=measured,
            treatment=treatment,
            dips=attempt.dips + dips,
            dip_rounds=attempt.dip_rounds + 1,
            corrections=(*attempt.corrections, what),
            is_patched=bool(exchanged),
        )

    def _patched(self, before: Measured, exchanged: Collection[int]) -> Measured:
        """To decode and measure all of 300 s takes 0.8 s of CPU, and there are up to four rounds."""
        scratch = self.path.with_suffix(".aac")
        packets = read_m4a(self.path)
        peaks = peaks_after(packets, exchanged, before.peaks, before.frames, self._limit_dbtp, scratch, self.encoder)
        loudness = replace(before.loudness, true_peak_dbtp=dbtp(float(peaks.max(initial=0.0))))
        return replace(before, loudness=loudness, peaks=peaks)

    def _lowered(self, attempt: _Attempt) -> _Attempt:
        """The last resort: the limit holds, the loudness does not."""
        for _ in range(_MOST_LOWERINGS):
            over_db = self._over_db(attempt)
            if over_db <= 0:
                break
            treatment = attempt.treatment.lowered(over_db + _LOWERED_FURTHER_DB)
            self._encode(treatment)
            what = f"all of it made quieter, for peaks stayed {over_db:.2f} dB over the limit"
            attempt = replace(
                attempt,
                measured=self._measure_result(),
                treatment=treatment,
                corrections=(*attempt.corrections, what),
            )
        return attempt

    def _over_db(self, attempt: _Attempt) -> float:
        return attempt.measured.loudness.true_peak_dbtp - self._limit_dbtp

    def _exchange(self, treatment: Treatment, dips: Decibels) -> Collection[int]:
        """The numbers of the packets that were exchanged around the dips; none if that was not to be done."""
        stretches = excerpts(dips, self.sound.frames)
        spans = [stretch.span(self.sound.frames) for stretch in stretches]
        if sum(frames for _, frames in spans) > self.sound.frames * _MOST_EXCHANGED_SHARE:
            return ()
        encoded = self.path.with_suffix(".excerpts.m4a")
        try:
            self.encoder.encode_excerpts(self.sound, encoded, self.profile, treatment, spans)
            old = read_m4a(self.path)
            packets = replacements(old, read_m4a(encoded), stretches)
        finally:
            encoded.unlink(missing_ok=True)
        if packets is None or not old.has_size_table:
            return ()
        new = self.path.with_suffix(".exchanged")
        old.write_exchanged(packets, new)
        with local_errors(self.path):
            new.replace(self.path)
        return packets.keys()

    def _measure_raw(self, sound: Stereo) -> Loudness:
        encoder = self.encoder
        return measure_loudness(
            sound, ffmpeg=encoder.ffmpeg, children=encoder.children, timeout_seconds=encoder.timeout_seconds
        ).loudness

    def _measure_result(self) -> Measured:
        measured = self._measure(self.path, self.sound.frames)
        seconds, expected_seconds = measured.loudness.duration_seconds, self.sound.duration_seconds
        if abs(seconds - expected_seconds) > _TOLERANCE_SECONDS:
            raise VerificationError(
                f"The output {self.path.name} lasts {seconds:.3f} s, its source {expected_seconds:.3f} s, "
                f"where {_TOLERANCE_SECONDS:.3f} s more or less are allowed",
                check="duration_matches",
            )
        return measured

    def _measure(self, path: Path, frames: int) -> Measured:
        encoder = self.encoder
        return measure_output(
            path,
            frames / SAMPLE_RATE_HZ,
            self._limit_dbtp,
            ffmpeg=encoder.ffmpeg,
            children=encoder.children,
            timeout_seconds=encoder.timeout_seconds,
        )
