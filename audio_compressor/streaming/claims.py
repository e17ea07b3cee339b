"""A run's claims on uploads: kept alive while it works, told how each track ended, and given back in every outcome."""

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from audio_compressor.catalog.catalog import Catalog
from audio_compressor.catalog.rows import Claim
from audio_compressor.errors import AudioCompressorError
from audio_compressor.streaming.model import TrackOutcome

log = logging.getLogger(__name__)

BEAT_SECONDS = 60.0
# What a holder that nobody here knows has not told of for so long is dead: its process, or the daemon that would have
# started its run. It may also be a run of another deployment on the same table, which beats as this one does.
MOST_SILENT_SECONDS = 900


class Holder:
    """One run's claims, under its name; ``catalog`` is None where there is none."""

    def __init__(self, catalog: Catalog | None, claimed_by: str) -> None:
        self._catalog = catalog
        self._claimed_by = claimed_by

    def tell(self, upload_id: str | None, outcome: TrackOutcome) -> None:
        """Write how it ended. Where that cannot be done, the claim is released in the end, and whoever takes the upload
        next finds the track published.
        """
        if self._catalog is None or upload_id is None:
            return
        try:
            if outcome.status == "success":
                is_ours = self._catalog.complete(upload_id, self._claimed_by)
            else:
                is_ours = self._catalog.fail(upload_id, self._claimed_by, outcome.reason or outcome.status)
        except AudioCompressorError as error:
            log.warning("%s: %s could not be told of it: %s", outcome.key, self._catalog.name, error)
            return
        if not is_ours:
            log.warning("%s: somebody else has changed its upload %s meanwhile", outcome.key, upload_id)

    def beat(self) -> None:
        if self._catalog is None:
            return
        try:
            self._catalog.beat(self._claimed_by)
        except AudioCompressorError as error:  # it has 14 more minutes
            log.warning("%s could not be told that this run lives: %s", self._catalog.name, error)

    def release(self) -> None:
        """Let what is still claimed wait again."""
        if self._catalog is None:
            return
        try:
            self._catalog.release(self._claimed_by)
        except AudioCompressorError as error:  # the sensor does it, since this run will have ended
            log.warning("%s could not be told that this run ends: %s", self._catalog.name, error)


@contextmanager
def holding(catalog: Catalog | None, claimed_by: str, beat_seconds: float = BEAT_SECONDS) -> Iterator[Holder]:
    """What is claimed under this name is kept alive in the block, and released at its end."""
    holder, over = Holder(catalog, claimed_by), threading.Event()

    def keep_beating() -> None:
        while not over.wait(beat_seconds):
            holder.beat()

    beating = threading.Thread(target=keep_beating, name="heartbeat")
    beating.start()
    try:
        yield holder
    finally:
        over.set()
        beating.join()
        holder.release()


def dead_holders(claims: Iterable[Claim], living: Iterable[str], ended: Iterable[str]) -> list[str]:
    """Under which names uploads are claimed that nobody works on: their runs have ended, or are not known here and
    have been silent for long.
    """
    alive, over = frozenset(living), frozenset(ended)
    return sorted(
        {
            claim.claimed_by
            for claim in claims
            if claim.claimed_by in over
            or (claim.claimed_by not in alive and claim.silent_seconds >= MOST_SILENT_SECONDS)
        }
    )
