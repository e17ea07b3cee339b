"""Measurements against what a user would run instead; not part of the tests, see docs/performance.md."""
