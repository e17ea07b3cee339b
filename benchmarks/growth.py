"""How Dagster's storage grows: recordings are processed for real, and what it takes on disk is compared.

``python -m benchmarks.growth --storage sqlite`` prints the growth for 1,000 recordings, by file or table, and what the
events hold that take most of it.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as db
from dagster import DagsterInstance

from benchmarks.history import World, real_batch
from benchmarks.recordings import make_recordings
from benchmarks.scale import STORAGES, prepare, serving

_MORE = 75
_MEGABYTES = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", choices=STORAGES, default="sqlite")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="growth-") as name:
        world = World(Path(name) / arguments.storage)
        Path(name).chmod(0o755)  # PostgreSQL runs as another user when we are root
        prepare(world, arguments.storage)
        with serving(world, arguments.storage) as environment:
            real_batch(world, environment)
            before = sizes(world)
            process_more(world, environment)
            after = sizes(world)
            events = events_by_kind(world)
    print(f"\n| MB for 1,000 recordings, {arguments.storage} | |\n|---|---|")
    grown = {place: (after[place] - before.get(place, 0)) * 1000 / _MORE / 1e6 for place in after}
    for place, megabytes in sorted(grown.items(), key=lambda item: -item[1]):
        if megabytes >= 0.1:
            print(f"| {place} | {megabytes:.1f} |")
    print(f"| in all | {sum(grown.values()):.1f} |")
    print("\n| events | for each recording | bytes of each |\n|---|---|---|")
    for kind, (count, size_bytes) in events.items():
        print(f"| {kind} | {count / (_MORE + 25):.2f} | {size_bytes / count:,.0f} |")


def process_more(world: World, environment: Mapping[str, str]) -> None:
    more = world.directory / "more"
    make_recordings(more, _MORE + 25, _MEGABYTES)
    for directory in more.iterdir():
        if not (world.source / directory.name).exists():
            directory.rename(world.source / directory.name)
    shutil.rmtree(more)
    command = [sys.executable, "-m", "audio_compressor", "run"]
    subprocess.run(command, env=dict(environment), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def sizes(world: World) -> dict[str, int]:
    """Bytes on disk, by what they are for."""
    found: dict[str, int] = {}
    for path in world.home.rglob("*"):
        if path.is_file():
            parts = path.relative_to(world.home).parts
            place = parts[0]
            if parts[:2] == ("history", "runs"):
                place = "history/runs/index.db" if path.stem == "index" else "history/runs, logs of single runs"
            elif parts[0] == "history":
                place = "history/runs.db"
            found[place] = found.get(place, 0) + path.stat().st_blocks * 512
    with DagsterInstance.from_config(str(world.home)) as instance, _connection(instance) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(db.text("CHECKPOINT"))
            tables = "SELECT relname, pg_total_relation_size(relid) FROM pg_stat_user_tables"
            found |= {f"table {table}": size_bytes for table, size_bytes in connection.execute(db.text(tables))}
    return found


def events_by_kind(world: World) -> dict[str, tuple[int, int]]:
    """Number and bytes of the events that every recording has, the largest first."""
    query = (
        "SELECT dagster_event_type, asset_key, count(*), sum(length(event)) FROM event_logs "
        "GROUP BY 1, 2 ORDER BY 4 DESC LIMIT 14"
    )
    with DagsterInstance.from_config(str(world.home)) as instance, _connection(instance) as connection:
        return {
            f"{kind or 'log line'} {asset or ''}": (int(count), int(size_bytes))
            for kind, asset, count, size_bytes in connection.execute(db.text(query))
        }


def _connection(instance: DagsterInstance) -> "db.Connection":
    return instance.event_log_storage.index_connection()  # type: ignore[attr-defined, no-any-return]


if __name__ == "__main__":
    main()
