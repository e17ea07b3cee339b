"""Generates a long history: a source with many recording directories, and a Dagster instance that has done them all.

One batch is processed for real by `audio-compressor run`. Every row that it left in Dagster's tables is then copied for
each further batch, with other recordings, another run and later ids, so that what is measured is what the product
writes; `compare` holds the events of a copied recording against those of a real one. The directories hold sparse files
of the real ones' size and time.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as db
from dagster import DagsterInstance, RunsFilter
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    DynamicPartitionsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.runs.schema import RunsTable, RunTagsTable

from audio_compressor.defs.names import COMPRESSION_JOB, RECORDING_DIRECTORY
from audio_compressor.defs.partitions import RECORDINGS
from benchmarks.recordings import make_recordings

CHECKOUT = Path(__file__).parents[1]
BATCH = 25
AUDIO = "StereoMix.wav"
_TAKES_PER_DAY = 40
_FIRST_DAY = date(2018, 1, 1)
_MEGABYTES = 2.0
_BATCHES_PER_TRANSACTION = 40

Row = dict[str, Any]


@dataclass(frozen=True)
class World:
    """Where one generated history lies; ``source`` is what the server shows."""

    directory: Path

    @property
    def source(self) -> Path:
        return self.directory / "source"

    @property
    def home(self) -> Path:
        return self.directory / "dagster"

    @property
    def compressed(self) -> Path:
        return self.directory / "compressed"

    def environment(self, port: int, user: str, key: Path, known_hosts: Path) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "DAGSTER_HOME": str(self.home),
            "SFTP_HOST": "127.0.0.1",
            "SFTP_PORT": str(port),
            "SFTP_USERNAME": user,
            "SFTP_PRIVATE_KEY_PATH": str(key),
            "SFTP_SECRETS_NAME": "none",
            "SFTP_KNOWN_HOSTS": str(known_hosts),
            "SFTP_REMOTE_PATH": str(self.source),
            "OUTPUT_DIR": str(self.compressed),
            "TEMP_DIR": str(self.directory / "staging"),
            "BATCH_SIZE": str(BATCH),
        }


def directory_names(count: int) -> list[str]:
    """Names as recorders give them, in recording order; the real batch is dated before all of these."""
    return [
        f"{_FIRST_DAY + timedelta(days=number // _TAKES_PER_DAY):%m-%d-%y}-{number % _TAKES_PER_DAY + 1:02}"
        for number in range(count)
    ]


def add_directories(source: Path, names: Sequence[str], like: os.stat_result) -> None:
    """Directories with a sparse audio file of this size and modification time, which nobody touched for a month."""
    moment = (like.st_mtime_ns, like.st_mtime_ns)
    a_month_ago = like.st_mtime - 30 * 24 * 3600
    for name in names:
        directory = source / name
        directory.mkdir()
        audio = directory / AUDIO
        with audio.open("wb") as file:
            file.truncate(like.st_size)
        os.utime(audio, ns=moment)
        os.utime(directory, (a_month_ago, a_month_ago))


def real_batch(world: World, environment: Mapping[str, str]) -> list[str]:
    """Process one batch for real; gives its directories."""
    make_recordings(world.source, BATCH, _MEGABYTES)
    command = [sys.executable, "-m", "audio_compressor", "run"]
    subprocess.run(command, env=dict(environment), check=True, stdout=subprocess.DEVNULL)
    return sorted(path.name for path in world.source.iterdir())


def real_audio(world: World) -> os.stat_result:
    """Size and time that every audio file has."""
    return (world.source / min((path.name for path in world.source.iterdir()), key=len) / AUDIO).stat()


@dataclass(frozen=True)
class Template:
    """The rows of one real batch, and the texts in them that differ from batch to batch."""

    directories: Sequence[str]
    run_id: str
    events: Sequence[Row]
    tags: Sequence[Row]
    checks: Sequence[Row]
    run: Row
    run_tags: Sequence[Row]

    @property
    def first_id(self) -> int:
        return int(min(row["id"] for row in self.events))

    @property
    def stride(self) -> int:
        return int(max(row["id"] for row in self.events)) - self.first_id + 1


def read_template(instance: DagsterInstance, directories: Sequence[str]) -> Template:
    [run] = instance.get_runs(RunsFilter(job_name=COMPRESSION_JOB), limit=1, ascending=True)
    events, tags, checks = SqlEventLogStorageTable, AssetEventTagsTable, AssetCheckExecutionsTable
    is_ours = (events.c.run_id == run.run_id) | (
        (events.c.run_id == "")
        & (events.c.asset_key == RECORDING_DIRECTORY.to_string())
        & events.c.partition.in_(directories)
    )
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        event_rows = _rows(connection, db.select(events).where(is_ours))
        ids = [row["id"] for row in event_rows]
        tag_rows = _rows(connection, db.select(tags).where(tags.c.event_id.in_(ids)))
        check_rows = _rows(connection, db.select(checks).where(checks.c.run_id == run.run_id))
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        [run_row] = _rows(connection, db.select(RunsTable).where(RunsTable.c.run_id == run.run_id))
        run_tags = _rows(connection, db.select(RunTagsTable).where(RunTagsTable.c.run_id == run.run_id))
    return Template(directories, run.run_id, event_rows, tag_rows, check_rows, run_row, run_tags)


def multiply(instance: DagsterInstance, template: Template, names: Sequence[str]) -> None:
    """Write the template's rows once for each batch of names; the last batch may be a shorter one."""
    batches = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
    storage = instance.event_log_storage
    next_id = (storage.get_maximum_record_id() or 0) + 1
    for start in range(0, len(batches), _BATCHES_PER_TRANSACTION):
        events, tags, checks, runs, run_tags = _copies(
            template, batches[start : start + _BATCHES_PER_TRANSACTION], next_id
        )
        next_id += template.stride * _BATCHES_PER_TRANSACTION
        with storage.index_connection() as connection:  # type: ignore[attr-defined]
            connection.execute(SqlEventLogStorageTable.insert(), events)
            connection.execute(AssetEventTagsTable.insert(), tags)
            connection.execute(AssetCheckExecutionsTable.insert(), checks)
        with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
            connection.execute(RunsTable.insert(), runs)
            connection.execute(RunTagsTable.insert(), run_tags)
    instance.add_dynamic_partitions(str(RECORDINGS.name), [])
    with storage.index_connection() as connection:  # type: ignore[attr-defined]
        connection.execute(
            DynamicPartitionsTable.insert(),
            [{"partitions_def_name": RECORDINGS.name, "partition": name} for name in names],
        )
        if connection.dialect.name == "postgresql":
            connection.execute(db.text("SELECT setval('event_logs_id_seq', (SELECT max(id) FROM event_logs))"))


