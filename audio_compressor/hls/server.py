"""A small HTTP server for one directory, reachable from this machine only: to play a ladder as players do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from audio_compressor.hls.delivery import BY_SUFFIX

LOOPBACK = "127.0.0.1"
_POLL_SECONDS = 0.02
_IDLE_SECONDS = 30.0


@dataclass
class Serving:
    """A server at work. ``refused`` are the paths that were asked for in vain."""

    port: int
    refused: list[str] = field(default_factory=list)


@contextmanager
def serve_directory(directory: Path) -> Iterator[Serving]:
    """Serve the files below ``directory`` with the content types and cache headers of `delivery.py`."""
    serving = Serving(0)
    handler = partial(_Handler, serving, directory=str(directory))
    with _Server((LOOPBACK, 0), handler) as server:
        serving.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name="hls-server")
        thread.start()
        try:
            yield serving
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    # Joined at the end: a thread that outlives its server would be one that answers nobody.
    daemon_threads = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A player that hangs up in the middle of a segment is no fault of ours."""


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    extensions_map = {  # noqa: RUF012
        **SimpleHTTPRequestHandler.extensions_map,
        **{suffix: delivery.content_type for suffix, delivery in BY_SUFFIX.items()},
    }

    def __init__(self, serving: Serving, *arguments: object, **named: object) -> None:
        self._serving = serving
        super().__init__(*arguments, **named)  # type: ignore[arg-type]

    def send_response(self, code: int, message: str | None = None) -> None:
        super().send_response(code, message)
        delivery = BY_SUFFIX.get(Path(self.path).suffix)
        if code == HTTPStatus.OK and delivery is not None:  # that a file is missing is not to be kept for a year
            self.send_header("Cache-Control", delivery.cache_control)

    def list_directory(self, path: object) -> None:  # noqa: ARG002
        self.send_error(HTTPStatus.NOT_FOUND)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self._serving.refused.append(self.path)
        super().send_error(code, message, explain)

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002
