"""Plays a ladder with hls.js in headless Chromium."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from audio_compressor.hls.server import serve_directory

NODE_MODULES = Path(sys.prefix) / "node" / "node_modules"
PAGE = Path(__file__).with_name("player.html")
SCRIPT = Path(__file__).with_name("browser.cjs")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def play(directory: Path, routes: list[list[str]]) -> list[dict[str, Any]]:
    """What the page tells of each route."""
    node, player = shutil.which("node"), NODE_MODULES / "hls.js" / "dist" / "hls.min.js"
    missing = [str(each) for each in (player, NODE_MODULES / "playwright-core") if not each.exists()]
    missing += [name for name, found in (("node", node), ("chromium", CHROMIUM)) if not found]
    if missing or node is None or CHROMIUM is None:
        message = f"a browser needs {', '.join(missing)}"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{message}, and in CI these tests must not be skipped")
        pytest.skip(message)
    shutil.copy(player, directory)
    shutil.copy(PAGE, directory)
    with serve_directory(directory) as serving:
        address = f"http://127.0.0.1:{serving.port}/{PAGE.name}"
        command = [node, str(SCRIPT), str(NODE_MODULES), CHROMIUM, address, json.dumps(routes)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    assert [path for path in serving.refused if path != "/favicon.ico"] == []
    told: list[dict[str, Any]] = json.loads(done.stdout)
    return told
