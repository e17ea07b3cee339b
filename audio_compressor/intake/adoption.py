"""Adopts results of an earlier deployment: an output that already lies in storage is recorded, not made again."""

from collections.abc import Iterable
from dataclasses import dataclass

from audio_compressor.intake.plan import Outstanding
from audio_compressor.recording import Recording, compressed_name, original_of
from audio_compressor.storage.base import Storage, StoredFile

# One look-up costs a round trip, and so does a listing for each hundred files over SFTP (each thousand in S3), of which
# a result has two. Look-ups are made one after the other; 200 take up to 10 s from S3.
_LOOKUPS_AT_LEAST = 20
_LOOKUPS_AT_MOST = 200
_RESULTS_PER_ROUND_TRIP = 50


@dataclass(frozen=True)
class Adoption:
    """A recording and the result that is there already."""

    recording: Recording
    name: str
    output: StoredFile


def find_adoptable(
    outstanding: Iterable[Outstanding], storage: Storage, extension: str, *, results: int
) -> list[Adoption]:
    """The recordings whose output is in storage, not empty, not older than its source, and the only one: of several,
    nobody knows which was made of the source as it is now.

    ``results`` is how many are known to be there; it decides only what is cheaper, to look each up or to list them all.

    Meant for recordings that the history has never observed. Once it has, an output may be of another state of the
    source than the one that is there now, and of other settings; making it again is cheap, and equal content is kept.
    """
    recordings = {compressed_name(item.directory, extension): item.recording for item in outstanding}
    if not recordings:
        return []
    lookups = min(max(_LOOKUPS_AT_LEAST, results // _RESULTS_PER_ROUND_TRIP), _LOOKUPS_AT_MOST)
    everything = storage.entries() if len(recordings) > lookups else None
    found = {name: storage.find(name) for name in recordings} if everything is None else everything
    adoptable = [
        Adoption(recording, name, output)
        for name, recording in recordings.items()
        if (output := found.get(name)) is not None and _is_result_of(recording, output)
    ]
    if not adoptable:
        return []
    names = storage.entries() if everything is None else everything
    with_versions = {original for name in names if (original := original_of(name))}
    return [adoption for adoption in adoptable if adoption.name not in with_versions]


def _is_result_of(recording: Recording, output: StoredFile) -> bool:
    return output.size_bytes > 0 and output.modified_at_seconds >= recording.fingerprint.modified_at_seconds
