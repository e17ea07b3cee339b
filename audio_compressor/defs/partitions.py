"""The dynamic partition sets. Keys are added in recording order, in one call (each call rebuilds Dagster's caches)."""

import dagster as dg

RECORDINGS = dg.DynamicPartitionsDefinition(name="recordings")
TRACKS = dg.DynamicPartitionsDefinition(name="tracks")
LIBRARY_FILES = dg.DynamicPartitionsDefinition(name="library_files")
OUTPUT_FILES = dg.DynamicPartitionsDefinition(name="output_files")
