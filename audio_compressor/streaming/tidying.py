"""Removes what publications leave behind: versions that nobody plays any more, and uploads that were never finished."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from audio_compressor.errors import AudioCompressorError, ConnectionLostError, TimedOutError
from audio_compressor.tracks.bucket import TrackBucket
from audio_compressor.tracks.track import Track, why_no_track


@dataclass(frozen=True)
class Tidied:
    """``removed`` are files of earlier versions, ``given_up`` uploads in parts; ``waiting`` are kept a day.

    ``problems`` are sentences, one for each track that could not be looked at.
    """

    tracks: int
    removed: int
    waiting: int
    given_up: int
    problems: tuple[str, ...]


def tidy(bucket: TrackBucket, keys: Iterable[str]) -> Tidied:
    """Look at the tracks of these keys, and at every upload in parts.

    Raises:
        AudioCompressorError: the bucket is away, or refuses everything.
    """
    tracks = removed = waiting = 0
    problems: list[str] = []
    stop = threading.Event()
    names = (f"{key}.m4a" for key in keys)  # only the folder is looked at, which is that of any name with this key
    for track in (Track(name) for name in names if why_no_track(name) is None):
        try:
            pruned = bucket.prune(track, cancel=stop)
        except (ConnectionLostError, TimedOutError):
            raise
        except AudioCompressorError as error:  # of this track
            problems.append(f"{track.key}: {error}")
            continue
        tracks += 1
        removed += len(pruned.remove)
        waiting += len(pruned.waiting)
    return Tidied(tracks, removed, waiting, len(bucket.abort_unfinished()), tuple(problems))
