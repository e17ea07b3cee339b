"""A look at all that is stored, with what Dagster's history knows: for the storage report and the command line."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dagster import DagsterInstance

from audio_compressor.archive.orphans import Judged, judge
from audio_compressor.defs.report_history import bring_up_to_date
from audio_compressor.defs.storage_history import Reports, read_reports
from audio_compressor.imports import large_imports
from audio_compressor.reporting.storage_growth import Forecast, Night, forecast
from audio_compressor.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from audio_compressor.reporting.storage_disks import Disk
    from audio_compressor.reporting.storage_look import StorageLook


@dataclass(frozen=True)
class StorageState:
    """``look`` is of now, ``reports`` are the earlier ones; ``nights`` are theirs and this one."""

    look: "StorageLook"
    reports: Reports
    judged: Judged
    nights: Sequence[Night]
    disks: Sequence[tuple["Disk", Forecast]]

    @property
    def tightest(self) -> tuple["Disk", Forecast] | None:
        """The disk that is full first; of those that do not fill up, the one with the least space."""
        return min(
            self.disks,
            key=lambda item: (item[1].full_at or datetime.max.replace(tzinfo=UTC), item[0].space.free_bytes or 0),
            default=None,
        )


def look_at_everything(
    settings: Settings,
    instance: DagsterInstance,
    results: "pd.DataFrame | None" = None,
    no_results_because: str | None = None,
    now: datetime | None = None,
) -> StorageState:
    """``results`` is the table of the processing report, where it was read already; the other one is for
    `look_at_storage`.
    """
    with large_imports():
        from audio_compressor.reporting.storage import figures
        from audio_compressor.reporting.storage_look import look_at_storage
        from audio_compressor.reporting.table import results_of

    now = now or datetime.now(UTC)
    reports = read_reports(instance, now)
    if results is None and settings.sftp_host:
        results = bring_up_to_date(instance, Path(settings.output_dir))[0]
    look = look_at_storage(settings, [] if results is None else results_of(results), now, no_results_because)
    sums = figures(look.table)
    night = Night(
        at=now,
        total_bytes=None if look.unseen else sums.total_bytes,
        original_bytes=None if look.unseen else sums.original_bytes,
        free_bytes={
            name: disk.space.free_bytes
            for disk in look.disks
            for name in disk.holds
            if disk.space.free_bytes is not None
        },
    )
    nights = [*reports.nights, night]
    return StorageState(
        look=look,
        reports=reports,
        judged=judge(now, look.orphans, reports.suspects, look.seen),
        nights=nights,
        disks=[(disk, _forecast(now, nights, disk.holds[0])) for disk in look.disks],
    )


def _forecast(now: datetime, nights: Sequence[Night], name: str) -> Forecast:
    return forecast(now, [(night.at, night.free_bytes[name]) for night in nights if name in night.free_bytes])
