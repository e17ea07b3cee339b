"""`audio-compressor status`: the totals, and what is outstanding."""

from pathlib import Path

from rich.markup import escape

from audio_compressor.cli.environment import EXIT_ALL_FAILED, load_recording_environment, open_instance
from audio_compressor.cli.terminal import console
from audio_compressor.defs.night import look
from audio_compressor.defs.report_history import bring_up_to_date
from audio_compressor.errors import AudioCompressorError
from audio_compressor.intake.explain import explain
from audio_compressor.reporting import formatting
from audio_compressor.reporting.totals import totals


def show_status() -> int:
    """Totals come from the history, so they are shown also when the source cannot be listed."""
    settings = load_recording_environment()
    out = console()
    with open_instance() as instance:
        sums = totals(bring_up_to_date(instance, Path(settings.output_dir))[0])
        last_run = f"{sums.last_run:%Y-%m-%d %H:%M:%S} UTC" if sums.last_run else "never"
        out.print(f"Last result: {last_run}")
        out.print(f"Recordings: {sums.total_processed} done, {sums.total_failed} failed, {sums.total_skipped} skipped")
        out.print(
            f"Audio: {sums.total_duration_hours:,.1f} hours, "
            f"{formatting.gigabytes(sums.total_original_gb)} GB compressed to "
            f"{formatting.gigabytes(sums.total_compressed_gb)} GB, "
            f"{formatting.gigabytes(sums.total_space_saved_gb)} GB saved"
        )
        try:
            plan = look(settings, instance)
        except AudioCompressorError as error:
            out.print(f"What is outstanding is not known: {escape(str(error))}")
            return EXIT_ALL_FAILED
    out.print(escape(explain(plan)))
    return 0
