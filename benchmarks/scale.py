"""What looking at a long history costs: sensor, schedule, report and status, over a real sshd and a real database.

``python -m benchmarks.scale --recordings 20000 --storage sqlite`` generates what it needs below ``--directory`` the
first time (15 minutes at most for 100,000), keeps it, measures on a copy, and prints a table.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from dagster import DagsterInstance

from benchmarks.history import (
    BATCH,
    CHECKOUT,
    World,
    add_directories,
    compare,
    directory_names,
    multiply,
    postgres,
    read_template,
    real_audio,
    real_batch,
)
from benchmarks.loopback import USER, loopback_sshd, program

STORAGES = ("sqlite", "postgres")
NEW, CHANGED, REPORTED = 1000, 500, 100
_POSTGRES_URL = "SCALE_POSTGRES_URL"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=20_000)
    parser.add_argument("--storage", choices=STORAGES, default="sqlite")
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()) / "audio-compressor-scale")
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    arguments = parser.parse_args()

    world = World(arguments.directory.resolve() / f"{arguments.recordings}-{arguments.storage}")
    if not (world.directory / "complete").exists():
        build(world, arguments.recordings, arguments.storage)
    if arguments.build_only:
        return
    rows = []
    for name in arguments.only:
        restore(world, arguments.recordings)
        with serving(world, arguments.storage) as environment:
            rows += MEASUREMENTS[name](world, environment, arguments.recordings)
    print_table(rows, f"{arguments.recordings:,} recordings, {arguments.storage}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


# -- the history


def build(world: World, count: int, storage: str) -> None:
    started = time.perf_counter()
    shutil.rmtree(world.directory, ignore_errors=True)
    prepare(world, storage)
    with serving(world, storage) as environment:
        real = real_batch(world, environment)
        names = directory_names(count - BATCH)
        add_directories(world.source, names, real_audio(world))
        with DagsterInstance.from_config(str(world.home)) as instance:
            template = read_template(instance, real)
            multiply(instance, template, names)
            if differences := compare(instance, template, names[BATCH]):
                raise SystemExit(f"The copies are not what the product writes: {differences}")
        print(f"{count:,} recordings in {time.perf_counter() - started:.0f} s; the report over all of them:")
        print_table(measured("report", environment), "report from the beginning")
    for name in _MUTABLE:
        if (world.directory / name).exists():
            copy(world.directory / name, world.directory / f"{name}.built")
    (world.directory / "complete").touch()


def prepare(world: World, storage: str) -> None:
    """An empty instance with this storage."""
    world.home.mkdir(parents=True)
    config = yaml.safe_load((CHECKOUT / "dagster.yaml").read_text())
    if storage == "postgres":
        config["storage"] = {"postgres": {"postgres_url": {"env": _POSTGRES_URL}}}
    (world.home / "dagster.yaml").write_text(yaml.safe_dump(config))


_MUTABLE = ("dagster", "compressed", "postgres")


def restore(world: World, count: int) -> None:
    """As it was built."""
    for name in _MUTABLE:
        if (world.directory / f"{name}.built").exists():
            shutil.rmtree(world.directory / name, ignore_errors=True)
            copy(world.directory / f"{name}.built", world.directory / name)
    like = real_audio(world)
    for name in {path.name for path in world.source.iterdir()} - set(directory_names(count - BATCH)):
        if len(name) > len("10-17-25"):
            shutil.rmtree(world.source / name)
    for name in directory_names(count - BATCH):
        os.utime(world.source / name / "StereoMix.wav", ns=(like.st_mtime_ns, like.st_mtime_ns))


def copy(source: Path, destination: Path) -> None:
    subprocess.run([program("cp"), "-a", str(source), str(destination)], check=True)


@contextmanager
def serving(world: World, storage: str) -> Iterator[dict[str, str]]:
    """With the servers up; gives the environment of the product."""
    with ExitStack() as stack:
        keys = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scale-sshd-")))
        server = stack.enter_context(loopback_sshd(keys))
        if storage == "postgres":
            os.environ[_POSTGRES_URL] = stack.enter_context(postgres(world.directory / "postgres"))
        os.environ["DAGSTER_HOME"] = str(world.home)  # for the instances that this process opens
        yield {name: os.environ[name] for name in (_POSTGRES_URL,) if name in os.environ} | world.environment(
            server.port, USER, server.user_key, server.known_hosts
        )


# -- the measurements


def quiet_tick(_world: World, environment: Mapping[str, str], _count: int) -> list[dict[str, Any]]:
    return measured("quiet_tick", environment) + measured("other_looks", environment) + status(environment)


def status(environment: Mapping[str, str]) -> list[dict[str, Any]]:
    before, started = os.times(), time.perf_counter()
    command = [sys.executable, "-m", "audio_compressor", "status"]
    subprocess.run(command, env=dict(environment), check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return [{"name": "audio-compressor status", "wall_seconds": time.perf_counter() - started, "cpu_seconds": cpu}]


def schedule(world: World, environment: Mapping[str, str], count: int) -> list[dict[str, Any]]:
    names = directory_names(count - BATCH)
    later = real_audio(world).st_mtime_ns - 10**9
    for name in names[:: max(len(names) // CHANGED, 2)][:CHANGED]:
        os.utime(world.source / name / "StereoMix.wav", ns=(later, later))
    return measured("schedule", environment)


def report(world: World, environment: Mapping[str, str], count: int) -> list[dict[str, Any]]:
    names = directory_names(count - BATCH + REPORTED)[-REPORTED:]
    with DagsterInstance.from_config(str(world.home)) as instance:
        real = sorted(path.name for path in world.source.iterdir() if len(path.name) == len("10-17-25"))
        template = read_template(instance, real)
        multiply(instance, template, names)
    return measured("report", environment)


def new(world: World, environment: Mapping[str, str], count: int) -> list[dict[str, Any]]:
    add_directories(world.source, directory_names(count - BATCH + NEW)[-NEW:], real_audio(world))
    return named(f"{NEW:,} new", measured("ticks", environment))


def daemon(world: World, environment: Mapping[str, str], count: int) -> list[dict[str, Any]]:
    add_directories(world.source, directory_names(count - BATCH + NEW)[-NEW:], real_audio(world))
    return named(f"{NEW:,} new", measured("daemon_ticks", environment))


def first_contact(world: World, environment: Mapping[str, str], _count: int) -> list[dict[str, Any]]:
    """SQLite in either case: what is known is nothing."""
    home = world.directory / "empty"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    shutil.copy(CHECKOUT / "dagster.yaml", home)
    empty = {**environment, "DAGSTER_HOME": str(home), "OUTPUT_DIR": str(home / "none")}
    return named("all of them new", measured("ticks", empty))


def named(what: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "name": f"{what}: {row['name']}"} for row in rows]


MEASUREMENTS = {function.__name__: function for function in (quiet_tick, schedule, report, new, daemon, first_contact)}


def measured(name: str, environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """In a fresh process."""
    with tempfile.NamedTemporaryFile() as file:
        command = [sys.executable, "-m", "benchmarks.scale_work", name, file.name]
        subprocess.run(
            command,
            env=dict(environment),
            cwd=CHECKOUT,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        rows: list[dict[str, Any]] = json.loads(Path(file.name).read_text())
    return rows


def print_table(rows: Sequence[Mapping[str, Any]], title: str) -> None:
    print(f"\n| {title} | wall s | CPU s | peak MB | |\n|---|---|---|---|---|")
    for row in rows:
        peak = f"{row['peak_memory_mb']:.0f}" if "peak_memory_mb" in row else ""
        if "server_memory_mb" in row:
            peak += f" + {row['server_memory_mb']:.0f}"
        seconds = f"{row['wall_seconds']:.2f} | {row['cpu_seconds']:.2f}"
        print(f"| {row['name']} | {seconds} | {peak} | {row.get('found', '')} |")


if __name__ == "__main__":
    main()