def _copies(template: Template, batches: Sequence[Sequence[str]], next_id: int) -> tuple[list[Row], ...]:
    events, tags, checks, runs, run_tags = [], [], [], [], []
    for number, batch in enumerate(batches):
        run_id = str(uuid.uuid4())
        directories = dict(zip(template.directories, batch, strict=False))
        left_out = set(template.directories[len(batch) :])
        # The run's range ends with the batch's last recording.
        texts = {template.run_id: run_id, **dict.fromkeys(left_out, batch[-1]), **directories}
        pattern = re.compile("|".join(map(re.escape, texts)))
        replace = _replacer(pattern, texts)
        offset = next_id + number * template.stride - template.first_id

        skipped = {row["id"] for row in template.events if row["partition"] in left_out}
        events += [
            {**_texts(row, replace), "id": row["id"] + offset} for row in template.events if row["id"] not in skipped
        ]
        tags += [
            {**_without_id(row), "event_id": row["event_id"] + offset}
            for row in template.tags
            if row["event_id"] not in skipped
        ]
        checks += [
            {**_texts(_without_id(row), replace), **_shifted(row, offset)}
            for row in template.checks
            if row["partition"] not in left_out
        ]
        runs.append(_texts(_without_id(template.run), replace))
        run_tags += [_texts(_without_id(row), replace) for row in template.run_tags]
    return events, tags, checks, runs, run_tags


def _replacer(pattern: re.Pattern[str], texts: Mapping[str, str]) -> Callable[[str], str]:
    return lambda text: pattern.sub(lambda match: texts[match[0]], text)


def _texts(row: Row, replace: Callable[[str], str]) -> Row:
    return {name: replace(value) if isinstance(value, str) else value for name, value in row.items()}


def _without_id(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "id"}


def _shifted(row: Row, offset: int) -> Row:
    columns = ("evaluation_event_storage_id", "materialization_event_storage_id")
    return {name: row[name] + offset for name in columns if row[name] is not None}


def _rows(connection: Any, query: Any) -> list[Row]:
    return [dict(row) for row in connection.execute(query).mappings()]


def compare(instance: DagsterInstance, template: Template, name: str) -> list[str]:
    """What is told of a copied recording and not of a real one, or the other way round; empty when nothing is."""
    real = template.directories[0]
    pattern = re.compile(f"[0-9a-f]{{8}}-[0-9a-f-]{{27}}|{re.escape(name)}|{re.escape(real)}")
    events = SqlEventLogStorageTable
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        told = [
            [
                (row["dagster_event_type"], row["asset_key"], pattern.sub("", row["event"]))
                for row in _rows(connection, db.select(events).where(events.c.partition == key).order_by(events.c.id))
            ]
            for key in (real, name)
        ]
    differences = [f"{ours[:2]} is not {copied[:2]}" for ours, copied in zip(*told, strict=False) if ours != copied]
    return differences or ([] if len(told[0]) == len(told[1]) else [f"{len(told[0])} events, not {len(told[1])}"])


@contextmanager
def postgres(directory: Path) -> Iterator[str]:
    """A PostgreSQL server on this directory, made on first use; gives its URL. For root it runs as `postgres`."""
    programs = Path(shutil.which("pg_ctl") or max(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))).parent
    data = directory / "data"

    def run(*command: str) -> None:
        as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        subprocess.run([*as_user, *command], check=True, stdout=subprocess.DEVNULL, cwd="/")

    if not data.exists():
        directory.mkdir(parents=True, exist_ok=True)
        if os.getuid() == 0:
            shutil.chown(directory, "postgres", "postgres")
        run(str(programs / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "-E", "UTF8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    options = f"-p {port} -k {directory} -c listen_addresses=127.0.0.1"
    run(str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(directory / "log"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg2://postgres@127.0.0.1:{port}/postgres"
    finally:
        run(str(programs / "pg_ctl"), "-D", str(data), "-w", "-m", "fast", "stop")
