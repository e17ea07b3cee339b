"""All targets, each in a process of its own: what one allocates is not another's."""

import argparse
import subprocess
import sys

TARGETS = ("wav", "xml_metadata", "manifest")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz the parsers of outside data")
    parser.add_argument("--seconds", type=float, default=60, help="for all of them together")
    seconds = parser.parse_args().seconds / len(TARGETS)
    failed = []
    for target in TARGETS:
        command = [sys.executable, "-m", f"fuzz.{target}", "--seconds", str(seconds)]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            failed.append(target)
            print(done.stderr[-10_000:], file=sys.stderr)
    if failed:
        print(f"Found something in: {', '.join(failed)}; the last seed above repeats it with --seed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
