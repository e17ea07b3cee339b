"""Removes what earlier versions of a track left, once nobody plays it any more: a pure plan, and its execution.

A player holds the playlists that it began with, so the files of the last version stay for a grace time after it was
replaced. Nothing tells when that was but the master, which is written last; and nothing tells the segments of a
publication that is on its way from those of a crashed one but their age. So a file is removed when no playlist leads to
it and both, the master and the file, are older than the grace time, by the clock of the server.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from audio_compressor.errors import AudioError
from audio_compressor.hls.layout import PLAYLIST_NAME
from audio_compressor.storage.s3_objects import Listed
from audio_compressor.tracks.folder import TrackFolder
from audio_compressor.tracks.layout import is_ours
from audio_compressor.tracks.published import Published

# A listener who paused in the evening goes on in the morning.
GRACE_SECONDS = 86_400.0


@dataclass(frozen=True)
class Prune:
    """``remove``: names in the order of their removal. ``waiting``: those that nothing leads to but that are kept for
    now. ``reason`` says what keeps them, or is empty. ``strange``: names that are not ours, which are left alone.
    """

    remove: tuple[str, ...]
    waiting: tuple[str, ...]
    reason: str
    strange: tuple[str, ...]


def plan_prune(
    there: Mapping[str, Listed],
    visible: frozenset[str],
    published: Published | None,
    at: datetime,
    grace: timedelta,
) -> Prune:
    """``visible``: what players can come to now; ``at``: the server's time, as in a `Listing`."""
    named = visible | (published.files.keys() if published is not None else frozenset())
    unnamed = sorted(name for name in there if is_ours(name) and name not in named)
    strange = tuple(sorted(name for name in there if "/" in name and not is_ours(name)))
    master = there.get(PLAYLIST_NAME)
    if master is not None and at - master.modified_at < grace:
        reason = f"the track was published less than {grace.total_seconds() / 3600:g} h ago"
        return Prune((), tuple(unnamed), reason if unnamed else "", strange)
    young = tuple(name for name in unnamed if at - there[name].modified_at < grace)
    # Playlists first: none must be there without what it names.
    remove = sorted((name for name in unnamed if name not in young), key=lambda name: not name.endswith(".m3u8"))
    reason = "they are not older than the grace time, and may belong to a publication on its way" if young else ""
    return Prune(tuple(remove), young, reason, strange)


def prune(folder: TrackFolder, grace: timedelta, cancel: threading.Event) -> Prune:
    """Carry out the plan for one track. When a playlist cannot be understood, nothing is removed."""
    listing = folder.listing()
    try:
        visible = folder.visible(listing.objects)
    except AudioError as error:
        ours = tuple(sorted(filter(is_ours, listing.objects)))
        return Prune((), ours, f"what is played is not known: {error}", ())
    plan = plan_prune(listing.objects, visible, folder.published(listing.objects), listing.at, grace)
    playlists = [name for name in plan.remove if name.endswith(".m3u8")]
    for names in (playlists, [name for name in plan.remove if name not in set(playlists)]):
        folder.objects.remove([folder.key(name) for name in names], cancel)
    return plan
