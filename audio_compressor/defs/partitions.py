"""The dynamic partition sets. Keys are added in recording order, in one call (each call rebuilds Dagster's caches)."""

import dagster as dg

RECORDINGS = dg.DynamicPartitionsDefinition(name="recordings")
TRACKS = dg.DynamicPartitionsDefinition(name="tracks")
