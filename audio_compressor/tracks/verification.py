"""Whether what lies in the bucket is still what was published."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from audio_compressor.storage.s3_objects import Listed
from audio_compressor.tracks.published import Published, PublishedFile


@dataclass(frozen=True)
class Difference:
    """``reason`` says what became of the file ``name``."""

    name: str
    reason: str


@dataclass(frozen=True)
class Verification:
    """``published`` is None when there is no metadata.json of ours; ``differences`` then says so."""

    published: Published | None
    differences: tuple[Difference, ...]

    @property
    def is_intact(self) -> bool:
        return not self.differences


def differences(
    published: Published, there: Mapping[str, Listed], sha256_of: Callable[[str], str], *, read_all: bool
) -> tuple[Difference, ...]:
    """Compare sizes and ETags with the listing, and contents where the ETag is another one or none is recorded: it
    changes when objects are copied or encrypted anew. With ``read_all``, everything is read: a store that returns other
    bytes under the same ETag is found by no listing.
    """
    reasons = (
        (name, _why_different(name, file, there.get(name), sha256_of, read_all=read_all))
        for name, file in published.files.items()
    )
    return tuple(Difference(name, reason) for name, reason in reasons if reason is not None)


def _why_different(
    name: str, file: PublishedFile, listed: Listed | None, sha256_of: Callable[[str], str], *, read_all: bool
) -> str | None:
    if listed is None:
        return "it is not there any more"
    if listed.size_bytes != file.size_bytes:
        return f"it has {listed.size_bytes:,} bytes; {file.size_bytes:,} were published"
    if listed.etag == file.etag and not read_all:
        return None
    sha256 = sha256_of(name)
    return None if sha256 == file.sha256 else f"it has the SHA-256 {sha256}; {file.sha256} was published"
