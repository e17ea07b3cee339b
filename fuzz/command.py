"""The command line of a single target."""

import argparse
import random

from fuzz.harness import Target, fuzz, limit_memory


def run_target(target: Target) -> None:
    parser = argparse.ArgumentParser(description=f"Fuzz {target.name}")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=None, help="of the first round, to repeat it")
    arguments = parser.parse_args()
    limit_memory()
    seed = random.SystemRandom().randrange(1 << 32) if arguments.seed is None else arguments.seed
    checked = fuzz(target, arguments.seconds, seed)
    print(f"{target.name}: {checked:,} inputs checked, nothing found")
