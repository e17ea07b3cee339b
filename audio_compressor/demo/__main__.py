"""The demo's SFTP server with its sample recordings, as a service of its own: ``python -m audio_compressor.demo``.

For compose.yaml. Its arguments are those of the server.
"""

from audio_compressor.audio.ffmpeg import find_ffmpeg
from audio_compressor.demo.recordings import create_recordings
from audio_compressor.demo.server import parse_arguments, serve


def main() -> None:
    """Make the recordings below ``ROOT/audio``, and a place for results beside it; then serve."""
    arguments = parse_arguments()
    create_recordings(arguments.root / "audio", find_ffmpeg().binary)
    (arguments.root / "compressed").mkdir(exist_ok=True)
    serve(arguments)


if __name__ == "__main__":
    main()
