"""Many processes on one table, on each database and with each isolation: every track once, whoever dies."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import pytest
from sqlalchemy import text

from audio_compressor.catalog.catalog import open_catalog
from audio_compressor.catalog.rows import Upload
from audio_compressor_tests.catalog import workers
from audio_compressor_tests.catalog.taking import ids, take
from audio_compressor_tests.fixtures.databases import ISOLATED_KINDS, KINDS, SqlDatabase

# Processes of their own, as Dagster starts them: nothing is inherited but what is imported, once for all of them.
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["__main__", workers.__name__])
# Hundreds of rows on each database; the other isolations show what they do with fewer.
UPLOADS, ISOLATED_UPLOADS = 240, 64
CONTENDED = 30
PATIENCE_SECONDS = 500.0

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


with_each_isolation = pytest.mark.parametrize("database", [*KINDS, *ISOLATED_KINDS], indirect=True)


def add_many(database: SqlDatabase, names: list[str]) -> list[str]:
    """Their ids."""
    rows = [{"id": f"u{number:03}", "name": name} for number, name in enumerate(names)]
    with database.transaction() as connection:
        connection.execute(text("INSERT INTO Uploads (upload_id, file_name) VALUES (:id, :name)"), rows)
    return [row["id"] for row in rows]


@contextmanager
def processes(*jobs: tuple[Callable[..., None], tuple[object, ...]]) -> Iterator[list[object]]:
    """All of them, started; none outlives the block, and at its end all have ended well."""
    started = [CONTEXT.Process(target=function, args=arguments, daemon=True) for function, arguments in jobs]
    try:
        for process in started:
            process.start()
        yield list(started)
        for process in started:
            process.join(PATIENCE_SECONDS)
            assert process.exitcode == 0
    finally:
        for process in started:
            process.kill()
            process.join()
            process.close()


@with_each_isolation
def test_first_starts_at_the_same_time(database: SqlDatabase) -> None:
    """One makes the tables, the others wait for it."""
    barrier, results = CONTEXT.Barrier(6), CONTEXT.Queue()
    with processes(*[(workers.start, (database.url, barrier, results))] * 6):
        assert [results.get(timeout=PATIENCE_SECONDS) for _ in range(6)] == [None] * 6
    assert database.statuses() == {}


@with_each_isolation
def test_all_want_the_same(database: SqlDatabase) -> None:
    """Four processes try to claim every upload at the same time, in the same order."""
    open_catalog(database.url).close()
    upload_ids = add_many(database, [f"u{number:03}.mp3" for number in range(CONTENDED)])
    barrier, results = CONTEXT.Barrier(4), CONTEXT.Queue()
    jobs = [(workers.claim_all, (database.url, f"run-{n}", upload_ids, barrier, results)) for n in range(4)]
    with processes(*jobs):
        won = [results.get(timeout=PATIENCE_SECONDS) for _ in range(4)]
    counts = Counter(upload_id for each in won for upload_id in each)
    assert counts == Counter(upload_ids)
    with open_catalog(database.url) as catalog:
        assert len(catalog.claims()) == CONTENDED
        assert sum(len(catalog.release(f"run-{n}")) for n in range(4)) == CONTENDED
    assert set(database.statuses().values()) == {"0"}


@with_each_isolation
def test_two_sensors_and_four_workers(database: SqlDatabase, tmp_path: Path) -> None:
    """Every upload once, and never two uploads of one track at a time."""
    open_catalog(database.url).close()
    uploads = UPLOADS if database.kind in KINDS else ISOLATED_UPLOADS
    names = [f"{number}.mp3" for number in range(uploads * 3 // 4)]
    names += [f"{number % 15}.{extension}" for number in range(uploads // 8) for extension in ("wav", "flac")]
    upload_ids = add_many(database, names)
    barrier, jobs, results = CONTEXT.Barrier(6), CONTEXT.Queue(), CONTEXT.Queue()
    journal = tmp_path / "journal"
    both_took = CONTEXT.Barrier(2)
    sensors = [(workers.sensor, (database.url, f"sensor-{n}", barrier, both_took, jobs, results)) for n in range(2)]
    with processes(*sensors, *[(workers.worker, (database.url, barrier, jobs, journal))] * 4):
        taken = [results.get(timeout=PATIENCE_SECONDS) for _ in range(2)]
        for _ in range(4):
            jobs.put(None)
    events = [line.split() for line in journal.read_text().splitlines()]
    assert Counter(upload_id for event, _, upload_id in events if event == "begin") == Counter(upload_ids)
    assert {event for event, *_ in events} == {"begin", "end"}
    in_work: set[str] = set()
    for event, key, _ in events:
        assert (key in in_work) == (event == "end")
        (in_work.add if event == "begin" else in_work.remove)(key)
    assert sum(taken) == uploads
    assert min(taken) > 0
    assert set(database.statuses().values()) == {"completed"}
    with open_catalog(database.url) as catalog:
        assert catalog.claims() == ()


def test_many_threads_share_one_catalogue(database: SqlDatabase) -> None:
    with open_catalog(database.url) as catalog:
        upload_ids = add_many(database, [f"{number}.mp3" for number in range(24)])

        def work(number: int) -> list[str]:
            done = []
            while taken := take(catalog, 3, f"thread-{number}")[0]:
                done += [
                    item.upload.upload_id
                    for item in taken
                    if catalog.complete(item.upload.upload_id, f"thread-{number}")
                ]
            return done

        with ThreadPoolExecutor(4) as pool:
            done = [upload_id for each in pool.map(work, range(4)) for upload_id in each]
    assert sorted(done) == upload_ids
    assert set(database.statuses().values()) == {"completed"}


_CLAIM_AND_WAIT = """
import sys
from audio_compressor.catalog.catalog import open_catalog
from audio_compressor.catalog.rows import Upload
with open_catalog(sys.argv[1]) as catalog:
    print("ready", flush=True)
    for line in sys.stdin:
        upload_id = line.strip()
        print(catalog.claim(Upload(upload_id, f"{upload_id}.mp3"), upload_id, "doomed"), flush=True)
