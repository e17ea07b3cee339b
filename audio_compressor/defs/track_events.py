"""Turns outcomes of tracks into Dagster events. The metadata keys of their assets are made here and nowhere else."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from audio_compressor.defs import data_versions
from audio_compressor.defs.event_parts import (
    Event,
    Judged,
    Upstream,
    bounded,
    check_evaluated,
    iso,
    megabytes,
    version_tags,
)
from audio_compressor.defs.names import AAC_AUDIO, DATA_VERSION_TAG, HLS_RENDITIONS, TRACK
from audio_compressor.hls.layout import PLAYLIST_NAME
from audio_compressor.reporting.formatting import to_mb
from audio_compressor.streaming.checks import CHECKED_PRODUCTS, Product
from audio_compressor.streaming.details import number, part, told_loudness
from audio_compressor.streaming.model import TrackOutcome
from audio_compressor.texts import escape_line
from audio_compressor.tracks.published import Published, PublishedFile
from audio_compressor.tracks.raw import RawObject
from audio_compressor.tracks.track import METADATA_NAME, Track

PRODUCT_KEYS: Mapping[Product, dg.AssetKey] = {"aac_audio": AAC_AUDIO, "hls_renditions": HLS_RENDITIONS}


def track_events(
    outcome: TrackOutcome, log_position: Callable[[], int], judged: Callable[[dg.AssetKey, str], Judged | None]
) -> Iterator[Event]:
    """Everything that one track's outcome has to say, to be logged as it is yielded; the renditions come last.

    ``log_position`` tells the position of the event log, ``judged`` which materialization a check is about.
    """
    key, raw, published = outcome.key, outcome.raw, outcome.published
    if raw and published:
        yield _track(key, raw, outcome.raw_uri, published)
        track = Upstream(TRACK, _raw_version(raw), log_position())
        yield _aac_audio(outcome, published, track)
        audio = Upstream(AAC_AUDIO, _audio_file(published).sha256, log_position())
        yield _hls_renditions(outcome, raw, published, track, audio)
    for check in outcome.checks:
        asset = PRODUCT_KEYS[CHECKED_PRODUCTS[check.name]]
        yield check_evaluated(check, asset, key, judged(asset, key) if published else None)
    if outcome.status != "success":
        yield _not_done(outcome)


def _track(key: str, raw: RawObject, uri: str | None, published: Published) -> dg.AssetMaterialization:
    details = published.details
    return dg.AssetMaterialization(
        TRACK,
        partition=key,
        metadata={
            "uri": uri or "",
            "file_name": raw.track.file_name,
            "size_mb": megabytes(raw.size_bytes),
            "etag": raw.etag,
            "sha256": published.source.sha256,
            "uploaded_at": iso(raw.modified_at),
            **_known(
                duration_seconds=details.get("duration_seconds"),
                codec=details.get("source_codec"),
                sample_rate_hz=details.get("source_sample_rate_hz"),
                channels=details.get("source_channels"),
                repair=details.get("repair"),
            ),
        },
        tags={DATA_VERSION_TAG: _raw_version(raw)},
    )


def _raw_version(raw: RawObject) -> str:
    return data_versions.of_raw_track(raw.fingerprint, raw.track.file_name)


def _audio_name(published: Published) -> str:
    return Track(published.source.file_name).audio_name


def _audio_file(published: Published) -> PublishedFile:
    return published.files[_audio_name(published)]


def _aac_audio(outcome: TrackOutcome, published: Published, upstream: Upstream) -> dg.AssetMaterialization:
    file, loudness = _audio_file(published), told_loudness(published.details)
    rendition = part(published.details, "renditions", "high")
    return dg.AssetMaterialization(
        AAC_AUDIO,
        partition=outcome.key,
        description=escape_line(bounded(loudness.warnings or "")) or None,
        metadata={
            "uri": f"{outcome.published_uri}{_audio_name(published)}",
            "size_mb": megabytes(file.size_bytes),
            "sha256": file.sha256,
            **_known(
                bitrate_kbps=rendition.get("bitrate_kbps"),
                loudness_mode=loudness.mode,
                loudness_reason=loudness.reason,
                gain_db=loudness.gain_db,
                limited_db=loudness.limited_db,
                target_lufs=loudness.target_lufs,
                input_lufs=loudness.input_lufs,
                input_true_peak_dbtp=loudness.input_true_peak_dbtp,
                input_range_lu=loudness.input_range_lu,
                output_lufs=loudness.output_lufs,
                output_true_peak_dbtp=loudness.output_true_peak_dbtp,
                output_range_lu=loudness.output_range_lu,
                warnings=loudness.warnings,
                ffmpeg_command=rendition.get("command"),
            ),
        },
        tags=version_tags(file.sha256, upstream),
    )


def _hls_renditions(
    outcome: TrackOutcome, raw: RawObject, published: Published, *upstreams: Upstream
) -> dg.AssetMaterialization:
    details = published.details
    return dg.AssetMaterialization(
        HLS_RENDITIONS,
        partition=outcome.key,
        metadata={
            "uri": f"{outcome.published_uri}{PLAYLIST_NAME}",
            "metadata_uri": f"{outcome.published_uri}{METADATA_NAME}",
            "size_mb": megabytes(sum(file.size_bytes for file in published.files.values())),
            "files": len(published.files),
            "renditions": dg.MetadataValue.md(_table(details)),
            **_known(
                segments=details.get("segments"),
                segment_type=details.get("segment_type"),
                target_duration_seconds=details.get("target_duration_seconds"),
            ),
            "settings_fingerprint": published.settings_fingerprint,
            "published_at": iso(published.published_at),
            "was_published_before": outcome.was_there,
            "processing_seconds": round(outcome.seconds, 1),
        },
        tags=version_tags(data_versions.of_renditions(raw.fingerprint, published.settings_fingerprint), *upstreams),
    )


def _not_done(outcome: TrackOutcome) -> dg.AssetObservation:
    reason = bounded(outcome.reason or "")
    fingerprint = outcome.raw.fingerprint if outcome.raw and outcome.status == "failed" else ""
    size = {"size_mb": megabytes(outcome.raw.size_bytes)} if outcome.raw else {}
    return dg.AssetObservation(
        HLS_RENDITIONS,
        partition=outcome.key,
        description=escape_line(f"{outcome.status}: {reason}"),
        metadata={"outcome": outcome.status, "reason": reason, "processed_at": iso(datetime.now(UTC)), **size},
        tags={DATA_VERSION_TAG: data_versions.of_failed_track(outcome.status, fingerprint)},
    )


def _table(details: Mapping[str, Any]) -> str:
    lines = ["| rendition | kbit/s | peak bit/s | average bit/s | MB | LUFS | dBTP |", "|---|--:|--:|--:|--:|--:|--:|"]
    renditions = part(details, "renditions")
    for name in renditions:
        each, loudness = part(renditions, name), part(details, "loudness", "after", name)
        figures = (
            each.get("bitrate_kbps"),
            each.get("bandwidth"),
            each.get("average_bandwidth"),
            f"{to_mb(int(number(each.get('size_bytes')) or 0)):.3f}",
            loudness.get("integrated_lufs"),
            loudness.get("true_peak_dbtp"),
        )
        lines.append(f"| {name} | " + " | ".join("" if figure is None else str(figure) for figure in figures) + " |")
    return "\n".join(lines)


def _known(**figures: float | int | str | None) -> dict[str, float | int | str]:
    return {
        name: bounded(figure) if isinstance(figure, str) else figure
        for name, figure in figures.items()
        if figure is not None
    }
