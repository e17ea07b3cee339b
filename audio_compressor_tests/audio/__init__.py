"""Tests of `audio_compressor.audio`: every claim is measured on real output of the real FFmpeg."""
