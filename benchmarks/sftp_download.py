"""Download and upload of one file over a loopback sshd: OpenSSH's own `sftp`, paramiko as it comes, and this project.

    python -m benchmarks.sftp_download [--megabytes 115] [--rounds 5]

Each turn includes connecting; medians, in MB (1,000,000 bytes) per second. This project's process is there already, as
in a run, where it starts while Dagster prepares. It guards what the transfers rest on: cipher, size and number of
requests, TCP_NODELAY, memory that is kept.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import paramiko

from audio_compressor.sftp.connection import SftpConnection, SftpEndpoint
from audio_compressor.sftp.credentials import Credentials
from audio_compressor.sftp.process import SftpProcess
from benchmarks.loopback import USER, LoopbackServer, loopback_sshd, program

Transfer = Callable[[], object]
Candidate = Callable[[], AbstractContextManager[Transfer]]
_STARTING_SECONDS = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=115)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        directory = Path(name)
        source = directory / "source"
        with source.open("wb") as file:
            for _ in range(arguments.megabytes):
                file.write(os.urandom(1_000_000))
        os.sync()
        with loopback_sshd(directory) as server:
            _compare("download", _downloads(server, source, directory / "got"), arguments.megabytes, arguments.rounds)
            _compare("upload", _uploads(server, source, directory / "put"), arguments.megabytes, arguments.rounds)


def _compare(what: str, candidates: Mapping[str, Candidate], megabytes: int, rounds: int) -> None:
    speeds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, prepare in candidates.items():
            with prepare() as transfer:
                started_at_seconds = time.perf_counter()
                transfer()
                speeds[name].append(megabytes / (time.perf_counter() - started_at_seconds))
    medians = {name: statistics.median(found) for name, found in speeds.items()}
    for name, median in medians.items():
        spread = f"{min(speeds[name]):.0f}–{max(speeds[name]):.0f}"
        compared = f"{median / medians['OpenSSH sftp']:.2f} of OpenSSH's"
        print(f"{what:8} {megabytes:,} MB  {name:13} {median:4.0f} MB/s  ({spread})  {compared}")


def _downloads(server: LoopbackServer, source: Path, destination: Path) -> dict[str, Candidate]:
    @contextmanager
    def ours() -> Iterator[Transfer]:
        def download() -> None:
            cancel = threading.Event()
            expected = connection.stat(str(source), cancel=cancel).fingerprint
            connection.download(str(source), destination, expected=expected, cancel=cancel)

        with _removed(destination), closing(SftpProcess(_endpoint(server))) as connection:
            connection.start()
            time.sleep(_STARTING_SECONDS)
            yield download

    def plain_paramiko() -> None:
        with paramiko.SSHClient() as client:
            client.load_host_keys(str(server.known_hosts))
            client.connect("127.0.0.1", server.port, USER, key_filename=str(server.user_key), allow_agent=False)
            with client.open_sftp() as sftp:
                sftp.get(str(source), str(destination))

    return {
        "OpenSSH sftp": _as_it_is(lambda: _openssh(server, f"get {source} {destination}"), destination),
        "paramiko get": _as_it_is(plain_paramiko, destination),
        "this project": ours,
    }


def _uploads(server: LoopbackServer, source: Path, destination: Path) -> dict[str, Candidate]:
    def ours() -> None:
        with SftpConnection(_endpoint(server)) as connection:
            connection.upload(source, str(destination))

    return {
        "OpenSSH sftp": _as_it_is(lambda: _openssh(server, f"put {source} {destination}"), destination),
        "this project": _as_it_is(ours, destination),
    }


def _as_it_is(transfer: Transfer, destination: Path) -> Candidate:
    @contextmanager
    def prepare() -> Iterator[Transfer]:
        with _removed(destination):
            yield transfer

    return prepare


@contextmanager
def _removed(destination: Path) -> Iterator[None]:
    """Who writes beside an old file needs memory of its own for the new one, and memory never used before is slow."""
    destination.unlink(missing_ok=True)
    yield
    destination.unlink()


def _openssh(server: LoopbackServer, command: str) -> None:
    options = ["-q", "-b", "-", "-P", str(server.port), "-i", str(server.user_key)]
    options += ["-o", f"UserKnownHostsFile={server.known_hosts}"]
    subprocess.run(
        [program("sftp"), *options, f"{USER}@127.0.0.1"], input=command.encode(), check=True, capture_output=True
    )


def _endpoint(server: LoopbackServer) -> SftpEndpoint:
    credentials = Credentials(USER, "benchmark", private_key_path=server.user_key)
    return SftpEndpoint("127.0.0.1", server.port, "strict", server.known_hosts, lambda: credentials)


if __name__ == "__main__":
    main()
