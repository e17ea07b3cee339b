"""Turns outcomes into Dagster events. The metadata keys of every asset are made here and nowhere else."""

from base64 import b64encode
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from audio_compressor.batch.model import CompressedAudio, Download, Outcome, RecordingMetadata
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
from audio_compressor.defs.names import (
    COMPRESSED_AUDIO,
    DATA_VERSION_TAG,
    RAW_AUDIO,
    RECORDING_DIRECTORY,
    RECORDING_METADATA,
)
from audio_compressor.intake.adoption import Adoption
from audio_compressor.intake.plan import Skip
from audio_compressor.recording import Fingerprint, Recording
from audio_compressor.reporting.formatting import to_mb
from audio_compressor.reporting.results import Result
from audio_compressor.texts import escape_line, visible


def outcome_events(
    outcome: Outcome,
    selected: Collection[dg.AssetKey],
    started_at: int,
    log_position: Callable[[], int],
    judged: Callable[[str], Judged | None],
) -> Iterator[Event]:
    """Everything that one recording's outcome has to say about the selected assets, to be logged as it is yielded.

    ``started_at`` is the position of the event log when the batch began, ``log_position`` tells the current one, and
    ``judged`` which materialization of a recording its checks are about.
    """
    directory, download = outcome.directory, outcome.download
    source = Upstream(RECORDING_DIRECTORY, str(outcome.fingerprint or ""), started_at)
    if RAW_AUDIO in selected and download:
        yield _raw_audio(directory, download, source)
    if RECORDING_METADATA in selected and outcome.metadata:
        yield _recording_metadata(directory, outcome.metadata, source)
    if COMPRESSED_AUDIO in selected:
        if outcome.compressed and download:
            raw_audio = Upstream(RAW_AUDIO, download.sha256, log_position())
            yield _compressed_audio(directory, download, outcome.compressed, raw_audio)
        yield from _check_evaluations(outcome, judged)
    if outcome.status != "success":
        # Of the recording, where its main product was asked for; else of what was.
        yield _not_done(outcome, COMPRESSED_AUDIO if COMPRESSED_AUDIO in selected else next(iter(selected)))


def directory_observed(recording: Recording) -> dg.AssetObservation:
    fingerprint = recording.fingerprint
    return dg.AssetObservation(
        RECORDING_DIRECTORY,
        partition=recording.directory,
        metadata={
            "size_mb": megabytes(fingerprint.size_bytes),
            "modified_at": iso(fingerprint.modified_at),
            "source_fingerprint": str(fingerprint),
        },
        tags={DATA_VERSION_TAG: str(fingerprint)},
    )


def skip_observed(skip: Skip) -> dg.AssetObservation:
    """A recording that was passed over before any run."""
    size = {"original_size_mb": megabytes(skip.fingerprint.size_bytes)} if skip.fingerprint else {}
    return dg.AssetObservation(
        COMPRESSED_AUDIO,
        partition=skip.directory,
        description=escape_line(f"skipped: {bounded(skip.reason)}"),
        metadata={
            "outcome": "skipped",
            "reason": bounded(skip.reason),
            "processed_at": iso(datetime.now(UTC)),
            **size,
        },
        tags={DATA_VERSION_TAG: data_versions.of_skip(skip.kind, skip.fingerprint)},
    )


def adoption_materialized(
    adoption: Adoption, storage_location: str, uri: str, log_position: int
) -> dg.AssetMaterialization:
    """An output that an earlier deployment left in storage."""
    original_bytes = adoption.recording.fingerprint.size_bytes
    compressed_bytes = adoption.output.size_bytes
    return dg.AssetMaterialization(
        COMPRESSED_AUDIO,
        partition=adoption.recording.directory,
        description="adopted: the output of an earlier deployment was in storage",
        metadata={
            "original_size_mb": megabytes(original_bytes),
            "compressed_size_mb": megabytes(compressed_bytes),
            "compression_ratio": round(original_bytes / compressed_bytes, 2),
            "storage_location": storage_location,
            "uri": uri,
            "source_fingerprint": str(adoption.recording.fingerprint),
            "processed_at": iso(datetime.fromtimestamp(adoption.output.modified_at_seconds, UTC)),
            "adopted": True,
        },
        tags=version_tags(
            data_versions.of_adoption(adoption.recording.fingerprint), Upstream(RAW_AUDIO, "", log_position)
        ),
    )


