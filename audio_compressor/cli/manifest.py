"""`audio-compressor manifest`: between an old manifest.json and Dagster's history."""

import sys
from pathlib import Path

import click

from audio_compressor.cli.environment import load_environment, open_instance
from audio_compressor.defs.manifest import record_manifest
from audio_compressor.defs.report_history import bring_up_to_date
from audio_compressor.reporting.manifest import manifest_json, parse_manifest


def import_manifest(file: Path) -> None:
    """Record every entry that the history does not know.

    Raises:
        ManifestError: with every entry at fault; nothing is recorded then.
    """
    load_environment()
    results = parse_manifest(file.read_text(encoding="utf-8-sig", errors="replace"))
    with open_instance() as instance, click.progressbar(length=len(results), label="Importing", file=sys.stderr) as bar:
        imported = record_manifest(instance, results, on_entry=lambda: bar.update(1))
    click.echo(
        f"{imported} of {len(results)} entries of {file} recorded; "
        f"{len(results) - imported} were known already and are left as they are."
    )


def export_manifest() -> None:
    settings = load_environment()
    with open_instance() as instance:
        click.echo(manifest_json(bring_up_to_date(instance, Path(settings.output_dir))[0]))
