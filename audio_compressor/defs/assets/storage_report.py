"""`storage_report`: what storage holds and how it grows, in numbers, tables and charts; and what is orphaned."""

from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from audio_compressor.defs.assets.recordings import OWNERS
from audio_compressor.defs.dead_runs import mark_process
from audio_compressor.defs.names import SFTP_POOL, STORAGE_REPORT, STORAGE_REPORT_JOB
from audio_compressor.defs.storage_history import NIGHT_KEY, SUSPECTS_KEY, night_json, suspects_json
from audio_compressor.defs.storage_look import StorageState, look_at_everything
from audio_compressor.imports import large_imports
from audio_compressor.reporting.formatting import to_mb
from audio_compressor.settings import RunningSettings, Settings
from audio_compressor.texts import escape_line, visible

if TYPE_CHECKING:
    from audio_compressor.reporting.storage_look import LibraryState

EVERYTHING_SEEN, NO_ORPHANS, ENOUGH_SPACE = "everything_looked_at", "no_orphans", "enough_space"
# Kept with each report.
_MOST_PROBLEMS = 50


def build_storage_report(settings: Settings) -> dg.AssetsDefinition:
    """The asset; it holds a connection to the SFTP server only where results are stored there."""
    is_remote = bool(settings.sftp_host) and settings.storage_backend == "sftp"

    @dg.asset(
        key=STORAGE_REPORT,
        group_name="storage",
        kinds={"pandas"},
        owners=OWNERS,
        pool=SFTP_POOL if is_remote else None,
        check_specs=[
            dg.AssetCheckSpec(
                EVERYTHING_SEEN, asset=STORAGE_REPORT, description="Library, results and staged audio could be listed."
            ),
            dg.AssetCheckSpec(
                NO_ORPHANS,
                asset=STORAGE_REPORT,
                description="Every file has a record and every record its file. What has lost its other half is told "
                "when two reports at least an hour apart have found it.",
            ),
            dg.AssetCheckSpec(
                ENOUGH_SPACE, asset=STORAGE_REPORT, description="On no disk is less free than DISK_WARNING_MB."
            ),
        ],
        description="Everything that is stored: sizes as recorded and now, by tier, month and location; how it grows, "
        "and when the disk is full; files without a record and records without a file. MB is 1,000,000 bytes.",
    )
    def storage_report(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]  # beside a check, Dagster takes no other annotation
        mark_process(context.instance, context.run)
        state = look_at_everything(settings, context.instance)
        for problem in state.look.problems:
            context.log.warning(visible(problem))
        return dg.MaterializeResult(
            metadata={**_figures(state), **_tables(state), **_memory(state)}, check_results=_checks(state)
        )

    return storage_report


storage_report_job = dg.define_asset_job(
    STORAGE_REPORT_JOB,
    selection=dg.AssetSelection.assets(STORAGE_REPORT),
    description="Look at everything that is stored, and report on it.",
)


def build_storage_report_schedule(running: RunningSettings) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="storage_report_schedule",
        job_name=STORAGE_REPORT_JOB,
        cron_schedule=running.verification_schedule,
        execution_timezone=running.schedule_timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Reports on storage each night, when recordings are compressed and the library is archived.",
    )


def _figures(state: StorageState) -> dict[str, Any]:
    """Numbers, which Dagster plots over time. Where not everything was seen there are no sums: they would look like a
    loss.
    """
    from audio_compressor.reporting.storage import figures

    sums = figures(state.look.table)
    sizes = {
        "total_mb": sums.total_bytes,
        "original_mb": sums.original_bytes,
        "compressed_mb": sums.compressed_bytes,
        "saved_mb": sums.saved_bytes,
    }
    found: dict[str, Any] = {}
    if not state.look.unseen:
        found = {name: _mb(size) for name, size in sizes.items()}
        found["files"] = sums.files
        if sums.ratio is not None:
            found["compression_ratio"] = round(sums.ratio, 3)
    free = [disk.space.free_bytes for disk, _ in state.disks if disk.space.free_bytes is not None]
    if free:
        found["free_mb"] = _mb(min(free))
    found |= {f"{name}_free_mb": _mb(size) for name, size in state.nights[-1].free_bytes.items()}
    if state.look.library:
        found |= _library_figures(state.look.library)
    if state.tightest:
        found["forecast"] = dg.MetadataValue.text(state.tightest[1].sentence)
    return found


def _library_figures(library: "LibraryState") -> Mapping[str, Any]:
    found: dict[str, Any] = {"library_recordings": library.recordings, "library_deleted": library.deleted}
    if library.due is not None and library.due_saves_bytes is not None:
        found |= {"library_due": library.due, "library_due_saves_mb": _mb(library.due_saves_bytes)}
    return found


def _tables(state: StorageState) -> dict[str, dg.MetadataValue[Any]]:
    with large_imports():
        from audio_compressor.reporting.storage import figures, figures_by
        from audio_compressor.reporting.storage_charts import growth_chart_png, month_chart_png, tier_chart_png
        from audio_compressor.reporting.storage_markdown import (
            disks_markdown,
            figures_markdown,
            months_markdown,
            orphans_markdown,
        )

    table = state.look.table
    total = figures(table)
    disk, forecast = state.tightest or (None, None)
    texts = {
        "by_collection": figures_markdown("Collection", figures_by(table, "collection"), total),
        "by_tier": figures_markdown("Tier", figures_by(table, "tier"), total),
        "by_month": months_markdown(figures_by(table, "month"), total),
        "by_location": figures_markdown("Location", figures_by(table, "location"), total),
        "disks": disks_markdown(state.disks),
        "orphans_found": orphans_markdown(state.judged.confirmed),
        "months": _image("months", month_chart_png(table)),
        "tiers": _image("tiers", tier_chart_png(table)),
        "growth": _image("growth", growth_chart_png(state.nights, disk, forecast)),
    }
    return {name: dg.MetadataValue.md(text) for name, text in texts.items()}


def _memory(state: StorageState) -> dict[str, Any]:
    """What the next report goes by, and what could not be looked at."""
    return {
        "orphans": len(state.judged.confirmed),
        "problems": dg.MetadataValue.json([visible(problem) for problem in state.look.problems[:_MOST_PROBLEMS]]),
        NIGHT_KEY: dg.MetadataValue.json(night_json(state.nights[-1])),
        SUSPECTS_KEY: dg.MetadataValue.json(suspects_json(state.judged)),
    }


def _checks(state: StorageState) -> list[dg.AssetCheckResult]:
    look, orphans = state.look, len(state.judged.confirmed)
    low = [disk for disk in look.disks if disk.space.is_low or not disk.space.is_enough]
    is_full = any(not disk.space.is_enough for disk in low)
    unseen = f"could not be looked at: {', '.join(sorted(look.unseen))}" if look.unseen else "everything was looked at"
    spaces = "; ".join(f"{disk.path}: {disk.space.sentence}" for disk in low or look.disks)
    return [
        _check(EVERYTHING_SEEN, not look.unseen, unseen),
        _check(NO_ORPHANS, not orphans, f"{orphans:,} files without a record or records without a file"),
        _check(ENOUGH_SPACE, not low, spaces, dg.AssetCheckSeverity.ERROR if is_full else dg.AssetCheckSeverity.WARN),
    ]


def _check(
    name: str, passed: bool, description: str, severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.WARN
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(check_name=name, passed=passed, severity=severity, description=escape_line(description))


def _image(name: str, png: bytes) -> str:
    return f"![{name}](data:image/png;base64,{b64encode(png).decode()})"


def _mb(size_bytes: int) -> float:
    return round(to_mb(size_bytes), 3)
