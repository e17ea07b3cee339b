"""The command line: names, options and exit codes. Each command's work is in a module of its own."""

import sys
from pathlib import Path

import click

from audio_compressor import __version__
from audio_compressor.cli.environment import exit_on_errors, open_missing_streams
from audio_compressor.imports import large_imports


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
@click.option("--serve", is_flag=True, help="Start the Dagster UI (with --tracks, a page that plays), until Ctrl+C.")
def demo(directory: Path, *, of_tracks: bool, serve: bool) -> None:
    """Run against an SFTP server, or a bucket, with samples that the command brings along."""
    if not Path(__file__).with_name("demo.py").exists():
        raise click.UsageError("the container image leaves the demo out; in a checkout, `make demo` runs it")
    with exit_on_errors():
        with large_imports():
            from audio_compressor.cli.demo import run_demo, run_track_demo, serve_demo

        if of_tracks:
            sys.exit(run_track_demo(directory / "tracks", serve=serve))
        sys.exit(serve_demo(directory) if serve else run_demo(directory))


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
def status() -> None:
    """Print the totals and what is outstanding."""
    with exit_on_errors():
        with large_imports():
            from audio_compressor.cli.status import show_status

        sys.exit(show_status())


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
