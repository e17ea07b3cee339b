"""The Dagster side: it turns domain results into events and requests, and holds no domain work of its own."""
