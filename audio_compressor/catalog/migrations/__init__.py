"""Alembic's environment of the catalogue; run by `audio_compressor.catalog.migrating`, needs no alembic.ini."""
