"""Who is told about archiving while it goes on, such as the command's progress bar."""

from audio_compressor.archive.outcome import Outcome
from audio_compressor.archive.plan import Decision


class ArchiveProgress:
    """Does nothing by itself."""

    def working(self, key: str, what: str) -> None:
        """Told from worker threads: what was just done with a recording."""

    def finished(self, outcome: Outcome) -> None:
        """What became of a recording that was due."""

    def passed_over(self, decision: Decision) -> None:
        """Nothing is due for a recording (any more)."""
