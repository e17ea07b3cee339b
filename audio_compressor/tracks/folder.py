"""One track's folder below PROCESSED_PREFIX, as it is now."""

from collections.abc import Mapping

from audio_compressor.errors import AudioError
from audio_compressor.storage.s3_objects import Listed, Listing, S3Objects
from audio_compressor.tracks.layout import is_fixed_playlist
from audio_compressor.tracks.playlists import MOST_PLAYLIST_BYTES, reached
from audio_compressor.tracks.published import MOST_METADATA_BYTES, Published, parse_published
from audio_compressor.tracks.track import METADATA_NAME, Track


class TrackFolder:
    """Names are those below the folder, such as ``low/playlist.m3u8``."""

    def __init__(self, objects: S3Objects, processed_prefix: str, track: Track) -> None:
        self.objects = objects
        self.track = track
        self._processed_prefix = processed_prefix

    def key(self, name: str = "") -> str:
        return self.track.published_key(self._processed_prefix, name)

    def uri(self, name: str = "") -> str:
        return self.objects.uri(self.key(name))

    def listing(self) -> Listing:
        return self.objects.listing(self.key())

    def published(self, there: Mapping[str, Listed]) -> Published | None:
        """What metadata.json says, if it is there and ours."""
        if METADATA_NAME not in there or there[METADATA_NAME].size_bytes > MOST_METADATA_BYTES:
            return None
        return parse_published(self.objects.read(self.key(METADATA_NAME), MOST_METADATA_BYTES))

    def visible(self, there: Mapping[str, Listed]) -> frozenset[str]:
        """Everything that players can come to from the playlists whose names they know.

        Raises:
            AudioError: a playlist cannot be understood, so it may name anything.
        """
        return reached(filter(is_fixed_playlist, there), there, self._text)

    def _text(self, playlist: str) -> str:
        try:
            return self.objects.read(self.key(playlist), MOST_PLAYLIST_BYTES).decode()
        except UnicodeDecodeError as error:
            raise AudioError(f"{self.uri(playlist)} is no playlist: it is not UTF-8") from error
