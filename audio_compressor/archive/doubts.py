"""Files that do not fit together, so that nothing may be done with a recording: the reasons, as sentences. Pure."""

from collections import defaultdict
from collections.abc import Collection

from audio_compressor.archive.layout import copy_path
from audio_compressor.archive.model import Stamp
from audio_compressor.archive.records import Copy, Record


def beside(key: str, record: Record | None, copy: Copy | None, stamp: Stamp, copy_stamp: Stamp | None) -> str | None:
    """What is wrong with an original and what lies beside it."""
    path = copy.path if copy else copy_path(key)
    if copy is None:
        is_other = copy_stamp is not None and path != key
        return f"{path} lies beside it and was not made of it: move one of them away" if is_other else None
    if record and record.original_is_kept:
        if copy.place == "library" and copy_stamp and copy_stamp.size_bytes != copy.size_bytes:
            return f"{path} beside it was changed since it was made"
        if record.original and record.original.size_bytes != stamp.size_bytes:
            return f"it was changed since {copy.uri or path} was made of it"
        return None
    where = f"{copy.uri}, in cold storage," if copy.place == "cold" else path
    if copy.place == "library" and copy_stamp is None:
        return f"{path} was made of an original of this name, and is missing: is this that original?"
    return f"{where} was made of an original of this name: move one of them away"


def of_shared_copies(keys: Collection[str]) -> dict[str, str]:
    """``talk.webm`` and ``talk.WEBM`` would be archived over each other: a reason for each that is so."""
    sharing: defaultdict[str, list[str]] = defaultdict(list)
    for key in keys:
        sharing[copy_path(key)].append(key)
    return {
        key: f"its copy would have the name of that of {next(other for other in together if other != key)}: rename one"
        for together in sharing.values()
        for key in (together if len(together) > 1 else ())
    }
