"""Which uploads can be worked on at all."""

from audio_compressor.catalog.rows import Upload
from audio_compressor.texts import visible
from audio_compressor.tracks.track import why_no_track

_MOST_ID_CHARACTERS = 255


def why_refused(upload: Upload) -> str | None:
    """The reason why an upload cannot be worked on, or None when it can."""
    if len(upload.upload_id) > _MOST_ID_CHARACTERS:
        return f"its upload_id is longer than {_MOST_ID_CHARACTERS} characters"
    reason = why_no_track(upload.file_name)
    on_one_line = " ".join(visible(upload.file_name).split())
    return reason and f"the file name '{on_one_line[:100]}' cannot be a track: {reason}"
