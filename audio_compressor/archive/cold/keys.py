"""The keys of objects in cold storage.

A key ends with the beginning of its content's SHA-256, so that two contents of one name lie beside each other, and none
is ever written over another.
"""

from pathlib import PurePosixPath
from urllib.parse import quote, unquote

from audio_compressor.archive.records import Copy
from audio_compressor.errors import LibraryError

_DIGITS = 16


def key_for(prefix: str, name: str, sha256: str) -> str:
    """Such as ``archive/2026/03/talk-0123456789abcdef.webm``."""
    path = PurePosixPath(name)
    return prefix + str(path.with_name(f"{path.stem}-{sha256[:_DIGITS]}{path.suffix}"))


def uri_of(bucket: str, key: str) -> str:
    return f"s3://{bucket}/{quote(key)}"


def key_of(bucket: str, copy: Copy) -> str:
    """Where a copy lies, by its record, which stays true when the prefix is changed.

    Raises:
        LibraryError: its record names no object that was written here for it.
    """
    start = uri_of(bucket, "")
    key = unquote(copy.uri.removeprefix(start))
    if not copy.uri.startswith(start):
        raise LibraryError(
            f"{copy.path} lies at {copy.uri or 'no place that is known'}, and COLD_BUCKET is {bucket}; set COLD_BUCKET "
            "to the bucket that it was archived to"
        )
    if copy.place != "cold" or not copy.sha256 or f"-{copy.sha256[:_DIGITS]}" not in PurePosixPath(key).name:
        raise LibraryError(
            f"{copy.path}: its record says that it lies at {copy.uri}, which is no object of its content"
        )
    return key
