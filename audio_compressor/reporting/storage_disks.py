"""The disks that we write to: what is free on each, and what of ours lies there."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audio_compressor.errors import AudioCompressorError
from audio_compressor.local_files import local_errors
from audio_compressor.space import Space, look_at_space


@dataclass(frozen=True)
class Disk:
    """``holds`` says what of ours lies on it, ``path`` where the first of that is. ``used_bytes`` is of everything on
    the disk, also of what is not ours; with ``capacity_bytes`` it is None where the file system does not tell.
    """

    holds: tuple[str, ...]
    path: Path
    capacity_bytes: int | None
    used_bytes: int | None
    space: Space


def look_at_disks(places: Mapping[str, Path], warning_bytes: int) -> tuple[list[Disk], list[str]]:
    """One for each disk, in the order of ``places``; and sentences about what cannot be asked. A place need not exist
    yet.
    """
    disks: dict[int, Disk] = {}
    problems: list[str] = []
    for name, path in places.items():
        try:
            device, disk = _look_at(name, path, warning_bytes)
        except AudioCompressorError as error:
            problems.append(f"the disk of {path}: {error}")
            continue
        known = disks.get(device)
        disks[device] = (
            Disk((*known.holds, name), known.path, known.capacity_bytes, known.used_bytes, known.space)
            if known
            else disk
        )
    return list(disks.values()), problems


def _look_at(name: str, path: Path, warning_bytes: int) -> tuple[int, Disk]:
    space = look_at_space(path, warning_bytes=warning_bytes)
    with local_errors(path):
        place = next(place for place in (path, *path.absolute().parents) if place.exists())
        device, found = place.stat().st_dev, os.statvfs(place)
    if not found.f_blocks:
        return device, Disk((name,), path, None, None, space)
    used_bytes = (found.f_blocks - found.f_bfree) * found.f_frsize
    return device, Disk((name,), path, found.f_blocks * found.f_frsize, used_bytes, space)
