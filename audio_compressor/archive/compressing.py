"""Makes the smaller copy of a recording, proves that it is the same sound, and has it take the place of the larger."""

import os
import shutil
import time
from pathlib import Path

from audio_compressor.archive.change import Arrival
from audio_compressor.archive.files import read_back, remove, stamp_of
from audio_compressor.archive.layout import copy_path
from audio_compressor.archive.outcome import Done
from audio_compressor.archive.records import Copy
from audio_compressor.archive.work import Best, Never, NotNow, Work
from audio_compressor.audio.archiving import Contents, inspect, make_opus, why_not_archived
from audio_compressor.audio.proof import prove
from audio_compressor.local_files import local_errors
from audio_compressor.space import check_space


def compress(work: Work) -> Done:
    """
    Raises:
        NotNow, Never: nothing was done.
        AudioCompressorError: likewise.
    """
    tools, layout = work.tools, work.tools.layout
    path = copy_path(work.file.key)
    if stamp_of(layout.inside(path)) is not None and path not in _given_up(work):
        raise NotNow(f"{path} is there already and was not made of it; move one of them away")
    part = layout.part(path)
    check_space(part.parent, work.standing.size_bytes, tools.warning_bytes)
    best = work.best()
    contents = inspect(best.path, ffmpeg=tools.ffmpeg, children=tools.children)
    if reason := why_not_archived(contents, drop_video=tools.drop_video):
        raise Never(reason)
    try:
        return _exchange(work, best, contents, part, path)
    finally:
        if not tools.changing.unfinished(work.file.key):
            remove(part)


def _given_up(work: Work) -> set[str]:
    """The names of files that go."""
    return {work.standing.path} if not work.standing.is_original or not work.keeps_original else set()


def _exchange(work: Work, best: Best, contents: Contents, part: Path, path: str) -> Done:
    tools = work.tools
    made = make_opus(
        best.path,
        part,
        work.action.bitrate_kbps,
        contents,
        drop_video=tools.drop_video,
        ffmpeg=tools.ffmpeg,
        children=tools.children,
    )
    tools.on_work(work.file.key, "copy made")
    size_bytes = part.stat().st_size
    if size_bytes >= work.standing.size_bytes:
        raise Never(
            f"{work.action} would take {size_bytes:,} bytes, and it takes {work.standing.size_bytes:,} now; it is kept"
        )
    _like(part, tools.layout.inside(work.standing.path))
    # First, so that what is proved is what the disk gives back, and not what the kernel still remembers of it.
    sha256 = read_back(part)
    tools.on_work(work.file.key, "copy flushed and read back")
    proof = prove(best.path, part, ffmpeg=tools.ffmpeg, children=tools.children)
    tools.on_work(work.file.key, "copy proven")
    best.require_unchanged()
    copy = Copy(
        place="library",
        path=path,
        size_bytes=size_bytes,
        sha256=sha256,
        codec="opus",
        bitrate_kbps=round(min(work.action.bitrate_kbps, contents.bitrate_kbps), 1)
        if made.was_remuxed
        else work.action.bitrate_kbps,
        made_from=best.sha256,
        made_at=tools.now(),
        tier=work.tier,
    )
    record = work.record(copy, best, contents)
    work.carry_out(
        "compress", record, [Arrival(tools.layout.relative(part), path, size_bytes, sha256, part.stat().st_ino)]
    )
    return Done(record, size_bytes + work.kept_bytes, proof)


def _like(part: Path, old: Path) -> None:
    """As old and as accessible as what it replaces: what is sorted by time or read by others goes on to be."""
    with local_errors(part):
        found = old.stat()
        part.chmod(found.st_mode & 0o777)
        if os.geteuid() == 0:
            shutil.chown(part, found.st_uid, found.st_gid)
        os.utime(part, ns=(time.time_ns(), found.st_mtime_ns))
