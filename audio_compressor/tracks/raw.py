"""Raw tracks: what lies below RAW_PREFIX."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from audio_compressor.storage.s3_objects import Listed, S3Objects
from audio_compressor.texts import visible
from audio_compressor.tracks.track import Refused, Track, sort_out, why_no_track


@dataclass(frozen=True)
class RawObject:
    """A track's source as a listing shows it. The ETag changes with the content, and may with encryption."""

    track: Track
    size_bytes: int
    etag: str
    modified_at: datetime

    @property
    def fingerprint(self) -> str:
        """Equal ones mean that the object has not changed."""
        return f"{self.size_bytes}-{self.etag}"


@dataclass(frozen=True)
class RawListing:
    """``objects``: the oldest first. ``at`` is the server's time of the listing."""

    objects: tuple[RawObject, ...]
    refused: tuple[Refused, ...]
    at: datetime


def list_raw(objects: S3Objects, prefix: str, published_from: Mapping[str, str]) -> RawListing:
    """The objects right below ``prefix``. What begins with a dot is hidden and what has a slash in its name lies in a
    "directory", as some tools make them; both are no tracks and nothing to complain of.

    ``published_from``: the file names, by key, of which tracks are published (see `track.sort_out`).
    """
    listing = objects.listing(prefix, only_this_level=True)
    found = {name: listed for name, listed in listing.objects.items() if name and not name.startswith(".")}
    by_age = sorted(found, key=lambda name: (found[name].modified_at, name))
    tracks, refused = sort_out(by_age, published_from)
    shown = tuple(Refused(visible(item.file_name), item.reason) for item in refused)
    return RawListing(tuple(_raw(track, found[track.file_name]) for track in tracks), shown, listing.at)


def find_raw(objects: S3Objects, prefix: str, track: Track) -> RawObject | None:
    listed = objects.find(track.raw_key(prefix))
    return None if listed is None else _raw(track, listed)


def find_by_key(objects: S3Objects, prefix: str, key: str) -> tuple[RawObject, ...]:
    """The objects of which a track with this key could be made, the oldest first."""
    found = objects.listing(f"{prefix}{key}", only_this_level=True).objects
    named = {f"{key}{rest}": listed for rest, listed in found.items()}
    tracks = [Track(name) for name in named if why_no_track(name) is None]
    raws = [_raw(track, named[track.file_name]) for track in tracks if track.key == key]
    return tuple(sorted(raws, key=lambda raw: (raw.modified_at, raw.track.file_name)))


def _raw(track: Track, listed: Listed) -> RawObject:
    return RawObject(track, listed.size_bytes, listed.etag, listed.modified_at)