def adoption_completed(
    adopted: dg.AssetMaterialization, sha256: str, duration_seconds: float
) -> dg.AssetMaterialization:
    """The same output, now that it was read to its end."""
    return dg.AssetMaterialization(
        COMPRESSED_AUDIO,
        partition=adopted.partition,
        description=adopted.description,
        metadata={**adopted.metadata, "sha256": sha256, "duration_seconds": duration_seconds},
        tags=adopted.tags,
    )


def import_materialized(result: Result, log_position: int) -> dg.AssetMaterialization | dg.AssetObservation:
    """An entry of an old manifest."""
    known = {
        "original_size_mb": result.original_size_mb,
        "compressed_size_mb": result.compressed_size_mb,
        "compression_ratio": result.compression_ratio,
        "storage_location": result.storage_location,
    }
    metadata: dict[str, Any] = {key: value for key, value in known.items() if value is not None}
    metadata |= {"processed_at": iso(result.processed_at), "imported": True}
    if result.status == "success":
        return dg.AssetMaterialization(
            COMPRESSED_AUDIO,
            partition=result.directory,
            description="imported from a manifest.json",
            metadata=metadata,
            tags=version_tags(data_versions.of_import(result.processed_at), Upstream(RAW_AUDIO, "", log_position)),
        )
    reason = bounded(result.reason or "the manifest gives no reason")
    return dg.AssetObservation(
        COMPRESSED_AUDIO,
        partition=result.directory,
        description=f"{result.status}, imported from a manifest.json",
        metadata={**metadata, "outcome": result.status, "reason": reason},
        tags={DATA_VERSION_TAG: data_versions.of_failure(None)},
    )


def _raw_audio(directory: str, download: Download, source: Upstream) -> dg.AssetMaterialization:
    size_bytes = download.fingerprint.size_bytes
    return dg.AssetMaterialization(
        RAW_AUDIO,
        partition=directory,
        metadata={
            "size_mb": megabytes(size_bytes),
            "sha256": download.sha256,
            "uri": download.uri,
            "source_fingerprint": str(download.fingerprint),
            "download_seconds": round(download.seconds, 3),
            "download_mb_per_second": round(to_mb(size_bytes) / max(download.seconds, 1e-3), 1),
        },
        tags=version_tags(download.sha256, source),
    )


def _compressed_audio(
    directory: str, download: Download, done: CompressedAudio, raw_audio: Upstream
) -> dg.AssetMaterialization:
    compression, stored = done.compression, done.stored
    original_bytes = download.fingerprint.size_bytes
    picture = b64encode(compression.waveform_png).decode()
    metadata: dict[str, Any] = {
        "original_size_mb": megabytes(original_bytes),
        "compressed_size_mb": megabytes(compression.size_bytes),
        "compression_ratio": round(original_bytes / compression.size_bytes, 2),
        "duration_seconds": round(compression.duration_seconds, 3),
        "bitrate_kbps": round(compression.bitrate_kbps, 1),
        "sample_rate_hz": compression.sample_rate_hz,
        "channels": compression.channels,
        "codec": compression.codec,
        "storage_location": stored.location,
        "uri": stored.uri,
        "sha256": compression.sha256,
        "source_sha256": download.sha256,
        "source_fingerprint": str(download.fingerprint),
        "processed_at": iso(done.processed_at),
        "processing_seconds": round(done.processing_seconds, 3),
        "encoding_seconds": round(compression.encoding_seconds, 3),
        "realtime_factor": round(compression.duration_seconds / max(done.processing_seconds, 1e-3), 1),
        "ffmpeg_version": compression.ffmpeg_version,
        "ffmpeg_command": compression.ffmpeg_command,
        "waveform": dg.MetadataValue.md(f"![waveform](data:image/png;base64,{picture})"),
        "mixdown": compression.mixdown,
        "level_rms_dbfs": round(compression.levels.rms_dbfs, 1),
        "level_peak_dbfs": round(compression.levels.peak_dbfs, 1),
        "source_duration_seconds": round(compression.source.duration_seconds, 3),
        "source_levels": _levels(compression),
    }
    if compression.gain_db:
        metadata["gain_db"] = round(compression.gain_db, 2)
    if compression.source.repair:
        metadata["source_repair"] = bounded(compression.source.repair)
    if stored.fallback_reason:
        metadata["fallback_reason"] = bounded(stored.fallback_reason)
    if stored.was_there:
        metadata["kept"] = "a file with this content was there already"
    return dg.AssetMaterialization(
        COMPRESSED_AUDIO,
        partition=directory,
        metadata=metadata,
        tags=version_tags(data_versions.of_success(download.fingerprint, compression.sha256), raw_audio),
    )


