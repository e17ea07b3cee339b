"""Tests of one run's work on tracks."""
