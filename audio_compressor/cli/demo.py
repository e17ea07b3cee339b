"""`audio-compressor demo`: the real thing, run against an SFTP server, a bucket or a library with samples."""

import logging
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from audio_compressor.archive.matching import EVERYTHING
from audio_compressor.archive.trash import read_trash
from audio_compressor.audio.ffmpeg import find_ffmpeg
from audio_compressor.cli.archive import archive_now
from audio_compressor.cli.archive_plan import show_plan
from audio_compressor.cli.environment import log_to_stderr, prepare_dagster_home
from audio_compressor.cli.library import open_settings_library
from audio_compressor.cli.run import exit_code, summarise, watch_night
from audio_compressor.cli.terminal import console
from audio_compressor.cli.tracks import make_with
from audio_compressor.demo.library import create_library
from audio_compressor.demo.recordings import add_recording, create_recordings, next_directory
from audio_compressor.demo.session import (
    BUCKET,
    DemoDirectory,
    demo_environment,
    library_environment,
    track_environment,
)
from audio_compressor.demo.tracks import SAMPLE_TRACKS, create_tracks, fetch_published, upload, write_player
from audio_compressor.hls.server import serve_directory
from audio_compressor.settings import load_settings

log = logging.getLogger(__name__)

UI_PORT = 3000
_ARRIVALS = 20
_SECONDS_TO_END = 15.0
_SECONDS_BETWEEN_ARRIVALS = 30.0


def run_demo(path: Path) -> int:
    """One night against the sample recordings; returns the exit code."""
    out = console()
    directory = _prepare(path, out)
    with demo_environment(directory):
        night = watch_night(load_settings())
    summarise(night, out)
    out.print()
    out.print(f"Compressed files:  {directory.output}", soft_wrap=True)
    out.print(f"Report:            {directory.output / 'processing_report.csv'} and manifest.json", soft_wrap=True)
    out.print("Dagster UI:        make dev, then open the address it prints")
    return exit_code(night)


def run_track_demo(path: Path, *, serve: bool) -> int:
    """The sample tracks from a bucket to renditions that play; returns the exit code. ``serve``: until Ctrl+C."""
    out = console()
    directory = DemoDirectory(path.absolute())
    out.print(f"Sample tracks and results are below {directory.root}", soft_wrap=True)
    create_tracks(directory.uploads, find_ffmpeg().binary)
    # What an earlier demo had made is gone with its bucket.
    shutil.rmtree(directory.dagster_home, ignore_errors=True)
    with track_environment(directory, is_alone=True):
        endpoint_url, catalog_url = os.environ["S3_ENDPOINT_URL"], os.environ["CATALOG_URL"]
        upload(directory.uploads, SAMPLE_TRACKS, BUCKET, endpoint_url, catalog_url)
        code = make_with(load_settings(), None)
        tracks = fetch_published(directory.published, BUCKET, endpoint_url)
    write_player(directory.published, tracks)
    out.print()
    out.print(f"Renditions:  {directory.published}/TRACK/playlist.m3u8", soft_wrap=True)
    out.print("Dagster UI:  make dev, then open the address it prints")
    if serve:
        with serve_directory(directory.published) as server:
            out.print(f"Listen:      http://127.0.0.1:{server.port}/index.html (Ctrl+C ends it)")
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
    return code


def run_library_demo(path: Path) -> int:
    """A night in a library of recordings of several ages: the plan, then the work; returns the exit code."""
    out = console()
    directory = DemoDirectory(path.absolute())
    is_new = create_library(directory.library, find_ffmpeg(), datetime.now(UTC))
    age = "recordings of several ages, made just now" if is_new else "as it was left"
    out.print(f"The library is {directory.library} ({age})", soft_wrap=True)
    with library_environment(directory, is_alone=True):
        settings = load_settings()
        with open_settings_library(settings) as library:
            out.print("\n[bold]The plan (audio-compressor archive --dry-run)[/]")
            show_plan(library, EVERYTHING, show_all=True, as_json=False)
        out.print("\n[bold]The work (audio-compressor archive, each night)[/]")
        code = archive_now(settings, EVERYTHING, as_json=False)
        with open_settings_library(settings) as library:
            removed = [entry.path for entry in read_trash(library.layout)[0]]
    out.print()
    out.print(f"Files:       {directory.library}; the originals are in .audio-compressor/trash", soft_wrap=True)
    if removed:
        variables = {"LIBRARY_DIR": directory.library, "DAGSTER_HOME": directory.dagster_home}
        words = [*(f"{name}={value}" for name, value in variables.items()), *_ourselves(), "archive", "restore"]
        out.print(f"Bring back:  {shlex.join(['env', *words, removed[0]])}", soft_wrap=True, markup=False)
    out.print("Dagster UI:  make dev, then open the address it prints")
    return code


