"""What the commands that are about the library begin with; and its trash: what lies in it, and bringing it back."""

import json
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path, PurePosixPath

from rich.markup import escape

from audio_compressor.archive.collection import LIBRARY, RESULTS, Collection
from audio_compressor.archive.layout import Layout
from audio_compressor.archive.library import Library
from audio_compressor.archive.opening import setup_of
from audio_compressor.archive.restoring import Restored
from audio_compressor.archive.trash import TrashEntry, read_trash
from audio_compressor.cli.environment import (
    EXIT_ALL_FAILED,
    EXIT_SOME_FAILED,
    history_errors,
    load_environment,
    open_instance,
)
from audio_compressor.cli.library_tables import print_table, trash_table
from audio_compressor.cli.terminal import console
from audio_compressor.errors import AccessDeniedError, AudioCompressorError
from audio_compressor.imports import large_imports
from audio_compressor.reporting.formatting import megabytes, to_mb
from audio_compressor.retries import Retry
from audio_compressor.settings import Settings
from audio_compressor.texts import visible


def load_library_environment(collection: Collection = LIBRARY) -> Settings:
    """As `load_environment`, for the commands that are about the library, or about results that are aged.

    Raises:
        ConfigurationError: there is none.
    """
    settings = load_environment()
    setup_of(collection, settings)
    return settings


def open_settings_library(settings: Settings, collection: Collection = LIBRARY) -> Library:
    """To be closed by the caller; a context manager. Raises as `Setup.open`."""
    return setup_of(collection, settings).open(Retry(settings.max_retries, settings.retry_delay))


def name_in(layout: Layout, given: str) -> str:
    """The path below the root of what a person names by that, or absolutely; patterns stay patterns.

    An absolute one is of exactly this file or directory, where one without a slash would be of any of that name.

    Raises:
        AccessDeniedError: it is not below the root.
    """
    path = PurePosixPath(given)
    if not path.is_absolute():
        return given
    for root in (layout.root, Path(os.path.realpath(layout.root))):
        for absolute in (path, PurePosixPath(os.path.realpath(path))):
            if absolute.is_relative_to(root):
                name = absolute.relative_to(root).as_posix()
                return "**" if name == "." else f"./{name}"
    raise AccessDeniedError(f"{visible(given)} is not below {layout.collection.setting}, which is {layout.root}")


def restore(collection: Collection, names: Sequence[str]) -> int:
    """Bring recordings back, and say how each went; returns the exit code."""
    settings, out = load_library_environment(collection), console()
    restored: list[Restored] = []
    with open_settings_library(settings, collection) as library:
        for name in names:
            try:
                done = library.restore(name_in(library.layout, name).removeprefix("./"))
            except AudioCompressorError as error:
                print(f"audio-compressor: {visible(name)}: {error}", file=sys.stderr)
                continue
            restored.append(done)
            out.print(escape(f"{done.path}: brought back from {done.came_from}"), soft_wrap=True)
            release = f"audio-compressor hold {'--outputs ' if collection is RESULTS else ''}--release {done.hold.id}"
            out.print(escape(f"  It is on hold, or it would go again; to let go of it: {release}"), soft_wrap=True)
    if restored:
        with large_imports():
            from audio_compressor.defs.aged import of_collection
            from audio_compressor.defs.library_night import record_restored

        with open_instance() as instance, history_errors():
            for each in restored:
                record_restored(of_collection(collection), instance, each)
    if len(restored) == len(names):
        return 0
    return EXIT_SOME_FAILED if restored else EXIT_ALL_FAILED


def show_trash(collection: Collection, *, as_json: bool) -> int:
    """List what lies in the trash, and until when; returns the exit code."""
    settings, out = load_library_environment(collection), console()
    entries, problems = read_trash(setup_of(collection, settings).layout)
    stays = timedelta(days=settings.trash_days)
    if as_json:
        out.out(json.dumps({"entries": [_entry_json(each, stays) for each in entries], "problems": problems}, indent=2))
        return EXIT_SOME_FAILED if problems else 0
    if entries:
        print_table(out, trash_table(entries, stays))
        total = megabytes(to_mb(sum(entry.size_bytes for entry in entries)))
        out.print(f"{len(entries):,} files, {total} MB (1,000,000 bytes). `archive restore FILE` brings one back.")
    else:
        out.print("The trash is empty.")
    for problem in problems:
        print(f"audio-compressor: {visible(problem)}", file=sys.stderr)
    return EXIT_SOME_FAILED if problems else 0


def _entry_json(entry: TrashEntry, stays: timedelta) -> dict[str, object]:
    return {
        "key": entry.key,
        "path": entry.path,
        "size_bytes": entry.size_bytes,
        "sha256": entry.sha256,
        "is_original": entry.is_original,
        "removed_at": entry.removed_at.isoformat(),
        "until": (entry.removed_at + stays).isoformat(),
        "reason": entry.reason,
        "lies_at": entry.trash,
    }
