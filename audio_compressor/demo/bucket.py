"""The demo's S3: moto's server, in a process of its own, with everything in memory.

``python -m audio_compressor.demo.bucket PORT_FILE`` serves until it is ended, and writes its port to the file.
"""

import logging
import sys
import threading
from pathlib import Path


def main(port_file: Path) -> None:
    """Serve on a free port of this machine."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # or a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    new = port_file.with_suffix(".new")
    new.write_text(str(port))
    new.rename(port_file)
    threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