def _ourselves() -> list[str]:
    """How this command is called from anywhere."""
    command = Path(sys.argv[0])
    is_script = command.name == "audio-compressor" and command.is_file()
    return [str(command.absolute())] if is_script else [sys.executable, "-m", "audio_compressor"]


def serve_demo(path: Path) -> int:
    """All of it with the Dagster UI, the sensors and the schedules, while new recordings arrive, until Ctrl+C."""
    out = console()
    directory = _prepare(path, out)
    log_to_stderr("INFO")
    ffmpeg = find_ffmpeg()
    create_tracks(directory.uploads, ffmpeg.binary)
    create_library(directory.library, ffmpeg, datetime.now(UTC))
    with (
        demo_environment(directory),
        track_environment(directory, is_alone=False),
        library_environment(directory, is_alone=False),
    ):
        upload(directory.uploads, SAMPLE_TRACKS, BUCKET, os.environ["S3_ENDPOINT_URL"], os.environ["CATALOG_URL"])
        prepare_dagster_home()
        port = _free_port()
        command = [sys.executable, "-m", "dagster", "dev", *_code_location(), "-p", str(port)]
        # Elsewhere than here: dagster reads the .env of the working directory, which is for the real server.
        dagster = subprocess.Popen(command, cwd=directory.root, start_new_session=True)
        out.print(f"Dagster UI: http://127.0.0.1:{port} (in some seconds; Ctrl+C ends it)")
        stop = threading.Event()
        arrivals = threading.Thread(target=_let_recordings_arrive, args=(directory, stop))
        arrivals.start()
        try:
            return dagster.wait()
        except KeyboardInterrupt:
            out.print("Stopping")
            return 0
        finally:
            stop.set()
            _end(dagster)
            arrivals.join()


def _code_location() -> list[str]:
    """In a checkout by its workspace, so that the location has the same name as when a person starts it."""
    workspace = Path(__file__).parents[2] / "workspace.yaml"
    return ["-w", str(workspace)] if workspace.is_file() else ["-m", "audio_compressor.definitions"]


def _end(dagster: "subprocess.Popen[bytes]") -> None:
    """SIGINT lets `dagster dev` end its web server, daemon and code server; SIGTERM would leave them behind."""
    dagster.send_signal(signal.SIGINT)
    try:
        dagster.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        os.killpg(dagster.pid, signal.SIGKILL)
        dagster.wait()


def _prepare(path: Path, out: Console) -> DemoDirectory:
    directory = DemoDirectory(path.absolute())
    out.print(f"Sample recordings and results are below {directory.root}", soft_wrap=True)
    started_at_seconds = time.monotonic()
    create_recordings(directory.recordings, find_ffmpeg().binary)
    out.print(f"Recordings ready after {time.monotonic() - started_at_seconds:.1f} s")
    return directory


def _let_recordings_arrive(directory: DemoDirectory, stop: threading.Event) -> None:
    ffmpeg = find_ffmpeg()
    for _ in range(_ARRIVALS):
        if stop.wait(_SECONDS_BETWEEN_ARRIVALS):
            return
        name = next_directory([entry.name for entry in directory.recordings.iterdir()], datetime.now(UTC).date())
        log.info("A new recording arrives: %s", name)
        add_recording(directory.recordings, ffmpeg.binary, name, stop=stop)


def _free_port() -> int:
    for port in (UI_PORT, 0):
        with socket.socket() as candidate:
            # As the web server will: an earlier one's closed connections do not keep the port from being used.
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(candidate.getsockname()[1])
    return UI_PORT
