"""PostgreSQL from Debian's package, for one user who must give a password."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from audio_compressor_tests.deploy.probes import free_port


def _programs() -> Path:
    found = [Path(each).resolve().parent for each in [shutil.which("pg_ctl")] if each]
    found += sorted((path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")), reverse=True)
    if found:
        return found[0]
    message = "PostgreSQL's server is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{message}, and in CI these tests must not be skipped")
    pytest.skip(message)


@contextmanager
def postgres_server(directory: Path, *, user: str, password: str, database: str) -> Iterator[int]:
    """Its port. It refuses to run for root: then it is the user ``postgres`` of the package."""
    programs = _programs()
    is_root = os.getuid() == 0
    data, secret = directory / "data", directory / "password"
    directory.mkdir(parents=True)
    secret.write_text(password)
    if is_root:
        for path in (directory, secret):
            shutil.chown(path, "postgres", "postgres")

    def run(program: str, *arguments: str) -> None:
        as_user = ["runuser", "-u", "postgres", "--"] if is_root else []
        command = [*as_user, str(programs / program), *arguments]
        done = subprocess.run(command, check=False, capture_output=program != "pg_ctl", cwd="/", timeout=120)
        assert done.returncode == 0, done.stderr

    run("initdb", "-D", str(data), "-U", user, "--auth=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-sync")
    port = free_port()
    options = f"-p {port} -k {directory} -c listen_addresses=127.0.0.1 -c fsync=off"
    control = ("-D", str(data), "-w", "-s", "-l", str(directory / "log"))
    run("pg_ctl", *control, "-o", options, "start")
    try:
        environment = {**os.environ, "PGPASSWORD": password}
        create = [str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", user, database]
        subprocess.run(create, env=environment, check=True, timeout=60)
        yield port
    finally:
        run("pg_ctl", *control, "-m", "immediate", "stop")
