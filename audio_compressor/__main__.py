"""`python -m audio_compressor` is the command `audio-compressor`."""

from audio_compressor.cli.main import main

main()
