"""DAGSTER_HOME: how it is made, by several at once or by one that is killed, and what is said where it cannot be."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from audio_compressor.cli.environment import DATABASES, exit_on_errors, open_instance, prepare_dagster_home
from audio_compressor.errors import HistoryError
from audio_compressor_tests.cli.commands import audio_compressor
from audio_compressor_tests.fixtures.studio import Studio

OPEN = """
import sys
import tempfile
import dagster
from audio_compressor.cli.environment import open_instance

with tempfile.TemporaryDirectory() as directory, dagster.DagsterInstance.local_temp(directory):
    pass  # what is imported on first use is there now
print("ready", flush=True)
sys.stdin.readline()
with open_instance() as instance:
    instance.add_dynamic_partitions("recordings", [sys.argv[1]])
    print(instance.get_runs_count(), flush=True)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Not there yet."""
    home = tmp_path / "dagster"
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return home


class Opener:
    """A process that has imported everything and opens the history at once when told to."""

    def __init__(self, partition: str) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [sys.executable, "-c", OPEN, partition], stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )

    def wait_until_ready(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)

    def end(self) -> tuple[int, str]:
        """The exit code, and what it printed to standard error."""
        _, err = self._process.communicate(timeout=60)
        return self._process.returncode, err


def tables(home: Path) -> dict[str, list[str]]:
    found = {}
    for database in DATABASES:
        with closing(sqlite3.connect(home / database)) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
            (heads,) = connection.execute("SELECT count(*) FROM alembic_version").fetchone()
        assert heads == 1, database
        found[database] = [name for (name,) in rows]
    return found


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The tables of a history that nothing disturbed, made by Dagster where it is."""
    import dagster as dg

    home = tmp_path_factory.mktemp("undisturbed")
    with dg.DagsterInstance.from_config(str(home)):
        return tables(home)


def test_four_at_once_make_one_history(home: Path, complete: dict[str, list[str]]) -> None:
    partitions = [f"10-{day}-25" for day in (17, 18, 19, 20)]
    openers = [Opener(partition) for partition in partitions]
    for opener in openers:
        opener.wait_until_ready()
    for opener in openers:
        opener.go()
    ended = [opener.end() for opener in openers]
    assert [code for code, _ in ended] == [0, 0, 0, 0], ended
    assert tables(home) == complete
    assert not (home / ".new").exists()
    with open_instance() as instance:
        assert sorted(instance.get_dynamic_partitions("recordings")) == partitions


# A whole creation takes about 0.5 s.
@pytest.mark.parametrize(
    ("seen", "seconds"),
    [("dagster.yaml", 0.0), ("runs.db", 0.0), ("index.db", 0.0), ("index.db", 0.02), ("schedules.db", 0.0)],
)
def test_one_that_is_killed_leaves_nothing_that_stays_broken(
    home: Path, complete: dict[str, list[str]], seen: str, seconds: float
) -> None:
    killed = Opener("10-17-25")
    killed.wait_until_ready()
    killed.go()
    places = [
        home / made / name for made in ("", ".new") for name in (*DATABASES, "dagster.yaml") if name.endswith(seen)
    ]
    deadline = time.monotonic() + 30
    while not any(place.exists() for place in places):
        assert time.monotonic() < deadline
    time.sleep(seconds)
    killed.kill()
    killed.end()
    with open_instance() as instance:
        instance.add_dynamic_partitions("recordings", ["10-18-25"])
        assert instance.has_dynamic_partition("recordings", "10-18-25")
        assert instance.get_runs_count() == 0
    assert tables(home) == complete
    assert not (home / ".new").exists()


def test_one_that_was_killed_between_two_renames_is_completed(home: Path, complete: dict[str, list[str]]) -> None:
    prepare_dagster_home()
    for database in DATABASES[1:]:
        (home / database).unlink()
    prepare_dagster_home()
    assert tables(home) == complete


def test_a_prepared_home_is_complete_and_not_written_again(home: Path, complete: dict[str, list[str]]) -> None:
    prepare_dagster_home()
    assert tables(home) == complete
    assert "telemetry" in (home / "dagster.yaml").read_text()
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    prepare_dagster_home()
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_no_databases_are_made_where_the_configuration_puts_them_elsewhere(home: Path, tmp_path: Path) -> None:
    home.mkdir()
    elsewhere = tmp_path / "elsewhere"
    (home / "dagster.yaml").write_text(f"storage:\n  sqlite:\n    base_dir: {elsewhere}\n")
    with open_instance() as instance:
        assert instance.get_runs_count() == 0
    assert set(tables(elsewhere)) == set(DATABASES)
    assert not (home / "history").exists()


@pytest.mark.parametrize(
    ("place", "command"), [("file", ["run"]), ("file/below", ["status"]), ("/proc/dagster", ["manifest", "export"])]
)
def test_a_home_that_cannot_be_is_one_line_and_2(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, command: list[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / place))
    ended = audio_compressor(*command, cwd=tmp_path)
    assert ended.code == 2, ended.err
    assert ended.err.count("\n") == 1, ended.err
    assert f"DAGSTER_HOME ({tmp_path / place}) cannot be opened or written: " in ended.err


@pytest.mark.parametrize(
    "config",
    [
        "storrage: {}",
        ": [",
        "- a",
        "7",
        "\0",
        "storage:\n  postgres: {}",
        "storage:\n  module: nowhere\n  class: Nothing",
    ],
)
def test_a_bad_dagster_yaml_is_one_short_error(home: Path, config: str) -> None:
    home.mkdir()
    (home / "dagster.yaml").write_text(config)
    with pytest.raises(HistoryError) as caught, open_instance():
        pass
    assert f"dagster.yaml in {home}" in str(caught.value)
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_an_error_of_ours(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (small_disk / "filler").write_bytes(bytes(900_000))
    monkeypatch.setenv("DAGSTER_HOME", str(small_disk / "dagster"))
    with pytest.raises(HistoryError, match="free space"), open_instance():
        pass
    (small_disk / "filler").unlink()
    with open_instance() as instance:
        assert instance.get_runs_count() == 0


def test_a_disk_that_fills_up_during_a_run_is_one_line_and_2(
    studio: Studio, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(small_disk))
    for day in range(10, 20):
        studio.add(f"10-{day}-25")
    prepare_dagster_home()
    free_bytes = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    (small_disk / "filler").write_bytes(bytes(free_bytes - 200_000))
    ended = audio_compressor("run", cwd=tmp_path)
    assert ended.code == 2
    assert "Traceback" not in ended.err
    assert "free space" in ended.err.splitlines()[-1]


def test_a_mistake_in_the_program_keeps_its_traceback() -> None:
    with pytest.raises(TypeError), exit_on_errors():
        raise TypeError


def test_help_does_not_load_dagster() -> None:
    code = "import sys\nimport audio_compressor.cli.main\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"dagster", "sqlalchemy"} & set(loaded) == set()
