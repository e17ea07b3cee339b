"""What publishing a track writes, and in which order: a pure plan of stages, each of which is whole before the next.

    1. segments (and initialisation sections)   under names after their content: beside those of the last version
    2. versioned playlists, low/playlist_1f….m3u8
    3. low/playlist.m3u8, med/…, high/…
    4. song.m4a, then metadata.json, then the master, playlist.m3u8

A playlist is written after everything that it names, so whatever is visible can be played at any moment, and so after a
crash between any two writes: what is new plays, or what was there before.

Why versioned playlists. The master and its media playlists are four objects, and no store replaces four at once. If the
master named ``low/playlist.m3u8``, a player that began with the old version and goes up to ``high`` would go on with
the new one: other loudness, segments that do not line up, perhaps another recording; even long after the publication,
for it reads ``high/playlist.m3u8`` only then, and for as long as a cache on the way holds one of the four. So the
master names playlists whose names tell their content: one write, the last, replaces the whole ladder, and who has the
old master finds everything of the old version until `prune` removes it. ``low/playlist.m3u8`` stays what people know,
with the same bytes; by itself each is right at any moment, for it names segments of one version only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audio_compressor.errors import AudioError
from audio_compressor.hls.delivery import NEVER_REPLACED, delivery_of
from audio_compressor.hls.layout import PLAYLIST_NAME
from audio_compressor.local_files import local_errors
from audio_compressor.storage.s3_body import Piece
from audio_compressor.storage.s3_writer import ObjectHeaders
from audio_compressor.tracks.layout import is_ours, is_versioned_playlist, versioned
from audio_compressor.tracks.playlists import MOST_PLAYLIST_BYTES, names_in, renamed
from audio_compressor.tracks.track import Track


@dataclass(frozen=True)
class LocalTrack:
    """What was made of a track: ``directory`` holds the master and the renditions' folders, ``audio`` is the M4A."""

    directory: Path
    audio: Path


@dataclass(frozen=True)
class PlannedFile:
    """``name`` is below the track's folder."""

    name: str
    piece: Piece

    @property
    def headers(self) -> ObjectHeaders:
        delivery = delivery_of(self.name)
        cache_control = NEVER_REPLACED if is_versioned_playlist(self.name) else delivery.cache_control
        return ObjectHeaders(delivery.content_type, cache_control)


@dataclass(frozen=True)
class Publication:
    """The stages of the plan but for metadata.json, which tells what the others became."""

    segments: tuple[PlannedFile, ...]
    versioned_playlists: tuple[PlannedFile, ...]
    playlists: tuple[PlannedFile, ...]
    audio: PlannedFile
    master: PlannedFile

    @property
    def files(self) -> tuple[PlannedFile, ...]:
        return (*self.segments, *self.versioned_playlists, *self.playlists, self.audio, self.master)


def plan_publication(track: Track, local: LocalTrack) -> Publication:
    """Read the ladder's playlists; only what they name is published.

    Raises:
        AudioError: it is no whole ladder, or has names that are not of the layout.
        StorageError and its kind: a file cannot be read.
    """
    master_text = _text(local.directory / PLAYLIST_NAME)
    playlists = _planned(local, names_in(PLAYLIST_NAME, master_text))
    segments: dict[str, PlannedFile] = {}
    for playlist in playlists:
        named = names_in(playlist.name, _text(local.directory / playlist.name))
        segments |= {segment.name: segment for segment in _planned(local, named)}
    if not segments:
        raise AudioError(f"{track.key}: the playlists name no segments; there is nothing to play")
    names = {playlist.name: versioned(playlist.name, playlist.piece.sha256) for playlist in playlists}
    master = renamed(PLAYLIST_NAME, master_text, names)
    return Publication(
        segments=tuple(segments.values()),
        versioned_playlists=tuple(PlannedFile(names[playlist.name], playlist.piece) for playlist in playlists),
        playlists=playlists,
        audio=PlannedFile(track.audio_name, Piece.whole(local.audio)),
        master=PlannedFile(PLAYLIST_NAME, Piece.whole(master.encode())),
    )


def _planned(local: LocalTrack, names: Sequence[str]) -> tuple[PlannedFile, ...]:
    strange = [name for name in names if not is_ours(name)]
    if strange:
        raise AudioError(f"{', '.join(strange[:5])}: not the names of a rendition's files, such as low/segment_….ts")
    return tuple(PlannedFile(name, Piece.whole(local.directory / name)) for name in names)


def _text(path: Path) -> str:
    with local_errors(path):
        data = path.read_bytes()
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise AudioError(f"{path.name} is no playlist: it is not UTF-8") from error
    if len(data) > MOST_PLAYLIST_BYTES:
        raise AudioError(f"{path.name} has {len(data):,} bytes; a playlist has at most {MOST_PLAYLIST_BYTES:,}")
    return text
