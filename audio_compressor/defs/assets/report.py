"""`processing_report`: what was done, in numbers, a table and a chart; it takes the place of the old manifest."""

from base64 import b64encode
from pathlib import Path

import dagster as dg

from audio_compressor.defs.assets.recordings import OWNERS
from audio_compressor.defs.dead_runs import mark_process
from audio_compressor.defs.names import COMPRESSED_AUDIO, PROCESSING_REPORT
from audio_compressor.defs.report_history import CURSOR_KEY, TABLE_KEY, bring_up_to_date
from audio_compressor.defs.resources import SftpResource, StorageResource
from audio_compressor.errors import AudioCompressorError
from audio_compressor.imports import large_imports
from audio_compressor.local_files import sha256_of
from audio_compressor.storage import build_primary


@dg.asset(
    key=PROCESSING_REPORT,
    deps=[COMPRESSED_AUDIO],
    group_name="reporting",
    kinds={"pandas", "csv"},
    owners=OWNERS,
    description="Totals of all recordings, one row for each, and the chart; also written as processing_report.csv for "
    "analysts and as manifest.json for those who read it over SFTP. MB is 1,000,000 bytes.",
)
def processing_report(
    context: dg.AssetExecutionContext, sftp: SftpResource, storage: StorageResource
) -> dg.MaterializeResult[None]:
    mark_process(context.instance, context.run)
    # pandas and matplotlib cost a second of every start of the code location if they are imported with the module.
    with large_imports():
        from audio_compressor.reporting.charts import size_chart_png
        from audio_compressor.reporting.files import write_report
        from audio_compressor.reporting.markdown import markdown_table
        from audio_compressor.reporting.totals import totals

    report, news = bring_up_to_date(context.instance, Path(storage.output_dir))
    files = write_report(report, Path(storage.output_dir))
    manifest_uri = _publish(context, files.manifest, storage, sftp)
    sums = totals(report)
    chart = b64encode(size_chart_png(report)).decode()
    return dg.MaterializeResult(
        metadata={
            "last_run": sums.last_run.isoformat() if sums.last_run else "never",
            "total_processed": sums.total_processed,
            "total_failed": sums.total_failed,
            "total_skipped": sums.total_skipped,
            "total_space_saved_gb": round(sums.total_space_saved_gb, 3),
            "total_duration_hours": round(sums.total_duration_hours, 2),
            "recordings": dg.MetadataValue.md(markdown_table(report)),
            "sizes": dg.MetadataValue.md(f"![sizes](data:image/png;base64,{chart})"),
            "report": dg.MetadataValue.path(files.table),
            "manifest": dg.MetadataValue.path(files.manifest),
            "manifest_uri": manifest_uri,
            TABLE_KEY: sha256_of(files.table),
            CURSOR_KEY: news.cursor,
        }
    )


def _publish(context: dg.AssetExecutionContext, manifest: Path, storage: StorageResource, sftp: SftpResource) -> str:
    """Put the manifest beside the results where those are not local; its place is in OUTPUT_DIR in any case."""
    with build_primary(storage.always_replacing(), sftp.endpoint()) as destination:
        if destination.location == "local":
            return manifest.as_uri()
        try:
            return destination.publish(manifest, manifest.name, sha256_of(manifest)).uri
        except AudioCompressorError as error:
            context.log.warning("The manifest stays in %s for now: %s", manifest.parent, error)
            return manifest.as_uri()
