"""What every command begins with: the .env file, the settings, the Dagster instance, and how errors end."""

import errno
import fcntl
import logging
import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import yaml  # comes with Dagster
from dotenv import load_dotenv

from audio_compressor.errors import AudioCompressorError, ConfigurationError, HistoryError
from audio_compressor.imports import large_imports
from audio_compressor.local_files import sync_directory
from audio_compressor.settings import Settings, load_settings

if TYPE_CHECKING:
    from dagster import DagsterInstance

EXIT_SOME_FAILED = 1
EXIT_ALL_FAILED = 2
EXIT_INTERRUPTED = 130

CONFIG = "dagster.yaml"
SHIPPED_CONFIG = Path(__file__).parents[2] / CONFIG
# Where Dagster puts them, unless its configuration has one of these keys. The last one tells that all are there.
DATABASES = ("schedules/schedules.db", "history/runs.db", "history/runs/index.db")
STORAGE_KEYS = {"storage", "run_storage", "event_log_storage", "schedule_storage"}
# What the shipped configuration says; these are the same databases in the same place.
SHIPPED_STORAGE = {
    "custom": {
        "module": "audio_compressor.defs.sqlite_storage",
        "class": "SqliteStorage",
        "config": {"base_dir": {"env": "DAGSTER_HOME"}},
    }
}
_BEING_MADE = ".new"
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}


def load_environment() -> Settings:
    """Settings from the environment and, for what is not set there, from ``.env`` in the working directory.

    Raises:
        ConfigurationError: with every problem, a missing DAGSTER_HOME among them.
    """
    with suppress(FileNotFoundError):  # the working directory was deleted
        load_dotenv(Path.cwd() / ".env", override=False)
    problems: list[str] = []
    home = os.environ.get("DAGSTER_HOME", "")
    if not home:
        problems.append(
            "DAGSTER_HOME is not set; it is required: Directory where Dagster keeps what was done, "
            "such as /var/lib/audio-compressor"
        )
    elif not Path(home).expanduser().is_absolute():
        problems.append(f"DAGSTER_HOME is '{home}'; allowed: an absolute path")
    try:
        settings = load_settings()
    except ConfigurationError as error:
        raise ConfigurationError([*error.problems, *problems]) from None
    if problems:
        raise ConfigurationError(problems)
    return settings


def load_recording_environment() -> Settings:
    """As `load_environment`, for the commands that are about recordings.

    Raises:
        ConfigurationError: there are only tracks.
    """
    settings = load_environment()
    if not settings.sftp_host:
        raise ConfigurationError(
            ["SFTP_HOST is not set, so there are no recordings; `tracks` is the command for tracks"]
        )
    return settings


def load_track_environment() -> Settings:
    """As `load_environment`, for the commands that are about tracks.

    Raises:
        ConfigurationError: there are only recordings.
    """
    settings = load_environment()
    if not settings.tracks_bucket:
        raise ConfigurationError(["TRACKS_BUCKET is not set, so there are no tracks; name the bucket that they are in"])
    return settings


@contextmanager
def open_instance(directory: Path | None = None) -> Iterator["DagsterInstance"]:
    """The instance below DAGSTER_HOME, which is made on first use, or the one below another ``directory``.

    Raises:
        HistoryError: it cannot be opened.
    """
    with large_imports():
        from alembic.util import CommandError
        from dagster import DagsterError, DagsterInstance
        from dagster._check import CheckError
        from sqlalchemy.exc import SQLAlchemyError

    home = directory or prepare_dagster_home()
    try:
        instance = DagsterInstance.from_config(str(home))
    except (OSError, SQLAlchemyError, CommandError) as error:
        raise HistoryError(_cannot_be_used(error)) from error
    except (DagsterError, CheckError, yaml.YAMLError, ImportError) as error:
        raise HistoryError(
            f"Dagster cannot use the dagster.yaml in {_home()}: {_in_one_line(error)}. "
            "Correct that file; an empty one gives the defaults"
        ) from error
    with instance:
        yield instance


def prepare_dagster_home() -> Path:
    """Make the directory, put this checkout's dagster.yaml there, as Dagster looks nowhere else, and the databases.

    Raises:
        HistoryError: it cannot be made.
    """
    home = _home()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_prepared(home):
            with (home / ".lock").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                _prepare(home)
    except OSError as error:
        raise HistoryError(_cannot_be_used(error)) from error
    return home


