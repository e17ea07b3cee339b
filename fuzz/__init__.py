"""Fuzz targets for the parsers of outside data; `python -m fuzz --seconds 60` runs all, `python -m fuzz.wav` one."""
