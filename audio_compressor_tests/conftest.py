"""Fixtures for all tests; each kind has a module of its own."""

import signal

pytest_plugins = ["audio_compressor_tests.fixtures.sftp_servers", "audio_compressor_tests.fixtures.studio"]

# A shell without job control ignores the first for what it starts in the background, nohup the second; and so would all
# that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
