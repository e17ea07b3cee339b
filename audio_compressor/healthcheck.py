"""Asks the role that this container has whether it works: ``python -m audio_compressor.healthcheck``.

The role is in the command line of process 1. A code server is asked by gRPC's health protocol, a web server by HTTP, a
daemon by Dagster's own command. Anything else, such as a run, is healthy for as long as it lives: its exit code says
how it went.
"""

import http.client
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path, PurePath

CODE_SERVER_PORT = 4000
WEB_SERVER_PORT = 3000
_SECONDS = 10.0
_SERVICE = "DagsterApi"


def main(pid: str = "1") -> None:
    """End with 0 when that process answers, with 1 and a reason on standard error when it does not."""
    command = (Path("/proc") / pid / "cmdline").read_bytes().decode(errors="replace").split("\0")
    words = {PurePath(word).name for word in command}
    if "dagster-daemon" in words:
        # Does not return. It looks for the last heartbeats, which are in the database.
        os.execvp("dagster-daemon", ["dagster-daemon", "liveness-check"])  # noqa: S606, S607 - of this installation
    if "dagster-webserver" in words:
        problem = _ask_web_server(_port(command, WEB_SERVER_PORT))
    elif {"api", "grpc"} <= words:
        problem = _ask_code_server(_port(command, CODE_SERVER_PORT))
    else:
        problem = None
    sys.exit(problem)


def _port(command: Sequence[str], default: int) -> int:
    for word, following in pairwise(command):
        if word in {"--port", "-p"}:
            return int(following)
    return default


def _ask_web_server(port: int) -> str | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.request("GET", "/server_info")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"the web server on port {port} does not answer: {error}"
    finally:
        connection.close()
    return None if status == http.client.OK else f"the web server answers with status {status}"


def _ask_code_server(port: int) -> str | None:
    # Dagster brings them. Its own command for this takes 2 s of a core for what they do in 0.2.
    import grpc
    from grpc_health.v1.health_pb2 import (
        HealthCheckRequest,
        HealthCheckResponse,
    )
    from grpc_health.v1.health_pb2_grpc import HealthStub

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            answer = HealthStub(channel).Check(HealthCheckRequest(service=_SERVICE), timeout=_SECONDS)
        except grpc.RpcError as error:
            return f"the code server on port {port} does not answer: {error.code().name}"
    return None if answer.status == HealthCheckResponse.SERVING else "the code server does not serve"


if __name__ == "__main__":
    main(*sys.argv[1:])