def _levels(compression: Any) -> dict[str, dict[str, float]]:
    source = compression.source
    return {
        f"channel {number}": {
            "rms_dbfs": round(levels.rms_dbfs, 1),
            "peak_dbfs": round(levels.peak_dbfs, 1),
            "hum_dbfs": round(hum.rms_dbfs, 1),
        }
        for number, (levels, hum) in enumerate(zip(source.levels, source.hums, strict=True), start=1)
    }


def _recording_metadata(directory: str, found: RecordingMetadata, source: Upstream) -> dg.AssetMaterialization:
    metadata: dict[str, Any] = {}
    if found.file:
        metadata |= {"size_bytes": found.file.size_bytes, "sha256": found.file.sha256}
        if found.file.fields:
            metadata["content"] = dg.MetadataValue.json(
                {visible(name): visible(value) for name, value in found.file.fields.items()}
            )
    if found.stored:
        metadata |= {"storage_location": found.stored.location, "uri": found.stored.uri}
        if found.stored.fallback_reason:
            metadata["fallback_reason"] = bounded(found.stored.fallback_reason)
    if found.warning:
        metadata["warning"] = bounded(found.warning)
    return dg.AssetMaterialization(
        RECORDING_METADATA,
        partition=directory,
        description=escape_line(bounded(found.warning)) if found.warning else None,
        metadata=metadata,
        tags=version_tags(found.file.sha256 if found.file else "none", source),
    )


def _check_evaluations(outcome: Outcome, judged: Callable[[str], Judged | None]) -> Iterator[dg.AssetCheckEvaluation]:
    # Dagster's UI counts a check for a partition only if it is about its latest materialization.
    target = judged(outcome.directory) if outcome.checks else None
    for check in outcome.checks:
        yield check_evaluated(check, COMPRESSED_AUDIO, outcome.directory, target)


def _not_done(outcome: Outcome, asset: dg.AssetKey) -> dg.AssetObservation:
    reason = bounded(outcome.reason or "")
    size = {"original_size_mb": megabytes(outcome.fingerprint.size_bytes)} if outcome.fingerprint else {}
    if outcome.skip_kind:
        data_version = data_versions.of_skip(outcome.skip_kind, outcome.fingerprint)
    else:
        data_version = data_versions.of_failure(outcome.fingerprint)
    return dg.AssetObservation(
        asset,
        partition=outcome.directory,
        description=escape_line(f"{outcome.status}: {reason}"),
        metadata={"outcome": outcome.status, "reason": reason, "processed_at": iso(datetime.now(UTC)), **size},
        tags={DATA_VERSION_TAG: data_version},
    )


def interrupted_observed(directory: str, fingerprint: Fingerprint | None, reason: str) -> dg.AssetObservation:
    """A recording that was being made anew by a run that is gone."""
    return dg.AssetObservation(
        COMPRESSED_AUDIO,
        partition=directory,
        description=f"failed: {reason}",
        metadata={"outcome": "failed", "reason": reason, "processed_at": iso(datetime.now(UTC))},
        tags={DATA_VERSION_TAG: data_versions.of_failure(fingerprint)},
    )
