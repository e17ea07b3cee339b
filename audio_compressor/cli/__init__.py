"""The command `audio-compressor`: the same jobs without a browser."""
