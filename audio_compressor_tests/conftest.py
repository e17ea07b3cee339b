"""Fixtures for all tests; each kind has a module of its own."""

import signal

# A module before those that import from it: pytest rewrites the asserts of what is not imported yet.
_FIXTURES = ("s3_server", "databases", "sftp_servers", "studio", "music", "library")
pytest_plugins = [f"audio_compressor_tests.fixtures.{name}" for name in _FIXTURES]

# A shell without job control ignores the first for what it starts in the background, nohup the second; and so would all
# that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