def _prepare(home: Path) -> None:
    """For one process at a time.

    Dagster marks a database as complete before its tables are in it, and marks it twice when two processes make it at
    once; neither is ever repaired. So it makes them where nobody looks, and they are renamed into the home.
    """
    shutil.rmtree(home / _BEING_MADE, ignore_errors=True)  # of a process that was killed
    new = home / _BEING_MADE
    new.mkdir(mode=0o700)
    try:
        if SHIPPED_CONFIG.is_file() and not (home / CONFIG).exists():
            shutil.copyfile(SHIPPED_CONFIG, new / CONFIG)
            (new / CONFIG).rename(home / CONFIG)
        config = _config(home)
        if _keeps_databases_at_home(config):
            unsaid = {key: value for key, value in config.items() if key not in STORAGE_KEYS}
            (new / CONFIG).write_text(yaml.safe_dump(unsaid))
            with open_instance(new):
                pass
            for database in DATABASES:
                place = home / database
                place.parent.mkdir(parents=True, exist_ok=True)
                if not place.exists():
                    (new / database).rename(place)
                    sync_directory(place.parent)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _is_prepared(home: Path) -> bool:
    configured = (home / CONFIG).exists() or not SHIPPED_CONFIG.is_file()
    return configured and ((home / DATABASES[-1]).exists() or not _keeps_databases_at_home(_config(home)))


def _config(home: Path) -> Any:
    """What its dagster.yaml says; None when it cannot be read, which is told when Dagster reads it."""
    try:
        return yaml.safe_load((home / CONFIG).read_text()) or {}
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError):
        return None


def _keeps_databases_at_home(config: Any) -> bool:
    """Whether the databases are where Dagster, or the shipped configuration, puts them."""
    if not isinstance(config, dict):
        return False
    said = {key: value for key, value in config.items() if key in STORAGE_KEYS}
    return said in ({}, {"storage": SHIPPED_STORAGE})


def _home() -> Path:
    return Path(os.environ["DAGSTER_HOME"]).expanduser()


@contextmanager
def history_errors() -> Iterator[None]:
    """Translate what a database or disk that fails in the middle of the work raises; anything else passes.

    Raises:
        HistoryError: the history cannot be read or written any more.
    """
    try:
        yield
    except AudioCompressorError:
        raise
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not _is_of_the_disk(cause):
            cause = cause.__cause__
        if cause is None:
            raise
        raise HistoryError(_cannot_be_used(cause)) from error


def _is_of_the_disk(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in DISK_ERRORS
    from sqlalchemy.exc import DatabaseError, OperationalError

    # The other kinds of DatabaseError, such as a violated constraint, are mistakes in a program.
    return isinstance(error, OperationalError) or type(error) is DatabaseError


def _cannot_be_used(error: BaseException) -> str:
    return (
        f"Dagster's history in DAGSTER_HOME ({os.environ.get('DAGSTER_HOME')}) cannot be opened or written: "
        f"{_in_one_line(error)}. Check that it is a directory that this user may write to, with free space"
    )


def _in_one_line(error: BaseException) -> str:
    """SQLAlchemy appends the statement with its values, Dagster everything that would be allowed."""
    return textwrap.shorten(str(getattr(error, "orig", None) or error), 300, placeholder=" …").rstrip(".")


@contextmanager
def exit_on_errors() -> Iterator[None]:
    """End the command with one message and the exit code that the error deserves.

    Around the imports too: they take a second, in which an interrupted command ended with click's code for a mistake.
    """
    try:
        _interrupt_on_signals()
        with history_errors():
            yield
    except AudioCompressorError as error:
        print(f"audio-compressor: {error}", file=sys.stderr)
        raise SystemExit(EXIT_ALL_FAILED) from None
    except KeyboardInterrupt:
        print("audio-compressor: interrupted; what was finished stays", file=sys.stderr)
        raise SystemExit(EXIT_INTERRUPTED) from None


class _Interrupted(KeyboardInterrupt):
    """Python ends with a signal instead of our exit code when a plain KeyboardInterrupt passed through an ``exec`` of
    text, as there are many in imports; it looks for that very class.
    """


def _interrupt_on_signals() -> None:
    """Handle a service manager's stop like Ctrl+C, and Ctrl+C also in the background, where shells ignore it."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise _Interrupted

    def once_more(unraisable: "sys.UnraisableHookArgs") -> None:
        """Python drops an exception that a signal raises in the midst of a finalizer, and the signal would be lost.

        During a run it is Dagster's exception, known by its name here, because to import Dagster takes a second.
        """
        error = unraisable.exc_value
        if isinstance(error, _Interrupted) or type(error).__name__ == "DagsterExecutionInterruptedError":
            signal.setitimer(signal.ITIMER_REAL, 0.01)
        else:
            sys.__unraisablehook__(unraisable)

    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGTERM))  # whoever handles it at that time
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # as by nohup
            signal.signal(number, interrupt)
    sys.unraisablehook = once_more
    if logging.lastResort is not None:
        logging.lastResort.addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """SQLAlchemy logs whatever comes up while a connection is handed back, an interruption too, and raises it again."""
    return not (record.exc_info and isinstance(record.exc_info[1], _Interrupted))


def open_missing_streams() -> None:
    """Some supervisors start programs with standard streams closed, where the next file that is opened would be one."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
            setattr(sys, name, os.fdopen(opened, "r" if name == "stdin" else "w", closefd=False))


def log_to_stderr(level: str) -> None:
    """Log lines for where there is no terminal to draw on."""
    handler = logging.StreamHandler(os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1))
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")
    handler.setFormatter(formatter)
    logger = logging.getLogger("audio_compressor")
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
