"""The command line of the soak.

    python -m audio_compressor_tests.soak [--minutes 10] [--seed N] [--rounds N] [--only KIND ...] [--directory DIR]

Exit code 0 when nothing was lost, wrong or left over, else 1; then the directory is kept. Ctrl+C ends it with 130.
"""

import argparse
import logging
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from audio_compressor_tests.soak.kinds import KINDS
from audio_compressor_tests.soak.rounds import Soak
from audio_compressor_tests.soak.tally import Tally
from audio_compressor_tests.soak.world import new_world


def main() -> int:
    arguments = _parse()
    # In the background, shells have it ignored, and the commands would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # that a client is gone is what we want
    seed = arguments.seed if arguments.seed is not None else int(time.time())
    directory = Path(arguments.directory or tempfile.mkdtemp(prefix="soak-")).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    _say(f"seed {seed}, in {directory}")
    until = time.monotonic() + 60 * arguments.minutes
    rounds = arguments.rounds
    tally = soak(directory, seed, minutes_end=until if rounds is None else None, rounds=rounds, only=arguments.only)
    print("\n".join(tally.lines()))
    if tally.was_interrupted:
        print(f"interrupted, before the last night; what there is is in {directory}")
        return 130
    if tally.is_clean:
        if arguments.directory is None:
            shutil.rmtree(directory)
        return 0
    print(f"what was found is in {directory}")
    return 1


def soak(
    directory: Path, seed: int, *, minutes_end: float | None = None, rounds: int | None = None, only: list[str]
) -> Tally:
    """Run in an empty directory until ``minutes_end`` (of the monotonic clock), or so many rounds."""
    with new_world(directory, seed) as world:
        running = Soak(world, seed, only, _say)
        try:
            running.run(until=lambda: minutes_end is not None and time.monotonic() >= minutes_end, rounds=rounds)
        except KeyboardInterrupt:
            running.tally.was_interrupted = True
        return running.tally


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m audio_compressor_tests.soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--minutes", type=float, default=10.0, help="no new round after so long; default: 10")
    parser.add_argument("--rounds", type=int, help="so many faults instead, however long they take")
    parser.add_argument("--seed", type=int, help="repeats the choices of an earlier soak; default: the time")
    parser.add_argument("--only", nargs="+", choices=KINDS, metavar="KIND", default=[], help=f"of {', '.join(KINDS)}")
    parser.add_argument("--directory", help="an empty directory to work in; default: a temporary one")
    arguments = parser.parse_args()
    if arguments.directory and Path(arguments.directory).exists() and any(Path(arguments.directory).iterdir()):
        parser.error(f"{arguments.directory} is not empty")
    return arguments


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