"""


@contextmanager
def doomed_worker(database: SqlDatabase) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", _CLAIM_AND_WAIT, database.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def begin_to_claim(process: "subprocess.Popen[str]", upload_id: str) -> None:
    assert process.stdin
    process.stdin.write(f"{upload_id}\n")
    process.stdin.flush()


def test_a_worker_is_killed_between_claim_and_completion(database: SqlDatabase) -> None:
    open_catalog(database.url).close()
    upload_ids = add_many(database, ["a.mp3", "b.mp3", "c.mp3"])
    with doomed_worker(database) as process:
        for upload_id in upload_ids[:2]:
            begin_to_claim(process, upload_id)
            assert process.stdout
            assert process.stdout.readline() == "True\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with open_catalog(database.url) as catalog:
        assert ids(take(catalog, 9, "another")[0]) == upload_ids[2:]
        assert catalog.release("doomed") == tuple(upload_ids[:2])
        assert ids(take(catalog, 9, "another")[0]) == upload_ids[:2]
        assert all(catalog.complete(upload_id, "another") for upload_id in upload_ids)
    assert set(database.statuses().values()) == {"completed"}


# How many others are connected to the database, and how many of those wait for a lock.
_CONNECTED = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
    "mariadb": "SELECT count(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> connection_id()",
}
_WAITING = {
    "postgresql": f"{_CONNECTED['postgresql']} AND wait_event_type = 'Lock'",
    "mariadb": f"{_CONNECTED['mariadb']} AND state LIKE 'Waiting for%'",
}
_LOCK = {
    "postgresql": "LOCK TABLE audio_compressor_claims IN EXCLUSIVE MODE",
    "mariadb": "LOCK TABLES audio_compressor_claims WRITE",
}


def wait_until(database: SqlDatabase, question: str, answer: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while database.sql(question)[0][0] != answer:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_worker_is_killed_in_the_middle_of_a_claim(database: SqlDatabase) -> None:
    """The status is written, the row that says whose it is is not: neither is there afterwards."""
    if database.backend == "sqlite":
        return  # nobody else can come between there
    open_catalog(database.url).close()
    [upload_id] = add_many(database, ["a.mp3"])
    with doomed_worker(database) as process:
        with database.transaction() as connection:
            connection.execute(text(_LOCK[database.backend]))
            begin_to_claim(process, upload_id)
            wait_until(database, _WAITING[database.backend], 1)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        wait_until(database, _CONNECTED[database.backend], 0)
    with open_catalog(database.url) as catalog:
        assert database.status(upload_id) == "0"
        assert catalog.claims() == ()
        assert catalog.claim(Upload(upload_id, "a.mp3"), "a", "another")
        assert catalog.complete(upload_id, "another")


_FORK = """
import os, sys
from audio_compressor.catalog.catalog import open_catalog
from audio_compressor.catalog.database import Database
from audio_compressor.catalog.rows import Upload
from audio_compressor.catalog.url import parse_catalog_url

catalog = open_catalog(sys.argv[1])

def work(name, numbers):
    done = []
    for number in numbers:
        upload_id = f"u{number:03}"
        done += [catalog.claim(Upload(upload_id, f"{number}.mp3"), upload_id, name), catalog.complete(upload_id, name)]
    return all(done)

def fork(connection=None):
    if connection is not None:
        connection.exec_driver_sql("UPDATE Uploads SET error_message = 'held' WHERE upload_id = 'u020'")
    children = []
    for number in range(4):
        pid = os.fork()
        if not pid:
            os._exit(0 if work(f"child-{number}", range(5 * number, 5 * number + 5)) else 1)
        children.append(pid)
    print([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children])

if sys.argv[1].startswith("sqlite"):
    fork()
else:
    Database(parse_catalog_url(sys.argv[1])).write("forking", fork)
print(work("parent", [20]))
catalog.close()
"""


def test_processes_forked_in_the_middle_of_a_transaction(database: SqlDatabase) -> None:
    """The parent's connection is still good afterwards. (What SQLite's library forbids is not tried: it knows nothing
    of forks while a transaction is open.)
    """
    open_catalog(database.url).close()
    add_many(database, [f"{number}.mp3" for number in range(21)])
    done = subprocess.run(
        [sys.executable, "-c", _FORK, database.url],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[0, 0, 0, 0]\nTrue\n", "")
    assert set(database.statuses().values()) == {"completed"}
