"""The tests mirror the package: real FFmpeg, real servers, real Dagster instances."""
