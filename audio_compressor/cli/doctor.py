"""`audio-compressor doctor`: one line for each thing that must work, with what to do where it does not."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from audio_compressor.archive.collection import LIBRARY, RESULTS, Collection
from audio_compressor.audio.ffmpeg import find_ffmpeg
from audio_compressor.audio.ladder import ENCODER
from audio_compressor.audio.profiles import Profile
from audio_compressor.catalog.migrating import why_incomplete
from audio_compressor.cli.environment import EXIT_ALL_FAILED, history_errors, load_environment, open_instance
from audio_compressor.cli.library_findings import (
    check_cold_storage,
    check_directory,
    check_policy,
    look_at_recordings,
)
from audio_compressor.cli.terminal import console
from audio_compressor.defs.resources import TrackResources, build_track_resources
from audio_compressor.errors import AccessDeniedError, AudioCompressorError, OutOfSpaceError
from audio_compressor.intake.listing import list_source
from audio_compressor.retries import Retry
from audio_compressor.settings import CredentialSettings, Settings
from audio_compressor.sftp import build_endpoint
from audio_compressor.sftp.connection import SftpConnection
from audio_compressor.staging import RESERVE_BYTES
from audio_compressor.storage import build_primary
from audio_compressor.streaming.making import TIMES_CODED, TIMES_PCM

CONNECTION = "connection and host key"
_MOST_COUNTED = 10_000
# A person is waiting, and asks again.
_AT_ONCE = Retry(attempts=1, delay_seconds=0)


def examine() -> int:
    """Print the findings; returns the exit code: 0, or 2 when anything does not work.

    Raises:
        ConfigurationError: there is nothing to examine yet.
    """
    settings = load_environment()
    out = console()
    out.print("[green]ok  [/] settings: all valid")
    failed: set[str] = set()
    for finding in _findings(settings):
        if finding.needs in failed:
            why = "no connection" if finding.needs == CONNECTION else f"not without the {finding.needs}"
            out.print(f"[yellow]skip[/] {finding.name}: {why}, so it was not tried")
            continue
        try:
            out.print(f"[green]ok  [/] {finding.name}: {escape(finding.examine())}", soft_wrap=True)
        except AudioCompressorError as error:
            failed.add(finding.name)
            out.print(f"[red]FAIL[/] {finding.name}: {escape(str(error))}", soft_wrap=True)
    return EXIT_ALL_FAILED if failed else 0


@dataclass(frozen=True)
class _Finding:
    """``needs`` is the name of an earlier finding without which this one is not tried."""

    name: str
    examine: Callable[[], str]
    needs: str | None = None


def _findings(settings: Settings) -> list[_Finding]:
    return [
        _Finding("FFmpeg", lambda: _ffmpeg(settings)),
        *(_of_recordings(settings) if settings.sftp_host else ()),
        *(_of_tracks(settings) if settings.tracks_bucket else ()),
        *(_aged(LIBRARY, "library", "library's", settings) if settings.library_dir else ()),
        *(_aged(RESULTS, "results", "results'", settings) if settings.output_policy else ()),
        *(_cold_storage(settings) if settings.library_dir or settings.output_policy else ()),
        *(
            [_Finding("staging", lambda: check_staging(settings))]
            if settings.sftp_host or settings.tracks_bucket
            else []
        ),
        _Finding("Dagster", _dagster),
    ]


def _of_recordings(settings: Settings) -> Iterator[_Finding]:
    endpoint = build_endpoint(settings)
    connection = SftpConnection(endpoint)
    # A server that counts refused logins locks the account: after the first there is no other.
    storage_needs = CONNECTION if settings.storage_backend == "sftp" else None
    yield _Finding(CONNECTION, lambda: _connect(connection, endpoint.server, settings))
    yield _Finding("listing", lambda: _listing(connection, settings), needs=CONNECTION)
    yield _Finding("destination", lambda: _destination(settings), needs=storage_needs)


def _of_tracks(settings: Settings) -> Iterator[_Finding]:
    resources = build_track_resources(settings)
    yield _Finding("tracks", lambda: _tracks(resources))
    yield _Finding("catalogue", lambda: _catalog(resources))


def _aged(collection: Collection, name: str, their: str, settings: Settings) -> Iterator[_Finding]:
    yield _Finding(name, lambda: check_directory(collection, settings))
    yield _Finding(f"{their} policy", lambda: check_policy(collection, settings))
    yield _Finding(f"{their} recordings", lambda: look_at_recordings(collection, settings), needs=name)


def _cold_storage(settings: Settings) -> Iterator[_Finding]:
    if settings.cold_bucket:
        yield _Finding("cold storage", lambda: check_cold_storage(settings))


def _tracks(resources: TrackResources) -> str:
    with resources.open_bucket(_AT_ONCE) as bucket:
        listing = bucket.list_raw()
        written = bucket.check_writable()
    refused = f", {len(listing.refused)} other objects are refused" if listing.refused else ""
    return f"{len(listing.objects)} tracks below {resources.tracks.raw_prefix}{refused}; {written}"


def _catalog(resources: TrackResources) -> str:
    url = CredentialSettings().catalog_url.get_secret_value()
    if url and (incomplete := why_incomplete(url)):
        return incomplete
    with resources.tracks.open_catalog() as catalog:
        if catalog is None:
            return "CATALOG_URL is not set: what lies in the bucket is all there is to know"
        waiting = len(catalog.pending(_MOST_COUNTED))
        more = " or more" if waiting == _MOST_COUNTED else ""
        return f"{waiting:,}{more} uploads wait in {catalog.name}, {len(catalog.claims())} are being worked on"


def _ffmpeg(settings: Settings) -> str:
    ffmpeg = find_ffmpeg(settings.ffmpeg_binary)
    formats: list[str] = []
    if settings.sftp_host:
        profile = Profile(settings.audio_format, settings.sample_rate, settings.channels, settings.bitrate_kbps)
        ffmpeg.require_encoder(profile.encoder)
        formats.append(settings.audio_format)
    if settings.tracks_bucket:
        ffmpeg.require_encoder(ENCODER)
        formats.append("AAC for tracks")
    if settings.library_dir or settings.output_policy:
        ffmpeg.require_encoder("libopus")
        formats.append("Opus for what is aged")
    return f"version {ffmpeg.version} at {ffmpeg.binary}, can write {' and '.join(formats)}"


def _connect(connection: SftpConnection, server: str, settings: Settings) -> str:
    connection.reconnect()
    return f"logged in to {server}, its key is in {settings.sftp_known_hosts} ({settings.sftp_host_key_policy})"


def _listing(connection: SftpConnection, settings: Settings) -> str:
    with connection:
        listing = list_source(connection, settings.sftp_remote_path, settings.dir_pattern, settings.audio_filename)
    with_audio = sum(directory.audio is not None for directory in listing.directories)
    ignored = f", {len(listing.ignored)} other entries are ignored" if listing.ignored else ""
    return f"{len(listing.directories)} recordings in {settings.sftp_remote_path}, {with_audio} with audio{ignored}"


def _destination(settings: Settings) -> str:
    with build_primary(settings, build_endpoint(settings)) as storage:
        return f"{settings.storage_backend}: {storage.check_writable()}"


def check_staging(settings: Settings) -> str:
    """What fits into the staging directory.

    Raises:
        AccessDeniedError: it cannot be written.
        OutOfSpaceError: nothing fits.
    """
    temp_dir = Path(settings.temp_dir)
    place = next(path for path in (temp_dir, *temp_dir.parents) if path.exists())
    if not os.access(place, os.W_OK):
        raise AccessDeniedError(f"{temp_dir} cannot be written; change its owner or set TEMP_DIR")
    free_bytes = shutil.disk_usage(place).free
    room_mb = (free_bytes - RESERVE_BYTES) / 1e6
    if room_mb <= 0:
        raise OutOfSpaceError(f"{temp_dir} has only {free_bytes / 1e6:,.0f} MB free; free some or set TEMP_DIR")
    recording = f"a recording of {room_mb / 2:,.0f} MB" if settings.sftp_host else ""
    track = f"a track of {room_mb / TIMES_CODED:,.0f} MB, or {room_mb / TIMES_PCM:,.0f} MB of WAV"
    enough = " or ".join(filter(None, (recording, track if settings.tracks_bucket else "")))
    return f"{temp_dir} has {free_bytes / 1e9:,.1f} GB free, enough for {enough}"


def _dagster() -> str:
    with open_instance() as instance, history_errors():
        return f"{instance.get_runs_count():,} runs in the history at {instance.root_directory}"
