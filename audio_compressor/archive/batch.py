"""Archives many recordings side by side, and hands out what became of each the moment it is there."""

from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from audio_compressor.archive.archiving import archive
from audio_compressor.archive.outcome import Outcome, Tools
from audio_compressor.archive.plan import Decision
from audio_compressor.errors import CancelledError
from audio_compressor.processes import INTERRUPTIBLE_SECONDS


def archive_batch(decisions: Sequence[Decision], tools: Tools, workers: int) -> Generator[Outcome]:
    """Yield an outcome for each decision that is due, in the order in which they are done.

    Closed before its end, it has FFmpeg killed and transfers ended, and waits for what is in the midst of an exchange,
    which takes moments: no recording is left half done.
    """
    with ThreadPoolExecutor(workers, "archive") as pool:
        futures = [pool.submit(archive, decision, tools) for decision in decisions]
        try:
            pending: set[Future[Outcome]] = set(futures)
            while pending:  # in steps, so that a signal is noticed
                done, pending = wait(pending, INTERRUPTIBLE_SECONDS, FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BaseException as error:
            tools.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            if isinstance(error, CancelledError | GeneratorExit):
                return
            raise
