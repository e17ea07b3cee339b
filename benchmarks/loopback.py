"""A real sshd on a loopback port, with keys of its own, for as long as a measurement takes."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER = pwd.getpwuid(os.getuid()).pw_name
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"


@dataclass(frozen=True)
class LoopbackServer:
    port: int
    pid: int
    user_key: Path
    known_hosts: Path


def program(name: str) -> str:
    """The path of a program, also when it is where only root looks."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise SystemExit(f"{name} is not installed; on Debian and Ubuntu: apt-get install openssh-server")
    return found


@contextmanager
def loopback_sshd(directory: Path) -> Iterator[LoopbackServer]:
    """Serve this machine's file system to its own user; keys and configuration go into ``directory``."""
    for name in ("host_key", "user_key"):
        subprocess.run(
            [program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)], check=True
        )
    shutil.copy(directory / "user_key.pub", directory / "authorized_keys")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    known_hosts = directory / "known_hosts"
    known_hosts.write_text(f"[127.0.0.1]:{port} {(directory / 'host_key.pub').read_text()}")
    lines = [f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {directory}/host_key", "PidFile none", "UsePAM no"]
    lines += [f"AuthorizedKeysFile {directory}/authorized_keys", "StrictModes no", "PermitRootLogin yes"]
    (directory / "sshd_config").write_text("\n".join([*lines, "Subsystem sftp internal-sftp", ""]))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen([program("sshd"), "-D", "-q", "-f", str(directory / "sshd_config")]) as server:
        try:
            _wait_for(port)
            yield LoopbackServer(port, server.pid, directory / "user_key", known_hosts)
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
