"""Moves what stands for a recording to cold storage, or removes it for good, as its tier says."""

from dataclasses import replace

from audio_compressor.archive.outcome import Done
from audio_compressor.archive.records import Copy, Record
from audio_compressor.archive.work import Never, NotNow, Work
from audio_compressor.audio.archiving import inspect, why_not_archived


def move_to_cold_storage(work: Work) -> Done:
    """
    Raises:
        NotNow, Never: nothing was done.
        AudioCompressorError: likewise; there may be an object nobody knows of, which the next run recognises.
    """
    tools, standing = work.tools, work.standing
    if tools.cold is None:
        raise NotNow("it is due for cold storage, and there is none: set COLD_BUCKET")
    best = work.found_at(standing.path, standing.sha256)
    contents = inspect(best.path, ffmpeg=tools.ffmpeg, children=tools.children)
    if reason := why_not_archived(contents, drop_video=True):  # what cannot be read is not sent away
        raise Never(reason)
    uploaded = tools.cold.put(best.path, standing.path, best.sha256, work.action.storage_class)
    tools.on_work(work.file.key, "copy uploaded")
    best.require_unchanged()
    known = work.before.copy if work.before else None
    copy = Copy(
        place="cold",
        path=standing.path,
        size_bytes=best.stamp.size_bytes,
        sha256=best.sha256,
        codec=known.codec if known else contents.codec,
        bitrate_kbps=known.bitrate_kbps if known else round(contents.bitrate_kbps, 1),
        made_from=known.made_from if known else "",
        made_at=tools.now(),
        tier=work.tier,
        uri=uploaded.uri,
        storage_class=work.action.storage_class,
    )
    record = work.record(copy, best, contents)
    work.carry_out("cold", record)
    return Done(record, work.kept_bytes)


def delete(work: Work) -> Done:
    """What lies in the library goes to the trash; what lies in cold storage goes with it when that is emptied.

    Raises:
        NotNow: nothing was done.
        AudioCompressorError: likewise.
    """
    before = work.before or Record(work.file.key, work.file.recorded_at, work.file.dated_by)
    in_cold_storage = before.copy if before.copy and before.copy.place == "cold" else None
    record = replace(before, copy=in_cold_storage, deleted_at=work.tools.now(), original_is_kept=False)
    work.carry_out("delete", record)
    return Done(record, 0)
