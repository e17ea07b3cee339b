"""The steps of one track, each to be called in its turn: fetch it, make its renditions, publish them."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from audio_compressor.audio.checks import CheckResult
from audio_compressor.audio.compress import DEFAULT_TIME_LIMIT
from audio_compressor.audio.renditions import make_renditions
from audio_compressor.errors import AudioError, PermanentError, RemoteFileMissingError
from audio_compressor.hls.conforms import hls_conforms
from audio_compressor.hls.cut import cut_ladder
from audio_compressor.local_files import local_errors
from audio_compressor.processes import ChildProcesses
from audio_compressor.staging import Staging
from audio_compressor.streaming.checks import conforms, loudness_on_target
from audio_compressor.streaming.details import describe
from audio_compressor.streaming.model import TrackProgress, TrackTools
from audio_compressor.tracks.publication import LocalTrack
from audio_compressor.tracks.published import Published, Source, why_outdated
from audio_compressor.tracks.publishing import About
from audio_compressor.tracks.raw import RawObject
from audio_compressor.tracks.track import Track, why_taken

# The sound as floats takes 2.8 Mbit/s: twice CD quality, 22 times an MP3 of 128 kbit/s.
_PCM_SUFFIXES = {".wav", ".w64", ".rf64", ".aif", ".aiff", ".flac", ".caf"}
TIMES_PCM, TIMES_CODED = 5, 25
_RAW_DIRECTORY, _LADDER_DIRECTORY = "raw", "ladder"


@dataclass(frozen=True)
class Fetched:
    """The raw object lies at ``path``, verified."""

    raw: RawObject
    path: Path
    source: Source


@dataclass(frozen=True)
class Made:
    """Ready to be published."""

    raw: RawObject
    local: LocalTrack
    source: Source
    details: Mapping[str, Any]


class NotConformingError(AudioError):
    """The ladder breaks rules, and players could stumble over it. ``verdict`` is the failed check."""

    def __init__(self, verdict: CheckResult) -> None:
        super().__init__(f"The renditions do not conform and are not published: {verdict.summary}")
        self.verdict = verdict


def most_staged_bytes(raw: RawObject) -> int:
    """What a track may take in staging, with its sound as floats and its renditions; nobody knows its length yet."""
    is_pcm = PurePosixPath(raw.track.file_name).suffix.lower() in _PCM_SUFFIXES
    return raw.size_bytes * (TIMES_PCM if is_pcm else TIMES_CODED)


class TrackMaker:
    """For the tracks of one batch; its methods may be called from several threads."""

    def __init__(
        self,
        tools: TrackTools,
        staging: Staging,
        progress: TrackProgress,
        children: ChildProcesses,
        cancelled: threading.Event,
    ) -> None:
        self._tools = tools
        self._bucket = tools.bucket
        self._staging = staging
        self._progress = progress
        self._children = children
        self._cancelled = cancelled
        self._fingerprint = tools.recipe.fingerprint(tools.ffmpeg)

    def find(self, track: Track) -> RawObject:
        """
        Raises:
            RemoteFileMissingError: there is no such object.
        """
        raw = self._bucket.find_raw(track)
        if raw is None:
            raise RemoteFileMissingError(f"{self._bucket.raw_uri(track)} does not exist; was the upload finished?")
        return raw

    def published_before(self, raw: RawObject) -> Published | None:
        """What is published of this source with this recipe already, and is whole.

        Raises:
            PermanentError: the track is made from another object, which is still there.
        """
        published = self._bucket.published(raw.track)
        if published and published.source.file_name != raw.track.file_name:
            self._require_not_taken(raw.track, published.source.file_name)
        if why_outdated(published, raw, self._fingerprint) is not None:
            return None
        return published if self._bucket.verify_published(raw.track, cancel=self._cancelled).is_intact else None

    def fetch(self, raw: RawObject, directory: Path) -> Fetched:
        """Download the raw object, verified, into ``directory``."""
        key = raw.track.key
        self._progress.downloading(key, raw.size_bytes)
        # In a directory of its own: people may call their tracks high.m4a.
        path = directory / _RAW_DIRECTORY / raw.track.file_name
        with local_errors(path.parent):
            path.parent.mkdir(exist_ok=True)
        downloaded = self._bucket.download(
            raw,
            path,
            self._staging,
            needed_bytes=most_staged_bytes(raw),
            cancel=self._cancelled,
            on_bytes=partial(self._progress.downloaded, key),
        )
        return Fetched(raw, path, Source(raw.track.file_name, raw.size_bytes, raw.etag, downloaded.sha256))

    def make(self, fetched: Fetched, directory: Path) -> Made:
        """Encode the renditions, cut them, and judge both.

        Raises:
            NotConformingError: the ladder breaks a rule.
            AudioError and its kind: see `make_renditions`.
        """
        tools, recipe, key = self._tools, self._tools.recipe, fetched.raw.track.key
        seconds_allowed = DEFAULT_TIME_LIMIT.seconds(fetched.raw.size_bytes)
        made = make_renditions(
            fetched.path,
            directory,
            name=key,
            target=recipe.target,
            peak_policy=recipe.peak_policy,
            coder=recipe.coder,
            ffmpeg=tools.ffmpeg,
            children=self._children,
            progress=partial(self._progress.encoding, key),
        )
        ladder_directory = directory / _LADDER_DIRECTORY
        with local_errors(ladder_directory):
            ladder_directory.mkdir()
        ladder = cut_ladder(
            {name: rendition.path for name, rendition in made.renditions.items()},
            ladder_directory,
            segment_duration_seconds=recipe.segment_duration_seconds,
            segment_type=recipe.segment_type,
            ffmpeg=tools.ffmpeg,
            children=self._children,
            timeout_seconds=seconds_allowed,
        )
        report = hls_conforms(
            ladder_directory,
            made.duration_seconds,
            ffmpeg=tools.ffmpeg,
            children=self._children,
            timeout_seconds=seconds_allowed,
        )
        verdict = conforms(report)
        if not verdict.passed:
            raise NotConformingError(verdict)
        checks = (loudness_on_target(made, recipe.target), verdict)
        local = LocalTrack(ladder_directory, made.renditions["high"].path)
        return Made(fetched.raw, local, fetched.source, describe(made, ladder, recipe.target, checks))

    def publish(self, made: Made) -> Published:
        """Publish it. What it replaces is removed by a later look, when nobody plays it any more (see tidying.py)."""
        track = made.raw.track
        about = About(made.source, self._fingerprint, made.details)
        on_bytes = partial(self._progress.publishing, track.key)
        published, _ = self._bucket.publish(track, made.local, about, cancel=self._cancelled, on_bytes=on_bytes)
        return published

    def _require_not_taken(self, track: Track, owner: str) -> None:
        still_there = self._bucket.find_raw(Track(owner))
        if reason := why_taken(track, owner if still_there else None):
            raise PermanentError(reason)
