"""What the processes do in the tests of many at once; each is started afresh and imports this module."""

import os
import time
from contextlib import suppress
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from audio_compressor.catalog.catalog import open_catalog
from audio_compressor.catalog.rows import Upload
from audio_compressor_tests.catalog.taking import take

# An upload, its track and who claimed it; None: there is no more.
Job = tuple[str, str, str] | None


def start(url: str, barrier: Barrier, results: "Queue[object]") -> None:
    """Open the catalogue together with others; tells what went wrong, or None."""
    barrier.wait()
    try:
        open_catalog(url).close()
    except BaseException as error:  # told to the test
        results.put(repr(error))
    else:
        results.put(None)


def claim_all(url: str, name: str, upload_ids: list[str], barrier: Barrier, results: "Queue[object]") -> None:
    """Try to claim every upload, in the order in which all others try."""
    with open_catalog(url) as catalog:
        barrier.wait()
        results.put([each for each in upload_ids if catalog.claim(Upload(each, f"{each}.mp3"), each, name)])


def sensor(
    url: str, name: str, barrier: Barrier, both_took: Barrier, jobs: "Queue[Job]", results: "Queue[object]"
) -> None:
    """Take a few at a time until nothing waits any more. Nobody goes on before both have taken some: SQLite may let one
    process through again and again while another one waits.
    """
    with open_catalog(url) as catalog:
        barrier.wait()
        count = 0
        while catalog.pending(1):
            taken, _ = take(catalog, 5, name)
            if taken and not count:
                both_took.wait()
            count += len(taken)
            for item in taken:
                jobs.put((item.upload.upload_id, item.track.key, name))
        results.put(count)


def worker(url: str, barrier: Barrier, jobs: "Queue[Job]", journal: Path) -> None:
    """Do what the sensors took, and note when it begins and ends."""
    descriptor = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with suppress(KeyboardInterrupt), open_catalog(url) as catalog:
        barrier.wait()
        while (job := jobs.get()) is not None:
            upload_id, key, claimed_by = job
            os.write(descriptor, f"begin {key} {upload_id}\n".encode())
            time.sleep(0.002)  # the work
            os.write(descriptor, f"end {key} {upload_id}\n".encode())
            if not catalog.complete(upload_id, claimed_by):
                os.write(descriptor, f"lost {key} {upload_id}\n".encode())
    os.close(descriptor)
