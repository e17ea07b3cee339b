"""Fixtures for all tests; each kind has a module of its own."""

pytest_plugins = ["audio_compressor_tests.fixtures.sftp_servers", "audio_compressor_tests.fixtures.studio"]
