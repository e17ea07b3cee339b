"""``database`` is a new one of each kind that the catalogue speaks, ``catalog`` the catalogue in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from audio_compressor.catalog.catalog import Catalog, open_catalog
from audio_compressor_tests.fixtures.databases import KINDS, DatabaseServers, SqlDatabase


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, database_servers: DatabaseServers, tmp_path: Path) -> SqlDatabase:
    return database_servers.new(request.param, tmp_path)


@pytest.fixture
def catalog(database: SqlDatabase) -> Iterator[Catalog]:
    with open_catalog(database.url) as catalog:
        yield catalog
