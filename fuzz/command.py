"""The command line of a single target."""

import argparse
import hashlib
import random
import sys
import tempfile
import traceback
from pathlib import Path

from fuzz.harness import Finding, Target, fuzz, limit_memory, limited


def new_seed() -> int:
    return random.SystemRandom().randrange(1 << 32)


def run_target(target: Target) -> None:
    """Fuzz, or check the one input of ``--input``; exit code 1 when a rule is broken."""
    parser = argparse.ArgumentParser(prog=f"python -m fuzz.{target.name}", description=f"Fuzz {target.name}")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, help="of the first round, to repeat a finding; default: a new one")
    parser.add_argument("--input", type=Path, help="check this file only")
    arguments = parser.parse_args()
    limit_memory()
    if arguments.input:
        with limited():
            target.check(arguments.input.read_bytes())
        print(f"{target.name}: {arguments.input} breaks no rule")
        return
    seed = new_seed() if arguments.seed is None else arguments.seed
    print(f"{target.name}: from seed {seed}", flush=True)
    found = fuzz(target, arguments.seconds, seed)
    if isinstance(found, Finding):
        _tell(target, found)
        sys.exit(1)
    print(f"{target.name}: {found:,} inputs checked, nothing found")


def _tell(target: Target, found: Finding) -> None:
    """Keep the input, for a person to look at and to check again when the mistake is mended."""
    name = f"fuzz-{target.name}-{hashlib.sha256(found.data).hexdigest()[:12]}"
    path = Path(tempfile.gettempdir(), name)
    path.write_bytes(found.data)
    print("".join(traceback.format_exception(found.error))[-10_000:], file=sys.stderr)
    again = f"python -m fuzz.{target.name}"
    print(f"{target.name}: found something; the input is in {path}, and {again} --input {path} checks it again")
    if found.seed is not None:
        print(f"{target.name}: {again} --seed {found.seed} finds it again")
