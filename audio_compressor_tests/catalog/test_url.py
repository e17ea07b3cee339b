"""What CATALOG_URL may be, and that nothing of it that is secret is ever shown."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audio_compressor.catalog.database import Database
from audio_compressor.catalog.url import parse_catalog_url, shown
from audio_compressor.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "driver", "name"),
    [
        ("postgresql://u:p@db.example.org/app", "postgresql+psycopg2", "postgresql://db.example.org/app"),
        ("postgres://u:p@db:5433/app", "postgresql+psycopg2", "postgresql://db:5433/app"),
        ("postgresql+psycopg2://db/app?sslmode=require", "postgresql+psycopg2", "postgresql://db/app"),
        ("postgresql:///app?host=/run/postgresql", "postgresql+psycopg2", "postgresql:///run/postgresql/app"),
        ("postgresql://u@[::1]:5432/app", "postgresql+psycopg2", "postgresql://[::1]:5432/app"),
        ("mysql://u:p@db/app", "mysql+pymysql", "mysql://db/app"),
        ("mariadb://u:p@db:3307/app?ssl_ca=/ca.pem", "mysql+pymysql", "mysql://db:3307/app"),
        ("MySQL+pymysql://u:p@db/app\n", "mysql+pymysql", "mysql://db/app"),
        ("sqlite:////data/a@b:c.db", "sqlite", "/data/a@b:c.db"),
        ("sqlite:////data/catalog.db?timeout=5", "sqlite", "/data/catalog.db"),
    ],
)
def test_a_database(text: str, driver: str, name: str) -> None:
    url = parse_catalog_url(text)
    assert url.drivername == driver
    assert shown(url) == f"the database {name}"


@pytest.mark.parametrize(
    ("text", "what_to_do"),
    [
        ("", "such as postgresql://"),
        ("secret", "such as postgresql://"),
        ("oracle://u:secret@db/app", "such as postgresql://"),
        ("postgresql+asyncpg://u:secret@db/app", "such as postgresql://"),
        ("postgresql://u:secret@db", "names no database"),
        ("mysql://u:secret@db/", "names no database"),
        ("postgresql://u:secret@db:port/app", "cannot be read"),
        ("postgresql://u:sec@ret@db/app", "write @ as %40"),
        ("postgresql://u:sec@secret:secret@db/app", "write @ as %40"),
        ("postgresql://u:sec@/secret@db/app", "write @ as %40"),
        ("postgresql://u:sec@?secret@db/app", "write @ as %40"),
        ("postgresql://us/er:secret@db/app", "write @ as %40"),
        ("mysql://u:secret@db/app?ssl_disabled=false", "ssl_ca=FILE"),
        ("mysql://u:secret@db/app?ssl_ca=/ca.pem&ssl_verify_cert=true", "ssl_ca=FILE"),
        ("sqlite://", "four slashes"),
        ("sqlite:///", "four slashes"),
        ("sqlite:///:memory:", "four slashes"),
        ("sqlite:///catalog.db", "four slashes"),
        ("sqlite:///file:secret?mode=memory&uri=true", "four slashes"),
    ],
)
def test_what_cannot_be_one(text: str, what_to_do: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_catalog_url(text)
    assert "CATALOG_URL" in str(caught.value)
    assert what_to_do in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["postgresql", "mysql"]))
@example("@", "mysql")
@example("a@b:c/d?e", "postgresql")
@example("%", "postgresql")
def test_whatever_the_password_is_it_is_not_shown(noise: str, scheme: str) -> None:
    """Escaped or not."""
    try:
        url = parse_catalog_url(f"{scheme}://user:hunter2{noise}hunter2@db.example.org/app")
    except ConfigurationError as error:
        told = str(error)
    else:
        told = f"{shown(url)} {Database(url)!r} {url!r}"
    assert "hunter2" not in told
