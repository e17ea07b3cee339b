"""All targets side by side, each in a process of its own: what one allocates is not another's."""

import argparse
import subprocess
import sys
import tempfile
from contextlib import ExitStack

from fuzz.command import new_seed

TARGETS = ("wav", "xml_metadata", "manifest")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz the parsers of outside data")
    parser.add_argument("--seconds", type=float, default=60, help="for each of them, side by side; default: 60")
    parser.add_argument("--seed", type=int, help="of each target's first round; default: a new one")
    arguments = parser.parse_args()
    seed = new_seed() if arguments.seed is None else arguments.seed
    options = ["--seconds", str(arguments.seconds), "--seed", str(seed)]
    failed = []
    with ExitStack() as stack:
        running = []
        for target in TARGETS:
            output = stack.enter_context(tempfile.TemporaryFile("w+"))
            command = [sys.executable, "-m", f"fuzz.{target}", *options]
            process = stack.enter_context(subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT))
            running.append((target, process, output))
        for target, process, output in running:
            code = process.wait()
            output.seek(0)
            print(output.read(), end="", flush=True)
            if code:
                failed.append(f"{target} (exit code {code})")
    if failed:
        print(f"Found something in: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
