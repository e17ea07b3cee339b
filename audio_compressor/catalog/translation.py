"""The one place where errors of SQLAlchemy and of the three drivers become this project's errors.

SQLAlchemy's own texts quote statements and values; ours hold what the database said, and what to do.
"""

import re

from sqlalchemy.exc import DBAPIError

from audio_compressor.errors import (
    AccessDeniedError,
    AudioCompressorError,
    AuthenticationError,
    CatalogError,
    ConfigurationError,
    ConnectionLostError,
    OutOfSpaceError,
    TimedOutError,
)


class ContendedError(CatalogError):
    """The database undid the transaction because of another one; it may be repeated as it is."""


class UnsuitableValueError(ConfigurationError):
    """A column does not hold the value: its type, its length or its character set."""


_Kind = type[AudioCompressorError]
_CHECK_URL = "check CATALOG_URL"
_CHECK_RIGHTS = "the account needs SELECT and UPDATE on Uploads, all rights on audio_compressor_claims, and once CREATE"
_PRIMARY = "give the primary server in CATALOG_URL"
_UNSUITABLE = "a column of Uploads does not hold what is written there"
_FORBIDDEN = "a rule of the table Uploads forbids what is written there"
_OTHER_TABLE = "the tables are not those that were there at the start; " + _CHECK_URL

# PostgreSQL's SQLSTATE, the whole code or its class (PostgreSQL documentation, appendix A).
_POSTGRESQL: dict[str, tuple[_Kind, str]] = {
    "40001": (ContendedError, ""),
    "40P01": (ContendedError, ""),
    "42501": (AccessDeniedError, _CHECK_RIGHTS),
    "25006": (CatalogError, _PRIMARY),
    "42P01": (ConfigurationError, _OTHER_TABLE),
    "42703": (ConfigurationError, _OTHER_TABLE),
    "22021": (ConfigurationError, "the database takes texts that are not UTF-8, and holds some; correct them"),
    "22": (UnsuitableValueError, _UNSUITABLE),
    "23": (ConfigurationError, _FORBIDDEN),
    "55P03": (TimedOutError, "another program holds a lock on the row"),
    "57014": (TimedOutError, ""),
    "08": (ConnectionLostError, ""),
    "53300": (ConnectionLostError, "the server has too many connections"),
    "53": (OutOfSpaceError, "the server has no disk space or memory left"),
    "57P": (ConnectionLostError, "the server is starting or stopping"),
}
# libpq's and the server's words when there is no connection yet, and so no code.
_POSTGRESQL_REFUSALS: tuple[tuple[str, _Kind, str], ...] = (
    ("timeout expired", TimedOutError, _CHECK_URL),
    ("password authentication failed", AuthenticationError, "check user and password in CATALOG_URL"),
    ("no password supplied", AuthenticationError, "give user and password in CATALOG_URL"),
    ("pg_hba.conf", AuthenticationError, "the server does not let this user in from here, or not without TLS"),
    ("role .* does not exist", AuthenticationError, "check the user in CATALOG_URL"),
    ("database .* does not exist", ConfigurationError, "create it, or check CATALOG_URL"),
    ("permission denied for database", AuthenticationError, "the user may not connect to this database"),
    (
        "certificate|SSL was required|sslmode|SSL error",
        ConfigurationError,
        "check sslmode and sslrootcert in CATALOG_URL",
    ),
    ("invalid (dsn|connection option|URI)|invalid .* value", ConfigurationError, _CHECK_URL),
    ("could not translate host name", ConnectionLostError, "check CATALOG_URL and DNS"),
    ("Connection refused|No such file", ConnectionLostError, "does it run, and is CATALOG_URL right?"),
)
# Error codes of MySQL and MariaDB: 1000 to 1999 are the server's, 2000 to 2999 the client's.
_MYSQL: dict[int, tuple[_Kind, str]] = {
    1020: (ContendedError, ""),
    1213: (ContendedError, ""),
    1205: (TimedOutError, "another program holds a lock on the row"),
    **dict.fromkeys((1045, 1698, 1130), (AuthenticationError, "check user, password and host in CATALOG_URL")),
    1044: (AuthenticationError, "the user may not use this database"),
    1049: (ConfigurationError, "create it, or check CATALOG_URL"),
    **dict.fromkeys((1142, 1143, 1227, 1370), (AccessDeniedError, _CHECK_RIGHTS)),
    **dict.fromkeys((1290, 1836, 1792), (CatalogError, _PRIMARY)),
    **dict.fromkeys((1146, 1054), (ConfigurationError, _OTHER_TABLE)),
    **dict.fromkeys((1264, 1265, 1366, 1406, 3988), (UnsuitableValueError, _UNSUITABLE)),
    **dict.fromkeys((3819, 4025), (ConfigurationError, _FORBIDDEN)),
    **dict.fromkeys((1040, 1203, 1226), (ConnectionLostError, "the server has too many connections")),
    **dict.fromkeys((1053, 1927, 2006, 2013, 2014, 2055), (ConnectionLostError, "")),
    **dict.fromkeys((1021, 1041, 1037, 1114), (OutOfSpaceError, "the server has no disk space or memory left")),
    2003: (ConnectionLostError, "does it run, and is CATALOG_URL right?"),
    2026: (ConfigurationError, "check ssl_ca in CATALOG_URL"),
}
# Primary result codes (sqlite.org/rescode.html).
_SQLITE: dict[int, tuple[_Kind, str]] = {
    1: (ConfigurationError, _OTHER_TABLE),
    3: (AccessDeniedError, "check its owner and permissions, and those of its directory"),
    5: (TimedOutError, "another program keeps it locked"),
    6: (TimedOutError, "another program keeps it locked"),
    8: (AccessDeniedError, "check its owner and permissions, and those of its directory"),
    11: (ConfigurationError, "restore it from a backup"),
    13: (OutOfSpaceError, "free some space"),
    19: (ConfigurationError, _FORBIDDEN),
    14: (ConfigurationError, "make its directory, check the permissions there, or correct CATALOG_URL"),
    26: (ConfigurationError, _CHECK_URL),
}


