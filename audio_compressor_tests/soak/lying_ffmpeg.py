"""FFmpegs that fail in the ways that programs do. Each is a script around the real one, to be set as FFMPEG_BINARY.

Questions (``-version``, ``-encoders``) it answers like the real one. The name of the recording decides whether it
misbehaves, so that a second try gives the same.
"""

import sys
from pathlib import Path
from typing import Literal

from audio_compressor.audio.ffmpeg import find_ffmpeg

Lie = Literal["fails", "hangs", "writes garbage", "stops short", "cuts the file"]

_SCRIPT = """#!{python} -SE
import os, subprocess, sys, time, zlib
real, lie, percent, seed = {real!r}, {lie!r}, {percent!r}, {seed!r}
arguments = sys.argv[1:]
output = arguments[-1] if arguments else ""
is_encoding = output.startswith("file:")
name = os.path.basename(output)
if not is_encoding or zlib.crc32(f"{{name}} {{seed}}".encode()) % 100 >= percent:
    os.execv(real, [real, *arguments])
path = output.removeprefix("file:")
open(sys.argv[0] + ".lied", "w").close()
if lie == "fails":
    open(path, "wb").write(b"a few bytes")
    print("[error] Conversion failed, says the soak", file=sys.stderr)
    sys.exit(187)
if lie == "hangs":
    while True:
        time.sleep(1)
if lie == "stops short":
    arguments[-1:-1] = ["-t", "0.6"]
subprocess.run([real, *arguments], check=False)
size = os.path.getsize(path) if os.path.exists(path) else 0
if lie == "writes garbage":
    open(path, "wb").write(os.urandom(size or 1000))
if lie == "cuts the file":
    os.truncate(path, size * 6 // 10)
"""


def lying_ffmpeg(path: Path, lie: Lie, *, percent: int, seed: int) -> Path:
    """Write the script to ``path``; it misbehaves with so many percent of the recordings."""
    real = str(find_ffmpeg().binary)
    path.write_text(_SCRIPT.format(python=sys.executable, real=real, lie=lie, percent=percent, seed=seed))
    path.chmod(0o755)
    _mark(path).unlink(missing_ok=True)
    return path


def has_lied(path: Path) -> bool:
    """Whether it has misbehaved since it was written."""
    return _mark(path).exists()


def _mark(path: Path) -> Path:
    return path.with_name(f"{path.name}.lied")
