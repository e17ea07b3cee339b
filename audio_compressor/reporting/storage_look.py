"""One look at everything that is stored: library, results, staged audio, and the disks. It changes nothing.

What cannot be looked at is a problem that is told, and never taken for something empty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from audio_compressor.archive.aged_results import AgedResults
from audio_compressor.archive.collection import LIBRARY
from audio_compressor.archive.explain import total_of
from audio_compressor.archive.holds import read_holds
from audio_compressor.archive.opening import setup_of
from audio_compressor.archive.orphans import Orphan
from audio_compressor.archive.plan import make_plan
from audio_compressor.archive.survey import Survey, survey
from audio_compressor.archive.trash import read_trash
from audio_compressor.errors import AudioCompressorError
from audio_compressor.reporting.results import Result
from audio_compressor.reporting.storage import Collection, Piece, table
from audio_compressor.reporting.storage_disks import Disk, look_at_disks
from audio_compressor.reporting.storage_pieces import library_orphans, library_pieces, staged_pieces
from audio_compressor.reporting.storage_results import Listed, result_orphans, result_pieces
from audio_compressor.retention.inventory import take_stock
from audio_compressor.retention.store import AudioStore
from audio_compressor.settings import Settings
from audio_compressor.sftp import build_endpoint
from audio_compressor.storage import build_primary
from audio_compressor.storage.base import Storage
from audio_compressor.storage.local import LocalStorage


@dataclass(frozen=True)
class LibraryState:
    """``due`` recordings would save ``due_saves_bytes`` by an estimate; None where the policy cannot be read.
    ``deleted`` ones were deleted because a tier says so, and are in no other figure. ``missing`` ones have lost their
    file.
    """

    recordings: int
    due: int | None
    due_saves_bytes: int | None
    deleted: int
    deleted_bytes: int
    missing: int


@dataclass(frozen=True)
class StorageLook:
    """``table`` has a row for each file (see storage.py). ``unseen`` are collections that are set up and could not be
    looked at; of the others, ``orphans`` is what seems to have lost its other half (see archive/orphans.py).
    """

    at: datetime
    table: pd.DataFrame
    orphans: tuple[Orphan, ...]
    disks: tuple[Disk, ...]
    library: LibraryState | None
    seen: frozenset[Collection]
    unseen: frozenset[Collection]
    problems: tuple[str, ...]


class _Found:
    """What has been found so far."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.orphans: list[Orphan] = []
        self.problems: list[str] = []
        self.seen: set[Collection] = set()
        self.unseen: set[Collection] = set()

    def add(self, collection: Collection, pieces: Sequence[Piece], orphans: Sequence[Orphan] = ()) -> None:
        self.pieces += pieces
        self.orphans += orphans
        self.seen.add(collection)

    def miss(self, collection: Collection, reason: object) -> None:
        self.problems.append(f"{collection}: {reason}")
        self.unseen.add(collection)


def look_at_storage(
    settings: Settings, results: Sequence[Result], now: datetime, no_results_because: str | None = None
) -> StorageLook:
    """Whatever is set up. ``results`` is what Dagster's history tells; ``no_results_because`` says why the storage of
    results is not to be asked.
    """
    found = _Found()
    library = _look_at_library(settings, now, found) if settings.library_dir else None
    if settings.sftp_host and no_results_because:
        found.miss("results", no_results_because)
    elif settings.sftp_host:
        _look_at_results(settings, results, found)
    _look_at_staged(settings, found)
    disks, problems = look_at_disks(places_of(settings), settings.disk_warning_bytes)
    return StorageLook(
        at=now,
        table=table(found.pieces),
        orphans=tuple(found.orphans),
        disks=tuple(disks),
        library=library,
        seen=frozenset(found.seen - found.unseen),
        unseen=frozenset(found.unseen),
        problems=(*found.problems, *problems),
    )


def places_of(settings: Settings) -> Mapping[str, Path]:
    """The directories that are written to, by what is in them."""
    places = {
        "library": settings.library_dir,
        "results": settings.output_dir if settings.sftp_host else "",
        "staged": settings.audio_storage_path if Path(settings.audio_storage_path).exists() else "",
        "temporary": settings.temp_dir if settings.sftp_host or settings.tracks_bucket else "",
    }
    return {name: Path(path) for name, path in places.items() if path}


def _look_at_library(settings: Settings, now: datetime, found: _Found) -> LibraryState | None:
    try:
        setup = setup_of(LIBRARY, settings)
        layout = setup.layout
        surveyed = survey(layout, now)
        trash, problems = read_trash(layout)
    except AudioCompressorError as error:
        found.miss("library", error)
        return None
    found.add("library", list(library_pieces(surveyed, trash)), list(library_orphans(surveyed)))
    found.problems += [f"library: {problem}" for problem in (*surveyed.problems, *problems)]
    missing = set(surveyed.missing)
    if any(file.standing is None and file.key not in missing for file in surveyed.files):
        found.unseen.add("library")  # the problems tell which directory cannot be listed
    due, due_saves_bytes = None, None
    try:
        plan = make_plan(now, surveyed.files, setup.policy(), read_holds(layout), settings.settle_seconds)
    except AudioCompressorError as error:
        found.problems.append(f"library: what is due is not known: {error}")
    else:
        total = total_of(plan.due)
        due, due_saves_bytes = total.files, total.saved_bytes
    return _state(surveyed, due, due_saves_bytes)


def _state(surveyed: Survey, due: int | None, due_saves_bytes: int | None) -> LibraryState:
    deleted = [record for record in surveyed.records.values() if record.deleted_at]
    return LibraryState(
        recordings=sum(file.standing is not None for file in surveyed.files),
        due=due,
        due_saves_bytes=due_saves_bytes,
        deleted=len(deleted),
        deleted_bytes=sum(record.original.size_bytes for record in deleted if record.original),
        missing=len(surveyed.missing),
    )


def _look_at_results(settings: Settings, results: Sequence[Result], found: _Found) -> None:
    """Where the destination is elsewhere, what waits in the local directory for it counts too."""
    storages: list[Storage] = []
    try:
        with build_primary(settings, build_endpoint(settings)) as primary:
            storages.append(primary)
            if primary.location != "local":
                storages.append(LocalStorage(Path(settings.output_dir), settings.on_existing))
            for storage in storages:
                listed = Listed(storage.location, storage.uri("x").removesuffix("x"), storage.entries())
                current = list(AgedResults(Path(settings.output_dir)).where_they_are(results))
                found.add("results", list(result_pieces(listed, current)), list(result_orphans(listed, current)))
    except AudioCompressorError as error:
        found.miss("results", error)


def _look_at_staged(settings: Settings, found: _Found) -> None:
    directory = Path(settings.audio_storage_path)
    try:
        found.add("staged", list(staged_pieces(take_stock(AudioStore(directory)))))
    except AudioCompressorError as error:
        found.miss("staged", error)
