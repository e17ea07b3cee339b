"""From a track to its renditions: decoded once, measured, brought to the target, encoded side by side, measured again.

Either all of them, or no file. Each rendition goes its own way in a thread and one FFmpeg at a time: on 2 cores that
took 7.8 s for 652 s, and one FFmpeg with three outputs 11.4 s, since its encoders wait for each other.
"""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from audio_compressor.audio.aac import AacEncoder
from audio_compressor.audio.compress import DEFAULT_TIME_LIMIT, TimeLimit
from audio_compressor.audio.evening_out import evened_out
from audio_compressor.audio.ffmpeg import Ffmpeg
from audio_compressor.audio.k_weighting import block_energies
from audio_compressor.audio.ladder import ENCODER, LADDER, AacCoder, RenditionName
from audio_compressor.audio.limiter import LoudnessModel, most_lufs
from audio_compressor.audio.loudness import Loudness, Measured, measure_loudness
from audio_compressor.audio.normalization import (
    MOST_LIMITING_DB,
    LoudnessPlan,
    LoudnessTarget,
    PeakPolicy,
    plan_loudness,
    within_reach,
)
from audio_compressor.audio.probe import Source
from audio_compressor.audio.progress import Progress, Report, no_progress
from audio_compressor.audio.rendition import Rendition, RenditionMaker
from audio_compressor.audio.stereo import FRAME_BYTES, Stereo, decode_to_stereo
from audio_compressor.local_files import local_errors
from audio_compressor.processes import INTERRUPTIBLE_SECONDS, ChildProcesses

logger = logging.getLogger(__name__)

# Shares of the whole, by what they took for 652 s: decoding, measuring, and the three encodes with their corrections.
_DECODED, _MEASURED, _ENCODED = 0.1, 0.1, 0.8


