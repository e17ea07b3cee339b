"""What every command begins with: the .env file, the settings, the Dagster instance, and how errors end."""

import logging
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dotenv import load_dotenv

from audio_compressor.errors import AudioCompressorError, ConfigurationError
from audio_compressor.settings import Settings, load_settings

if TYPE_CHECKING:
    from dagster import DagsterInstance

EXIT_SOME_FAILED = 1
EXIT_ALL_FAILED = 2
EXIT_INTERRUPTED = 130


def load_environment() -> Settings:
    """Settings from the environment and, for what is not set there, from ``.env`` in the working directory.

    Raises:
        ConfigurationError: with every problem, a missing DAGSTER_HOME among them.
    """
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


@contextmanager
def open_instance() -> Iterator["DagsterInstance"]:
    """The instance below DAGSTER_HOME, which is made on first use."""
    from dagster import DagsterInstance

    with DagsterInstance.from_config(str(prepare_dagster_home())) as instance:
        yield instance


def prepare_dagster_home() -> Path:
    """Make the directory and, where this is a checkout, put its dagster.yaml there: Dagster looks nowhere else."""
    home = Path(os.environ["DAGSTER_HOME"]).expanduser()
    home.mkdir(parents=True, exist_ok=True)
    shipped = Path(__file__).parents[2] / "dagster.yaml"
    if shipped.is_file() and not (home / "dagster.yaml").exists():
        shutil.copyfile(shipped, home / "dagster.yaml")
    return home


@contextmanager
def exit_on_errors() -> Iterator[None]:
    """End the command with one message and the exit code that the error deserves."""
    try:
        yield
    except AudioCompressorError as error:
        print(f"audio-compressor: {error}", file=sys.stderr)
        raise SystemExit(EXIT_ALL_FAILED) from None
    except KeyboardInterrupt:
        print("audio-compressor: interrupted; what was finished stays, the rest is outstanding", file=sys.stderr)
        raise SystemExit(EXIT_INTERRUPTED) from None


def log_to_stderr(level: str) -> None:
    """Log lines for where there is no terminal to draw on."""
    handler = logging.StreamHandler(os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1))
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")
    handler.setFormatter(formatter)
    logger = logging.getLogger("audio_compressor")
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
