"""Download and upload of one file over a loopback sshd: OpenSSH's own `sftp`, paramiko as it comes, and this project.

Each run includes connecting; the best and the median of several are printed, in MB (1,000,000 bytes) per second. Run it
as ``python benchmarks/sftp_download.py [--megabytes 115] [--runs 5]``; sshd, sftp and ssh-keygen must be installed.
"""

import argparse
import os
import pwd
import resource
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko

from audio_compressor.sftp.connection import SftpConnection, SftpEndpoint
from audio_compressor.sftp.credentials import Credentials

USER = pwd.getpwuid(os.getuid()).pw_name
SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=115)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sftp-benchmark-") as name:
        directory = Path(name)
        source = directory / "source"
        with source.open("wb") as file:
            for _ in range(arguments.megabytes):
                file.write(os.urandom(1_000_000))
        with loopback_sshd(directory) as port:
            candidates = {
                "OpenSSH sftp, download": lambda: openssh(directory, port, f"get {source} {directory}/got"),
                "paramiko get, download": lambda: paramiko_get(directory, port, source),
                "this project, download": lambda: our_download(directory, port, source),
                "OpenSSH sftp, upload": lambda: openssh(directory, port, f"put {source} {directory}/put"),
                "this project, upload": lambda: our_upload(directory, port, source),
            }
            for label, candidate in candidates.items():
                speeds = [arguments.megabytes / seconds(candidate) for _ in range(arguments.runs)]
                print(f"{label:24} best {max(speeds):5.0f} MB/s   median {statistics.median(speeds):5.0f} MB/s")
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory of this process: {peak_kb * 1024 / 1e6:.0f} MB")


def seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def openssh(directory: Path, port: int, command: str) -> None:
    options = ["-q", "-b", "-", "-P", str(port), "-i", str(directory / "user_key")]
    options += ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={directory}/openssh_known_hosts"]
    subprocess.run(
        [_program("sftp"), *options, f"{USER}@127.0.0.1"], input=command.encode(), check=True, capture_output=True
    )


def paramiko_get(directory: Path, port: int, source: Path) -> None:
    with paramiko.SSHClient() as client:
        client.load_host_keys(str(directory / "known_hosts"))
        client.connect("127.0.0.1", port, USER, key_filename=str(directory / "user_key"), allow_agent=False)
        with client.open_sftp() as sftp:
            sftp.get(str(source), str(directory / "got"))


def our_download(directory: Path, port: int, source: Path) -> None:
    with SftpConnection(endpoint(directory, port)) as connection:
        connection.download(str(source), directory / "got", expected=connection.stat(str(source)).fingerprint)


def our_upload(directory: Path, port: int, source: Path) -> None:
    with SftpConnection(endpoint(directory, port)) as connection:
        connection.upload(source, str(directory / "put"))


def endpoint(directory: Path, port: int) -> SftpEndpoint:
    credentials = Credentials(USER, "benchmark", private_key_path=directory / "user_key")
    return SftpEndpoint("127.0.0.1", port, "strict", directory / "known_hosts", lambda: credentials)


@contextmanager
def loopback_sshd(directory: Path) -> Iterator[int]:
    for name in ("host_key", "user_key"):
        command = [_program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)]
        subprocess.run(command, check=True)
    shutil.copy(directory / "user_key.pub", directory / "authorized_keys")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    (directory / "known_hosts").write_text(f"[127.0.0.1]:{port} {(directory / 'host_key.pub').read_text()}")
    lines = [f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {directory}/host_key", "PidFile none", "UsePAM no"]
    lines += [f"AuthorizedKeysFile {directory}/authorized_keys", "StrictModes no", "PermitRootLogin yes"]
    (directory / "sshd_config").write_text("\n".join([*lines, "Subsystem sftp internal-sftp", ""]))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen([_program("sshd"), "-D", "-q", "-f", str(directory / "sshd_config")]) as server:
        try:
            _wait_for(port)
            yield port
        finally:
            server.terminate()


def _wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise SystemExit("sshd did not start")


def _program(name: str) -> str:
    found = shutil.which(name, path=SYSTEM_PATH)
    if found is None:
        raise SystemExit(f"{name} is not installed")
    return found


if __name__ == "__main__":
    main()
