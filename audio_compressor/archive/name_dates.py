"""Dates in the names of files and directories: ``2026-03-14_10-20-30``, ``20260314T102030Z``, ``2026/03/14``.

Names hold other numbers as well (telephone numbers, identifiers, hashes), so the year comes first and has four digits,
the month and the day have two and exist, and no letter or digit stands beside them.
"""

import re
from datetime import UTC, datetime, timedelta, timezone

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TELEPHONE = re.compile(r"\+[0-9][0-9 ().-]{5,}")
_ZONE = r"(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?"
_DATE = re.compile(
    r"(?<![^\W_])"
    r"(?P<year>[0-9]{4})(?P<dash>[-_./]?)(?P<month>[0-9]{2})(?P=dash)(?P<day>[0-9]{2})"
    r"(?:"
    r"(?:[T _.-]|(?<=[0-9]{8}))"
    r"(?P<hour>[0-9]{2})(?P<colon>[-_:.]?)(?P<minute>[0-9]{2})(?P=colon)(?P<second>[0-9]{2})"
    rf"(?:[.,]?[0-9]{{3}}(?:[0-9]{{3}})?)?{_ZONE}"
    r"(?![^\W_])"
    r"|(?![^\W_]))"
)
# A group of digits, or of hexadecimal ones, that the date hangs on to: a telephone number, or part of an identifier.
_HANGS_ON = re.compile(r"(?<![^\W_])(?=[a-fA-F]*[0-9])[0-9a-fA-F]+[-. ]$")
_GOES_ON = re.compile(r"-(?=[0-9]*[a-fA-F])(?=[a-fA-F]*[0-9])[0-9a-fA-F]+(?![^\W_])")


def dates_in(text: str) -> list[datetime]:
    """All dates in a name or path, in order, in UTC; at midnight where there is no time, or none that exists."""
    text = _TELEPHONE.sub("?", _UUID.sub("?", text))
    dates = []
    for match in _DATE.finditer(text):
        if _HANGS_ON.search(text, 0, match.start()) or _GOES_ON.match(text, match.end()):
            continue
        at = _moment(match)
        if at is not None:
            dates.append(at)
    return dates


def _moment(match: re.Match[str]) -> datetime | None:
    try:
        day = datetime(int(match["year"]), int(match["month"]), int(match["day"]), tzinfo=UTC)
    except ValueError:
        return None
    if match["hour"] is None:
        return day
    try:
        at = day.replace(hour=int(match["hour"]), minute=int(match["minute"]), second=int(match["second"]))
        return at.replace(tzinfo=_zone(match["zone"])).astimezone(UTC)
    except (ValueError, OverflowError):
        return day


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)
