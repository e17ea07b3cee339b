"""Tests of `audio_compressor.hls`: real encodes, cut by the real FFmpeg, and played by it and by a browser."""
