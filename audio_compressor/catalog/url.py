"""CATALOG_URL: which database it means, and how that is named where people read it, never with a secret."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from audio_compressor.errors import ConfigurationError

_DRIVERS = {
    "postgresql": "postgresql+psycopg2",
    "postgres": "postgresql+psycopg2",
    "postgresql+psycopg2": "postgresql+psycopg2",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "mysql+pymysql": "mysql+pymysql",
    "mariadb+pymysql": "mysql+pymysql",
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
}
_EXAMPLE = "such as postgresql://user:password@db.example.org/app, mysql://... or sqlite:////data/catalog.db"
# PyMySQL 1.2 takes any text as true, "false" as well, and forgets `ssl_ca` beside the other two.
_MISLEADING = {"ssl_disabled", "ssl_verify_cert", "ssl_verify_identity"}


def parse_catalog_url(text: str) -> URL:
    """The database, with the driver that is installed for it; what stands behind ``?`` goes to that driver.

    Raises:
        ConfigurationError: it is none of PostgreSQL, MySQL, MariaDB and a file of SQLite, or cannot be read.
    """
    scheme, separator, rest = text.strip().partition("://")
    driver = _DRIVERS.get(scheme.lower())
    if not separator or driver is None:
        raise _refuse(f"is no database that we know; allowed is a URL {_EXAMPLE}")
    if driver == "sqlite":
        return _sqlite(rest)
    try:
        url = make_url(f"{driver}://{rest}")
    except (ArgumentError, ValueError):
        # Not chained: the errors' texts quote what may be a part of the password.
        raise _refuse(f"cannot be read; allowed is a URL {_EXAMPLE}; {_ESCAPE}") from None
    # Anything else that holds an @ was cut in the wrong place, and a part of the password may be anywhere in it.
    if rest.count("@") > 1 or ("@" in rest and url.username is None):
        raise _refuse(f"cannot be read, because of an @ in the wrong place; {_ESCAPE}")
    if not url.database:
        raise _refuse("names no database; it stands behind the host: //host/database")
    if misleading := sorted(_MISLEADING.intersection(url.query)):
        raise _refuse(
            f"holds {', '.join(misleading)}; give ssl_ca=FILE instead, which demands TLS and verifies certificate and "
            "host name, and with it ssl_check_hostname=false where the host name cannot be verified"
        )
    return url


_ESCAPE = "in user name and password, write @ as %40, / as %2F, : as %3A and % as %25"


def _sqlite(rest: str) -> URL:
    path, _, query = rest.partition("?")
    # Relative paths mean another file in each process of Dagster, and memory is one for each connection.
    if not path.startswith("//"):
        raise _refuse("names no file by its absolute path, which has four slashes: sqlite:////data/catalog.db")
    return make_url(f"sqlite://{path}" + (f"?{query}" if query else ""))


def shown(url: URL) -> str:
    """How messages name the database: neither user, password nor options."""
    if url.get_backend_name() == "sqlite":
        return f"the database {url.database}"
    host = url.host or url.query.get("host") or url.query.get("unix_socket") or "localhost"
    address = f"[{host}]" if isinstance(host, str) and ":" in host else host
    port = f":{url.port}" if url.port else ""
    return f"the database {url.get_backend_name()}://{address}{port}/{url.database}"


def _refuse(problem: str) -> ConfigurationError:
    return ConfigurationError([f"CATALOG_URL {problem}"])
