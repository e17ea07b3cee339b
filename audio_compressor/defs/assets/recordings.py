"""The assets of the partition set `recordings`: one run takes many of them, each with its own outcome.

A chain of one asset for each step would fail the whole batch with one bad recording. So one step makes all three
products and logs each recording's events by hand at the moment they are there: a crash loses nothing that was finished,
and a failure turns only its own partition red.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from threading import Event

import dagster as dg

from audio_compressor.batch.connections import SourceConnections
from audio_compressor.batch.explain import explain
from audio_compressor.batch.model import Outcome, Product, Progress
from audio_compressor.batch.pipeline import process_batch
from audio_compressor.defs.checks import check_specs
from audio_compressor.defs.dead_runs import mark_process
from audio_compressor.defs.events import outcome_events
from audio_compressor.defs.history import (
    claimed_before,
    done_since_requested,
    event_log_position,
    known_keys,
    latest_materialization,
    latest_materializations,
    observed_fingerprints,
)
from audio_compressor.defs.names import (
    CODE_VERSION,
    COMPRESSED_AUDIO,
    RAW_AUDIO,
    RECORDING_DIRECTORY,
    RECORDING_METADATA,
    SFTP_POOL,
)
from audio_compressor.defs.partitions import RECORDINGS
from audio_compressor.defs.relocation import relocate_stranded
from audio_compressor.defs.resources import AudioResource, Resources, RunningResource, SftpResource, StorageResource
from audio_compressor.recording import Fingerprint

OWNERS = ["team:audio-compressor"]

RECORDING_DIRECTORY_SPEC = dg.AssetSpec(
    RECORDING_DIRECTORY,
    partitions_def=RECORDINGS,
    group_name="recordings",
    kinds={"sftp"},
    owners=OWNERS,
    description="A recording directory on the SFTP server. Observed by the sensor and the nightly schedule; "
    "its data version is the size and the time of the audio file. Observations fill no partitions, so it shows as 0% "
    "filled.",
)

RAW_AUDIO_SPEC = dg.AssetSpec(
    RAW_AUDIO,
    deps=[RECORDING_DIRECTORY],
    skippable=True,
    group_name="recordings",
    kinds={"sftp", "wav"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    description="A verified download: size and time equal the server's before and after, SHA-256 of what was read. "
    "It lies in staging while the run works on it and is removed afterwards.",
)
COMPRESSED_AUDIO_SPEC = dg.AssetSpec(
    COMPRESSED_AUDIO,
    deps=[RAW_AUDIO],
    skippable=True,
    group_name="recordings",
    kinds={"ffmpeg"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    description="The small copy that people keep: decoded to its end, its duration compared with the source's, "
    "published under its final name only then.",
)
RECORDING_METADATA_SPEC = dg.AssetSpec(
    RECORDING_METADATA,
    deps=[RECORDING_DIRECTORY],
    skippable=True,
    group_name="recordings",
    kinds={"xml"},
    owners=OWNERS,
    code_version=CODE_VERSION,
    description="The recording's metadata file: copied beside the audio when COPY_METADATA, its content shown here.",
)


def build_recording_assets(batch_size: int) -> dg.AssetsDefinition:
    """The three products of a recording. A backfill in the UI takes ``batch_size`` recordings a run."""

    @dg.multi_asset(
        name="process_recordings",
        specs=[RAW_AUDIO_SPEC, COMPRESSED_AUDIO_SPEC, RECORDING_METADATA_SPEC],
        check_specs=check_specs(),
        partitions_def=RECORDINGS,
        backfill_policy=dg.BackfillPolicy.multi_run(batch_size),
        can_subset=True,
        pool=SFTP_POOL,
    )
    def process_recordings(
        context: dg.AssetExecutionContext,
        sftp: SftpResource,
        storage: StorageResource,
        audio: AudioResource,
        running: RunningResource,
        progress: dg.ResourceParam[Progress],
        connections: dg.ResourceParam[SourceConnections],
    ) -> Iterator[dg.Output[None]]:
        instance, selected, keys = context.instance, context.selected_asset_keys, list(context.partition_keys)
        mark_process(instance, context.run)
        log_position = partial(event_log_position, instance)
        judged = partial(latest_materialization, instance, COMPRESSED_AUDIO)
        started_at = log_position()
        observed = observed_fingerprints(instance, keys)
        outcomes = []
        for outcome in _left_to_others(context, keys, observed):
            context.log.info("%s: %s", outcome.directory, outcome.reason)
            progress.finished(outcome)
            outcomes.append(outcome)
        mine = [key for key in keys if key not in {outcome.directory for outcome in outcomes}]

        resources, cancel = Resources(sftp, storage, audio, running), Event()
        with (
            connections.open(sftp.endpoint()) as connection,
            resources.open_storage(cancel) as opened,
        ):
            if opened.location == "local":
                opened.check_writable()  # before the first download, not after each
            relocate_stranded(instance, opened, context.log)
            batch = process_batch(
                mine,
                {Product(key.to_user_string()) for key in selected},
                resources.batch_tools(connection, opened),
                run_id=context.run.run_id,
                observed=observed,
                progress=progress,
                cancel=cancel,
            )
            with closing(batch):
                for outcome in batch:
                    for event in outcome_events(outcome, selected, started_at, log_position, judged):
                        context.log_event(event)
                    outcomes.append(outcome)
                    level, line = explain(outcome)
                    context.log.log(level, "[%d/%d] %s", len(outcomes), len(keys), line)
                    progress.finished(outcome)
        _fail_if_any_failed(outcomes)
        yield from ()  # every output is skippable, and its events are logged already

    return process_recordings


def _left_to_others(
    context: dg.AssetExecutionContext, keys: Sequence[str], observed: Mapping[str, Fingerprint]
) -> Iterator[Outcome]:
    """The recordings that another run is working on, or has finished since this one was asked for."""
    instance, selected = context.instance, context.selected_asset_keys
    # In this order: what the other run finishes between the two looks is found by the second.
    claimed = claimed_before(instance, context.run.run_id, selected, known_keys(instance))
    done = done_since_requested(instance, context.run, keys, observed)
    for key in keys:
        if key in done:
            # Said once more by this run: if it fails because of another recording, this one must not turn red.
            for materialization in latest_materializations(instance, selected, key):
                context.log_event(materialization)
            yield Outcome(key, "skipped", f"run {done[key][:8]} has done it since this run was asked for")
        elif key in claimed:
            yield Outcome(key, "skipped", f"run {claimed[key][:8]} is working on it already")


def _fail_if_any_failed(outcomes: list[Outcome]) -> None:
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        lines = "\n".join(f"{outcome.directory}: {outcome.reason}" for outcome in failed)
        raise dg.Failure(
            f"{len(failed)} of {len(outcomes)} recordings failed.\n{lines}",
            metadata={"failed": len(failed), "recordings": len(outcomes)},
            allow_retries=False,
        )
