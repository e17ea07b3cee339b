"""File systems of our own, made full and empty again in a moment: tmpfs, mounted again with another size."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Nothing is taken up until it is written. Staging keeps a reserve of 50 MB free.
_LARGE_BYTES = 2_000_000_000


@contextmanager
def disk(path: Path) -> Iterator[bool]:
    """Mount a large tmpfs at ``path``, a new directory; False, with the directory only, where that is not allowed."""
    path.mkdir()
    mounted = _mount("-t", "tmpfs", "-o", f"size={_LARGE_BYTES}", "tmpfs", str(path))
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run([_tool("umount"), "-l", str(path)], check=True)


def fill(path: Path, left_bytes: int) -> None:
    """Leave about so much space on a disk."""
    usage = shutil.disk_usage(path)
    _resize(path, usage.used + left_bytes)


def empty(path: Path) -> None:
    """Make the disk large again."""
    _resize(path, _LARGE_BYTES)


def _resize(path: Path, size_bytes: int) -> None:
    if not _mount("-o", f"remount,size={max(size_bytes, 8192)}", str(path)):
        raise RuntimeError(f"{path} cannot be given {size_bytes} bytes")


def _mount(*arguments: str) -> bool:
    if os.getuid() != 0 or not _tool("mount") or not _tool("umount"):
        return False
    return subprocess.run([_tool("mount"), *arguments], capture_output=True, check=False).returncode == 0


def _tool(name: str) -> str:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""