def translated(error: DBAPIError, server: str, doing: str) -> AudioCompressorError:
    """The error to raise for one of a driver; ``doing`` is for its text, such as "claiming an upload"."""
    original = error.orig
    # Of PostgreSQL without the lines that quote the statement, of MySQL without the code.
    primary = getattr(getattr(original, "diag", None), "message_primary", None)
    said = " ".join(str(primary or (original.args[-1] if original is not None and original.args else original)).split())
    kind, advice = _kind(original, error.connection_invalidated)
    text = f"{server} failed while {doing}: {said}" + (f"; {advice}" if advice else "")
    return kind([text]) if issubclass(kind, ConfigurationError) else kind(text)


def _kind(original: BaseException | None, is_disconnect: bool) -> tuple[_Kind, str]:
    lost = (ConnectionLostError, "")
    sqlite_code = getattr(original, "sqlite_errorcode", None)
    if sqlite_code is not None:
        return _SQLITE.get(sqlite_code & 0xFF, (CatalogError, ""))
    number = original.args[0] if original is not None and original.args else None
    if isinstance(number, int):
        return _mysql(number, str(original)) or (lost if is_disconnect else (CatalogError, ""))
    state = getattr(original, "pgcode", None)
    if state is not None:
        for length in (5, 3, 2):
            if state[:length] in _POSTGRESQL:
                return _POSTGRESQL[state[:length]]
        return lost if is_disconnect else (CatalogError, "")
    for pattern, kind, advice in _POSTGRESQL_REFUSALS:
        if re.search(pattern, str(original)):
            return kind, advice
    return lost


def _mysql(number: int, text: str) -> tuple[_Kind, str] | None:
    if number in {2003, 2013} and "timed out" in text:
        return TimedOutError, _CHECK_URL if number == 2003 else ""
    if number == 2003 and ("SSL" in text or "certificate" in text):
        return ConfigurationError, "check ssl_ca in CATALOG_URL, and that the certificate is for this host name"
    return _MYSQL.get(number)