@dataclass(frozen=True)
class Renditions:
    """All that is known of the files. ``before`` is the source as it is heard in stereo; ``limited_db`` is the most
    that was taken off anywhere; ``repair`` says what was wrong with the source.
    """

    plan: LoudnessPlan
    before: Loudness
    renditions: Mapping[RenditionName, Rendition]
    source: Source
    duration_seconds: float
    repair: str | None

    @property
    def limited_db(self) -> float:
        return max(each.limited_db for each in self.renditions.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.plan.warnings


def make_renditions(
    source: Path,
    directory: Path,
    *,
    name: str,
    target: LoudnessTarget,
    peak_policy: PeakPolicy,
    coder: AacCoder,
    ffmpeg: Ffmpeg,
    children: ChildProcesses,
    time_limit: TimeLimit = DEFAULT_TIME_LIMIT,
    progress: Report = no_progress,
) -> Renditions:
    """Write ``low.m4a``, ``med.m4a`` and ``high.m4a`` to ``directory``; the last one has the tags and the cover.

    ``progress`` is told the fraction that is done, from several threads. ``name`` is what logs call the track. Whether
    the loudness came out right is told by `judge_loudness`.

    Raises:
        NotAudioError: the source holds no sound, or too much of it.
        EncodingError: FFmpeg failed or reached its time limit.
        VerificationError: a result does not decode to its end, or has another length.
        OutOfSpaceError, FfmpegMissingError, CancelledError: see `Ffmpeg.run`.
    In every one of these cases, and in any other, none of the files is left.
    """
    ffmpeg.require_encoder(ENCODER)
    # Its own errors are translated where they arise; these are of the directory itself.
    with local_errors(directory), TemporaryDirectory(dir=directory, prefix=".renditions-") as scratch:
        work = _Work(Path(scratch), target, coder, ffmpeg, children, time_limit, Progress(progress))
        made = work.make(source, peak_policy)
        logger.info("%s: %s", name, made.plan.reason)
        placed = {which: _placed(each, directory) for which, each in made.renditions.items()}
    return replace(made, renditions=placed)


def judge_loudness(made: Renditions, target: LoudnessTarget) -> tuple[str, ...]:
    """What is not as it should be: a loudness that is not the plan's within its tolerance, a peak over the limit."""
    findings = []
    for name, each in made.renditions.items():
        lufs, plan = each.after.integrated_lufs, made.plan
        if not plan.is_met_by(each.after):
            found = "no loudness" if lufs is None else f"{lufs:.2f} LUFS"
            findings.append(f"{name}: {found} instead of {plan.goal_lufs:.2f} within {plan.tolerance_lu:.1f} LU")
        if each.after.true_peak_dbtp > target.true_peak_dbtp:
            findings.append(
                f"{name}: a true peak of {each.after.true_peak_dbtp:.2f} dBTP over the limit of "
                f"{target.true_peak_dbtp:.2f}"
            )
    return tuple(findings)


@dataclass(frozen=True)
class _Work:
    """The passes in their order, all of whose files lie in ``scratch``."""

    scratch: Path
    target: LoudnessTarget
    coder: AacCoder
    ffmpeg: Ffmpeg
    children: ChildProcesses
    time_limit: TimeLimit
    progress: Progress

    def make(self, path: Path, policy: PeakPolicy) -> Renditions:
        decoding, measuring = self.progress.part(_DECODED), self.progress.part(_MEASURED)
        sound = self._decode(path)
        decoding(1.0)
        measured, model = self._listen(sound, with_model=policy == "limit")
        before, plan = measured.loudness, plan_loudness(measured.loudness, self.target, policy)
        if plan.mode == "dynamic":
            sound = self._evened_out(sound)
            measured, model = self._listen(sound, with_model=True)
        elif plan.mode != "limit":
            model = None
        if model is not None:
            plan = self._within_reach(plan, measured, model)
        measuring(1.0)
        renditions = self._encode(sound, measured, plan, model)
        return Renditions(plan, before, renditions, sound.source, sound.duration_seconds, sound.repair)

    def _decode(self, path: Path) -> Stereo:
        size_bytes = path.stat().st_size if path.is_file() else 0
        return decode_to_stereo(
            path,
            self.scratch / "sound.raw",
            ffmpeg=self.ffmpeg,
            children=self.children,
            timeout_seconds=self.time_limit.seconds(size_bytes),
        )

    def _listen(self, sound: Stereo, *, with_model: bool) -> tuple[Measured, LoudnessModel | None]:
        """Side by side, before it is known whether a limiter will need the model: it is ready first, and one after the
        other took 0.5 s more of 8 for 300 s.
        """
        with ThreadPoolExecutor(2, "listening") as threads:
            measuring = threads.submit(self._measure, sound)
            modelling = threads.submit(self._model, sound) if with_model else None
            self._wait_for([measuring] if modelling is None else [measuring, modelling])
            return measuring.result(), None if modelling is None else modelling.result()

    def _measure(self, sound: Stereo) -> Measured:
        return measure_loudness(
            sound, ffmpeg=self.ffmpeg, children=self.children, timeout_seconds=self._timeout_seconds(sound)
        )

    def _evened_out(self, sound: Stereo) -> Stereo:
        evened = evened_out(
            sound,
            self.target,
            self.scratch / "evened.raw",
            ffmpeg=self.ffmpeg,
            children=self.children,
            timeout_seconds=self._timeout_seconds(sound),
        )
        sound.path.unlink()
        return evened

    def _model(self, sound: Stereo) -> LoudnessModel:
        energies = block_energies(
            sound, ffmpeg=self.ffmpeg, children=self.children, timeout_seconds=self._timeout_seconds(sound)
        )
        return LoudnessModel(energies)

    def _within_reach(self, plan: LoudnessPlan, measured: Measured, model: LoudnessModel) -> LoudnessPlan:
        """All renditions get the loudness that the one with the lowest ceiling can have."""
        loudness = measured.loudness
        if loudness.integrated_lufs is None:
            return plan
        ceiling_dbtp = self.target.true_peak_dbtp - max(profile.headroom_db for profile in LADDER)
        most_gain_db = ceiling_dbtp + MOST_LIMITING_DB - loudness.true_peak_dbtp
        return within_reach(
            plan, most_lufs(model, measured.peaks, loudness.integrated_lufs, ceiling_dbtp, most_gain_db)
        )

    def _encode(
        self, sound: Stereo, measured: Measured, plan: LoudnessPlan, model: LoudnessModel | None
    ) -> Mapping[RenditionName, Rendition]:
        encoder = AacEncoder(self.coder, self.ffmpeg, self.children, self._timeout_seconds(sound))
        bits = sum(profile.bitrate_kbps for profile in LADDER)
        makers = [
            RenditionMaker(
                sound,
                measured,
                plan,
                self.target,
                model,
                encoder,
                profile,
                self.scratch / f"{profile.name}.m4a",
                self.progress.part(_ENCODED * profile.bitrate_kbps / bits),
            )
            for profile in LADDER
        ]
        with ThreadPoolExecutor(len(makers), "rendition") as threads:
            working = [threads.submit(each.make) for each in makers]
            self._wait_for(working)
        return {future.result().profile.name: future.result() for future in working}

    def _wait_for(self, working: Sequence[Future[Any]]) -> None:
        try:
            while wait(working, timeout=INTERRUPTIBLE_SECONDS).not_done:
                pass
        except BaseException:  # a signal; nobody waits for FFmpeg then
            self.children.kill_all()
            raise

    def _timeout_seconds(self, sound: Stereo) -> float:
        return self.time_limit.seconds(sound.frames * FRAME_BYTES)


def _placed(made: Rendition, directory: Path) -> Rendition:
    return replace(made, path=made.path.rename(directory / made.path.name))
