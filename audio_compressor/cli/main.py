"""The command line: names, options and exit codes. Each command's work is in a module of its own."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audio_compressor import __version__
from audio_compressor.cli.environment import exit_on_errors, open_missing_streams
from audio_compressor.imports import large_imports

if TYPE_CHECKING:
    from audio_compressor.archive.collection import Collection


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="audio-compressor")
def main() -> None:
    """Turn recordings from an SFTP server and uploaded tracks into what people keep, once and verifiably.

    Settings are environment variables, or lines of a .env file in the working directory; docs/configuration.md lists
    them.
    """
    open_missing_streams()


@main.command()
def run() -> None:
    """Process everything outstanding, as the nightly schedule does.

    Exit codes: 0 all good, 1 some recordings failed, 2 configuration error, no connection or all failed,
    130 interrupted.
    """
    with exit_on_errors():
        with large_imports():
            from audio_compressor.cli.run import run as run_outstanding

        sys.exit(run_outstanding())


@main.command()
@click.argument("track", nargs=-1)
@click.option("--all", "all_of_them", is_flag=True, help="Every track that waits, and what failed before.")
def tracks(track: tuple[str, ...], *, all_of_them: bool) -> None:
    """Make and publish the renditions of uploaded tracks: of each TRACK, which is the name of a file below RAW_PREFIX
    with or without its extension, or of all that wait.

    Exit codes: 0 all good, 1 some tracks failed, 2 configuration error, no connection or all failed, 130 interrupted.
    """
    if all_of_them == bool(track):
        raise click.UsageError("say which: --all, or the names of tracks")
    with exit_on_errors():
        with large_imports():
            from audio_compressor.cli.tracks import make

        sys.exit(make(track or None))


@main.command()
@click.option("--directory", type=click.Path(path_type=Path), default=Path(".demo"), show_default=True)
@click.option("--tracks", "of_tracks", is_flag=True, help="Sample tracks in a bucket instead of recordings.")
@click.option("--library", "of_library", is_flag=True, help="A library of recordings that are aged, instead.")
@click.option("--serve", is_flag=True, help="Start the Dagster UI (with --tracks, a page that plays), until Ctrl+C.")
def demo(directory: Path, *, of_tracks: bool, of_library: bool, serve: bool) -> None:
    """Run against an SFTP server, a bucket or a library, with samples that the command brings along."""
    if of_tracks and of_library:
        raise click.UsageError("say one: --tracks or --library")
    if not Path(__file__).with_name("demo.py").exists():
        raise click.UsageError("the container image leaves the demo out; in a checkout, `make demo` runs it")
    with exit_on_errors():
        with large_imports():
            from audio_compressor.cli.demo import run_demo, run_library_demo, run_track_demo, serve_demo

        if of_tracks:
            sys.exit(run_track_demo(directory / "tracks", serve=serve))
        if serve:
            sys.exit(serve_demo(directory))
        sys.exit(run_library_demo(directory) if of_library else run_demo(directory))


@main.command()
def doctor() -> None:
    """Check settings, FFmpeg, free space and all that is configured; say what to do.

    Of recordings: connection, host key, listing and destination; of tracks: bucket and catalogue.
    """
    with exit_on_errors():
        with large_imports():
            from audio_compressor.cli.doctor import examine

        sys.exit(examine())


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(*, as_json: bool) -> None:
    """Print the totals, what is outstanding, what storage holds, and how much space is left.

    Exit codes: 0 all of it is known, 2 something could not be looked at.
    """
    with exit_on_errors():
        with large_imports():
            from audio_compressor.cli.status import show_status

        sys.exit(show_status(as_json=as_json))


@main.command()
@click.argument("directory", nargs=-1)
@click.option("--all", "all_of_them", is_flag=True, help="Every recording that has been published.")
def verify(directory: tuple[str, ...], *, all_of_them: bool) -> None:
    """Compare stored files with what was recorded when they were published: there, unchanged, playable to the end.

    Exit codes: 0 all intact, 1 some are missing, changed or damaged, 2 not all could be looked at, 130 interrupted.
    """
    if all_of_them == bool(directory):
        raise click.UsageError("say which: --all, or the names of recording directories")
    with exit_on_errors():
        with large_imports():
            from audio_compressor.cli.verify import verify_stored

        sys.exit(verify_stored(directory or None))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def cleanup(*, as_json: bool) -> None:
    """Delete audio that was kept only for processing, AUDIO_RETENTION_HOURS after its work has completed or failed.

    Dagster does the same every CLEANUP_INTERVAL_MINUTES. What is in use or waits for its work stays.

    Exit codes: 0 all good, 1 something could not be deleted, 2 nothing could be looked at.
    """
    with exit_on_errors():
        with large_imports():
            from audio_compressor.cli.cleanup import clean_up_now

        sys.exit(clean_up_now(as_json=as_json))


@main.group(invoke_without_command=True)
@click.option("--outputs", is_flag=True, help="The results in OUTPUT_DIR instead, by OUTPUT_POLICY.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done, and what it would save.")
@click.option("--all", "show_all", is_flag=True, help="With --dry-run: a line for each recording that is kept, too.")
@click.option("--only", metavar="PATTERN", multiple=True, help="Only recordings of this path, or pattern of paths.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def archive(
    context: click.Context, *, outputs: bool, dry_run: bool, show_all: bool, only: tuple[str, ...], as_json: bool
) -> None:
    """Do with the recordings in LIBRARY_DIR what is due by their age, as the schedule does; then empty the trash.

    A PATTERN is a path below LIBRARY_DIR: a file, a directory, or with *, ? and ** as in a hold.

    Exit codes: 0 all good, also where another run works on some; 1 some failed or need a person; 2 configuration
    error, or all failed; 130 interrupted.
    """
    from audio_compressor.archive.collection import LIBRARY, RESULTS

    context.obj = collection = RESULTS if outputs else LIBRARY
    if context.invoked_subcommand:
        if dry_run or show_all or only or as_json:
            raise click.UsageError(f"options of `archive` itself mean nothing before `{context.invoked_subcommand}`")
        return
    if show_all and not dry_run:
        raise click.UsageError("--all is for --dry-run")
    with exit_on_errors():
        from audio_compressor.cli.archive_plan import matcher_of, show_plan
        from audio_compressor.cli.library import load_library_environment, open_settings_library

        settings = load_library_environment(collection)
        with open_settings_library(settings, collection) as library:
            matcher = matcher_of(library, only)
            if dry_run or library.rules.policy.dry_run:
                sys.exit(show_plan(library, matcher, show_all=show_all, as_json=as_json))
        with large_imports():
            from audio_compressor.cli.archive import archive_now

        sys.exit(archive_now(settings, matcher, as_json=as_json, collection=collection))


@archive.command("restore")
@click.argument("file", nargs=-1, required=True)
@click.pass_obj
def archive_restore(collection: "Collection", file: tuple[str, ...]) -> None:
    """Bring each FILE back from the trash or from cold storage, and put it on hold, or it would go again.

    FILE is the path of the recording's original or of its copy, below LIBRARY_DIR or absolute.

    Exit codes: 0 all are back, 1 some are not, 2 none is.
    """
    with exit_on_errors():
        from audio_compressor.cli.library import restore

        sys.exit(restore(collection, file))


@archive.command("trash")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def archive_trash(collection: "Collection", *, as_json: bool) -> None:
    """List what lies in the trash, and until when."""
    with exit_on_errors():
        from audio_compressor.cli.library import show_trash

        sys.exit(show_trash(collection, as_json=as_json))


@archive.command("drill")
@click.option("--size", type=click.IntRange(min=1), help="So many recordings, instead of DRILL_SIZE.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def archive_drill(size: int | None, *, as_json: bool) -> None:
    """Fetch some recordings from cold storage, drawn by lot, and see whether they come back; nothing is changed.

    What was lost at an earlier drill is looked at as well. Dagster does the same by DRILL_SCHEDULE, as the check
    restore_drill.

    Exit codes: 0 all are intact, 1 some are missing or damaged, 2 not all could be looked at, 130 interrupted.
    """
    with exit_on_errors():
        with large_imports():
            from audio_compressor.cli.drill import drill_library

        sys.exit(drill_library(size, as_json=as_json))


@main.command()
@click.argument("path", nargs=-1)
@click.option("--language", multiple=True, help="Recordings in this language, by their documents.")
@click.option("--field", metavar="NAME=VALUE", multiple=True, help="Recordings whose document says so.")
@click.option("--reason", default="", help="Why; shown wherever the hold has an effect.")
@click.option("--list", "list_them", is_flag=True, help="Show the holds.")
@click.option("--json", "as_json", is_flag=True, help="With --list: for programs.")
@click.option("--release", metavar="ID", help="Let go of a hold.")
@click.option("--outputs", is_flag=True, help="About results in OUTPUT_DIR instead.")
def hold(
    path: tuple[str, ...],
    language: tuple[str, ...],
    field: tuple[str, ...],
    reason: str,
    *,
    list_them: bool,
    as_json: bool,
    release: str | None,
    outputs: bool,
) -> None:
    """Put recordings in LIBRARY_DIR on hold: nothing touches them until the hold is released.

    PATH is a file, a directory or a pattern below LIBRARY_DIR, or absolute. * and ? stand for what is no slash, ** for
    any directories; what has no slash is a name in any directory. With several kinds of options, a recording has to
    match each.
    """
    named = bool(path or language or field)
    if [named, list_them, release is not None].count(True) != 1:
        raise click.UsageError("say one: what is to be held, --list, or --release ID")
    if as_json and not list_them:
        raise click.UsageError("--json is for --list")
    with exit_on_errors():
        from audio_compressor.archive.collection import LIBRARY, RESULTS
        from audio_compressor.cli import hold as holds

        collection = RESULTS if outputs else LIBRARY
        if list_them:
            sys.exit(holds.list_holds(collection, as_json=as_json))
        if release is not None:
            sys.exit(holds.release(collection, release))
        sys.exit(holds.hold(collection, path, language, field, reason))


@main.group()
def manifest() -> None:
    """Read or write a manifest.json."""


@manifest.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def manifest_import(file: Path) -> None:
    """Record the entries of an old manifest.json as materializations."""
    with exit_on_errors():
        with large_imports():
            from audio_compressor.cli.manifest import import_manifest

        import_manifest(file)


@manifest.command("export")
def manifest_export() -> None:
    """Write the manifest to standard output."""
    with exit_on_errors():
        with large_imports():
            from audio_compressor.cli.manifest import export_manifest

        export_manifest()
