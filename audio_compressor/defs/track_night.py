"""Tracks without a daemon: the same look at what waits and the same job, executed in this process one by one."""

from collections.abc import Sequence
from dataclasses import dataclass

from dagster import DagsterInstance

from audio_compressor.definitions import build_definitions
from audio_compressor.defs.in_process import execute, reason_of
from audio_compressor.defs.lines import TRACK_LINE
from audio_compressor.defs.names import CLAIM_TAG, STREAMING_JOB
from audio_compressor.defs.requests import add_partitions
from audio_compressor.defs.resources import build_track_resources
from audio_compressor.defs.track_intake import TrackSurvey, TrackSurveyor
from audio_compressor.settings import Settings
from audio_compressor.streaming.model import TrackOutcome, TrackProgress
from audio_compressor.streaming.summary import TrackSummary, summarise

# As many as one is willing to wait for.
_MOST = 100_000


class TrackWatcher(TrackProgress):
    """Told about the work as it goes on."""

    def surveyed(self, survey: TrackSurvey) -> None:
        """What waits is known; work begins."""


class _Collector(TrackProgress):
    """Keeps what there is to sum up, and passes everything on."""

    def __init__(self, watcher: TrackProgress) -> None:
        self.tracks: dict[str, TrackSummary] = {}
        self._watcher = watcher

    def downloading(self, key: str, size_bytes: int) -> None:
        self._watcher.downloading(key, size_bytes)

    def downloaded(self, key: str, size_bytes: int) -> None:
        self._watcher.downloaded(key, size_bytes)

    def encoding(self, key: str, fraction: float) -> None:
        self._watcher.encoding(key, fraction)

    def publishing(self, key: str, size_bytes: int) -> None:
        self._watcher.publishing(key, size_bytes)

    def finished(self, outcome: TrackOutcome) -> None:
        self.tracks[outcome.key] = summarise(outcome)
        self._watcher.finished(outcome)


@dataclass(frozen=True)
class TrackNight:
    """What waited and what became of it."""

    survey: TrackSurvey
    tracks: Sequence[TrackSummary]


def run_tracks(
    settings: Settings, instance: DagsterInstance, watcher: TrackWatcher, names: Sequence[str] | None
) -> TrackNight:
    """Make the tracks of these names; of None, everything that waits, and what failed before.

    Raises:
        AudioCompressorError: bucket or catalogue cannot be looked at.
        KeyboardInterrupt: see `execute`; what was claimed waits again.
    """
    collector, resources = _Collector(watcher), build_track_resources(settings)
    job = build_definitions(settings, track_progress=collector).resolve_job_def(STREAMING_JOB)
    surveyor = TrackSurveyor(instance, resources)
    survey = surveyor.look(_MOST, again=True) if names is None else surveyor.look_for(names)
    if survey.new_keys:
        add_partitions(instance, survey.new_keys, TRACK_LINE)
    watcher.surveyed(survey)
    for keys in survey.ranges(settings.batch_size):
        [tags] = surveyor.claim(survey, [keys])
        try:
            result = execute(job, instance, tags)
        except BaseException:
            surveyor.give_back(tags[CLAIM_TAG])  # where the run had not begun, nobody else would for a while
            raise
        if not result.success:
            surveyor.give_back(tags[CLAIM_TAG])
            for key in keys.keys:
                if key not in collector.tracks:
                    collector.finished(TrackOutcome(key, "failed", reason_of(result)))
    return TrackNight(survey, tuple(collector.tracks.values()))
