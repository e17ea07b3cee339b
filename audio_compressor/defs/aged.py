"""The two collections that are aged, the library and our own results: what Dagster calls each, and its parts."""

from dataclasses import dataclass
from typing import Any

import dagster as dg

from audio_compressor.archive.collection import LIBRARY, RESULTS, Collection
from audio_compressor.defs.lines import LIBRARY_LINE, OUTPUT_LINE, Line
from audio_compressor.defs.names import (
    ARCHIVE_PLAN,
    ARCHIVE_UPKEEP_JOB,
    OUTPUT_PLAN,
    OUTPUT_UPKEEP_JOB,
)
from audio_compressor.defs.resources import LibraryResources
from audio_compressor.settings import Settings


@dataclass(frozen=True)
class Aged:
    """``noun`` is what one of it is called, in the plural; ``resource`` is the name of the resource that opens it, and
    what the names of its schedules begin with is ``prefix``.
    """

    collection: Collection
    line: Line
    plan: dg.AssetKey
    upkeep_job: str
    resource: str
    prefix: str
    noun: str

    def is_set_up(self, settings: Settings) -> bool:
        return bool(settings.output_policy if self.collection is RESULTS else settings.library_dir)

    @property
    def asset(self) -> dg.AssetKey:
        return self.line.decisive

    def resources(self, opened: Any) -> LibraryResources:
        """From those of a run, or of an evaluation."""
        return LibraryResources(getattr(opened, self.resource), opened.audio, opened.running)

    @property
    def place(self) -> str:
        """The setting that names its directory."""
        return self.collection.setting


def of_collection(collection: Collection) -> Aged:
    return AGED_OUTPUTS if collection is RESULTS else AGED_LIBRARY


AGED_LIBRARY = Aged(LIBRARY, LIBRARY_LINE, ARCHIVE_PLAN, ARCHIVE_UPKEEP_JOB, "library", "archive", "recordings")
AGED_OUTPUTS = Aged(RESULTS, OUTPUT_LINE, OUTPUT_PLAN, OUTPUT_UPKEEP_JOB, "outputs", "output_archive", "results")
